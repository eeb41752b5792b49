// Echoes every message as it came.
export default {
  port: process.env.PORT,
  hostname: process.env.ECHO_HOST,
  fetch(request: Request, server: any) {
    return server.upgrade(request) ? undefined : new Response("ready");
  },
  websocket: {
    maxPayloadLength: 64 << 20,
    perMessageDeflate: true,
    message(socket: any, message: string | Buffer) {
      socket.send(message, socket.readyState === 1);
    },
  },
};
