import { createServer } from "node:http";
import { Server } from "socket.io";
import { io } from "socket.io-client";

/** Both ways of transport: long polling alone, and WebSocket alone. */
export default async () => {
  const web = createServer();
  const server = new Server(web);
  server.on("connection", socket => {
    socket.on("sum", (numbers: number[], reply) => reply(numbers.reduce((a, b) => a + b, 0)));
  });
  await new Promise<void>(done => web.listen(0, "127.0.0.1", done));
  const at = `http://127.0.0.1:${(web.address() as any).port}`;
  const result = [];
  for (const transport of ["polling", "websocket"]) {
    const client = io(at, { transports: [transport], forceNew: true });
    result.push([transport, await client.timeout(20_000).emitWithAck("sum", [20, 22])]);
    client.close();
  }
  await server.close();
  return result;
};
