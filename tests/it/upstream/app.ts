// Answers with exactly what it is told to. The query is JSON in hexadecimal: bytes to send, and what to do then.
type Script = { say: string; then: "end" | "reset" | "exit" | "stay" | "stop" };
type Data = { text: string; left: Buffer };

const script = (head: string): Script | undefined => {
  const query = /^[A-Z]+ [^ ?]*\?([0-9a-f]+) /.exec(head)?.[1];
  return query ? JSON.parse(Buffer.from(query, "hex").toString()) : undefined;
};

/** Sends what is left, as far as it is taken now. */
const pour = (socket: { data: Data; write(bytes: Buffer): number }) => {
  const sent = socket.write(socket.data.left);
  if (sent > 0) socket.data.left = socket.data.left.subarray(sent);
};

// Stays when it no longer listens.
setInterval(() => {}, 1 << 30);

const open = new Set<{ end(): void }>();
const server = Bun.listen<Data>({
  hostname: "0.0.0.0",
  port: Number(process.env.PORT),
  socket: {
    open(socket) {
      socket.data = { text: "", left: Buffer.alloc(0) };
      open.add(socket);
    },
    drain: pour,
    close(socket) {
      open.delete(socket);
    },
    data(socket, bytes) {
      const { data } = socket;
      data.text += bytes.toString("latin1");
      for (let end; (end = data.text.indexOf("\r\n\r\n") + 4) > 3; ) {
        const head = data.text.slice(0, end);
        data.text = data.text.slice(end);
        const told = script(head);
        if (!told) {
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
          continue;
        }
        data.left = Buffer.from(told.say.replace("MEGABYTE", () => "x".repeat(1 << 20)), "latin1");
        pour(socket);
        if (told.then === "end") socket.end();
        if (told.then === "reset") socket.terminate();
        if (told.then === "exit") setTimeout(() => process.exit(3), 50);
        if (told.then === "stop") {
          server.stop();
          setTimeout(() => open.forEach((one) => one.end()), 50);
        }
      }
    },
  },
});
