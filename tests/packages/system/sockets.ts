import dgram from "node:dgram";
import { once } from "node:events";
import net from "node:net";
import { join } from "node:path";

/** Among itself an app talks as it likes: TCP on both loopbacks, UDP, and sockets in its folder. */
export default async () => {
  const echo = async (listen: object, connect: (server: net.Server) => object) => {
    const server = net.createServer(socket => socket.pipe(socket)).listen(listen);
    await once(server, "listening");
    const client = net.connect(connect(server) as any);
    client.end("ping");
    let said = "";
    for await (const piece of client) said += piece;
    server.close();
    return said;
  };
  const port = (server: net.Server) => (server.address() as net.AddressInfo).port;
  const path = join(process.env.DATA_DIR!, "echo.sock");
  const udp = dgram.createSocket("udp4").bind(0, "127.0.0.1");
  await once(udp, "listening");
  udp.send("datagram", udp.address().port, "127.0.0.1");
  const [letter] = await once(udp, "message");
  udp.close();
  return [
    await echo({ port: 0, host: "127.0.0.1" }, s => ({ port: port(s), host: "localhost" })),
    await echo({ port: 0, host: "::1" }, s => ({ port: port(s), host: "::1" })),
    await echo({ path }, () => ({ path })),
    String(letter),
  ];
};
