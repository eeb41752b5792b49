// Speaks HTTP/1.1 by hand, strictly, and keeps every byte it is given. `/seen/X` tells what came for `/X`.
type Got = { whole: boolean; bytes: string };
type Data = { text: string; done: boolean };
const got: Got[] = [];

/** Bytes of the first message in `text`; 0 when it has not all come yet. */
const length = (text: string): number => {
  const head = text.indexOf("\r\n\r\n") + 4;
  if (head === 3) return 0;
  const fields = text.slice(0, head).toLowerCase();
  const sized = /\r\ncontent-length: (\d+)\r\n/.exec(fields);
  const chunked = fields.includes("\r\ntransfer-encoding: chunked\r\n");
  if (sized && chunked) throw new Error("both lengths");
  if (!chunked) {
    const end = head + Number(sized?.[1] ?? 0);
    return text.length < end ? 0 : end;
  }
  for (let at = head; ; ) {
    const line = text.indexOf("\r\n", at);
    if (line < 0) return 0;
    const size = parseInt(text.slice(at, line), 16);
    if (Number.isNaN(size)) throw new Error("no chunk size");
    if (size > 0) {
      at = line + 2 + size + 2;
      continue;
    }
    // Trailers end with an empty line.
    const end = text.startsWith("\r\n", line + 2) ? line + 4 : text.indexOf("\r\n\r\n", line) + 4;
    return end === 3 || text.length < end ? 0 : end;
  }
};

const answer = (message: string): string => {
  const [method, path] = message.split(" ", 2);
  const asked = path!.startsWith("/seen/") ? path!.slice("/seen".length) : undefined;
  // What came for a path has it in its request line, or in its smuggled bytes.
  const body = asked ? JSON.stringify(got.filter(({ bytes }) => new RegExp(`${asked}\\b`).test(bytes))) : "ok";
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nX-App: yes\r\n\r\n${method === "HEAD" ? "" : body}`;
};

Bun.listen<Data>({
  hostname: "0.0.0.0",
  port: Number(process.env.PORT),
  socket: {
    open(socket) {
      socket.data = { text: "", done: false };
    },
    data(socket, bytes) {
      const { data } = socket;
      if (data.done) return;
      data.text += bytes.toString("latin1");
      // Answers without reading the body, as a hasty app does.
      if (data.text.includes(" /early/") && data.text.includes("\r\n\r\n")) {
        got.push({ whole: true, bytes: data.text });
        data.text = "";
        data.done = true;
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        return;
      }
      try {
        for (let size; (size = length(data.text)) > 0; ) {
          const message = data.text.slice(0, size);
          data.text = data.text.slice(size);
          if (!message.includes(" /seen/")) got.push({ whole: true, bytes: message });
          socket.write(Buffer.from(answer(message), "latin1"));
        }
      } catch (error) {
        got.push({ whole: true, bytes: `${error}: ${data.text}` });
        data.text = "";
        socket.end();
      }
    },
    close({ data }) {
      if (data.text) got.push({ whole: false, bytes: data.text });
    },
  },
});
