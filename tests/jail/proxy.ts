// An app that does not speak HTTP as it should: each path answers with other bytes.
const chunk = (text: string) => `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${text}`;
const plain = (length: number | string, text: string, more = "") => `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n${more}\r\n${text}`;
const answers: Record<string, string> = {
  "/good": plain(4, "good"),
  "/noise": "\x00\x01\x02 this is no HTTP \xff\r\n\r\n",
  "/old": "<html>HTTP/0.9</html>\r\n\r\n",
  "/negative": plain(-5, "short"),
  "/twice": plain(4, "evil", "content-length: 9\r\n"),
  "/overflow": plain("99999999999999999999999", "evil"),
  "/heads": "HTTP/1.1 200 OK\r\n" + `x-${"a".repeat(60)}: ${"b".repeat(1000)}\r\n`.repeat(4000) + "\r\n",
  "/many": "HTTP/1.1 200 OK\r\n" + "a: b\r\n".repeat(5000) + "content-length: 0\r\n\r\n",
  "/nul": "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nok",
  "/status": "HTTP/1.1 99999 What\r\ncontent-length: 0\r\n\r\n",
  "/chunk": chunk("fffffffffffffffff1\r\nx"),
  "/chunks": chunk("zz\r\nevil\r\n0\r\n\r\n"),
  "/short": plain(100, "short"),
  "/second": plain(2, "ok") + plain(4, "evil"),
  "/switch": "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: evil\r\n\r\nevil",
  "/hints": "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(1000) + plain(5, "final"),
};
const silent = new Set(["/close", "/reset"]);
// The wrapper's own socket; the first to listen there has it.
Bun.listen({
  unix: "/run/steady/http.sock",
  socket: {
    data(socket, data) {
      const path = data.toString("latin1").split(" ")[1] ?? "";
      if (silent.has(path)) return void socket.end();
      socket.write(Buffer.from(answers[path] ?? answers["/good"], "latin1"));
      if (["/short", "/noise", "/old", "/heads", "/chunk"].includes(path)) socket.end();
    },
  },
});
