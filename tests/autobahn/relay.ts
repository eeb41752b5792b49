// Passes a visitor's bytes on, both ways, over connections that others made to a socket in its own folder: from in
// here nothing outside can be reached. `GET /` it answers itself: that is how it is found alive.
import { createServer, type Socket } from "node:net";
import { join } from "node:path";

const spare: Socket[] = [];
const waiting: ((other: Socket) => void)[] = [];

createServer((socket) => {
  socket.once("data", (first) => {
    if (first.toString("latin1").startsWith("GET / ")) {
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
      return;
    }
    socket.pause();
    const join = (other: Socket) => {
      other.write(first);
      socket.pipe(other).pipe(socket);
      socket.on("error", () => other.destroy());
      other.on("error", () => socket.destroy());
    };
    const other = spare.pop();
    if (other) join(other);
    else waiting.push(join);
  });
  socket.on("error", () => socket.destroy());
}).listen(Number(process.env.PORT));

createServer((other) => {
  const next = waiting.shift();
  if (next) next(other);
  else spare.push(other);
}).listen(join(process.env.DATA_DIR!, "up.sock"));
