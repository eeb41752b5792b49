import { createServer } from "node:net";
import nodemailer from "nodemailer";

/** Enough of SMTP for one letter, in the app's own loopback. */
const receive = (port: (n: number) => void) =>
  new Promise<string[]>(done => {
    const server = createServer(socket => {
      const said: string[] = [];
      let letter = false;
      let rest = "";
      socket.write("220 here\r\n");
      socket.on("data", data => {
        const lines = (rest + data).split("\r\n");
        rest = lines.pop()!;
        for (const line of lines) {
          if (letter) {
            if (line.startsWith("Subject:") || line === "Dear Jo") said.push(line);
            if (line === ".") socket.write(((letter = false), "250 taken\r\n"));
          } else if (line === "DATA") socket.write(((letter = true), "354 go on\r\n"));
          else {
            if (/^(MAIL|RCPT)/.test(line)) said.push(line);
            socket.write("250 ok\r\n");
          }
        }
      });
      socket.on("close", () => {
        server.close();
        done(said);
      });
    });
    server.listen(0, "127.0.0.1", () => port((server.address() as any).port));
  });

export default async () => {
  let received: Promise<string[]>;
  const port = await new Promise<number>(at => (received = receive(at)));
  const mailer = nodemailer.createTransport({ host: "localhost", port, secure: false });
  const sent = await mailer.sendMail({ from: "me@example.org", to: "jo@example.org", subject: "Hi", text: "Dear Jo" });
  mailer.close();
  return [sent.accepted, await received!];
};
