import { WebSocket, WebSocketServer } from "ws";

export default async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await new Promise(done => server.once("listening", done));
  server.on("connection", socket => socket.on("message", (data, binary) => socket.send(data, { binary })));
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as any).port}`);
  await new Promise((done, fail) => client.once("open", done).once("error", fail));
  const echo = (data: any) =>
    new Promise<any>(done => {
      client.once("message", (back: Buffer, binary: boolean) => done([binary, back.length]));
      client.send(data);
    });
  const result = [await echo("hello"), await echo(Buffer.alloc(100_000, 7))];
  client.close();
  server.close();
  return result;
};
