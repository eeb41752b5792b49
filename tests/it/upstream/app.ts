// Answers with exactly what it is told to. The query is JSON in hexadecimal: bytes to send, and what to do then.
type Script = { say: string; then: "end" | "reset" | "exit" | "stay" | "stop" };
type Data = { text: string };

const script = (head: string): Script | undefined => {
  const query = /^[A-Z]+ [^ ?]*\?([0-9a-f]+) /.exec(head)?.[1];
  return query ? JSON.parse(Buffer.from(query, "hex").toString()) : undefined;
};

const open = new Set<{ end(): void }>();
const server = Bun.listen<Data>({
  hostname: "0.0.0.0",
  port: Number(process.env.PORT),
  socket: {
    open(socket) {
      socket.data = { text: "" };
      open.add(socket);
    },
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
        // A megabyte is more than a socket takes at once; what it does not take is not missed.
        socket.write(Buffer.from(told.say.replace("MEGABYTE", () => "x".repeat(1 << 20)), "latin1"));
        socket.flush();
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
