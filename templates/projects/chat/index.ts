type Person = { name: string };

const server = Bun.serve<Person>({
  port: process.env.PORT ?? 3000,

  fetch(request, server) {
    const url = new URL(request.url);
    if (url.pathname === "/room") {
      const name = url.searchParams.get("name")?.trim().slice(0, 24) || "somebody";
      return server.upgrade(request, { data: { name } }) ? undefined : new Response("Open a WebSocket here.\n", { status: 426 });
    }
    if (url.pathname === "/") return new Response(Bun.file(`${import.meta.dir}/page.html`));
    return new Response("There is nothing here.\n", { status: 404 });
  },

  websocket: {
    maxPayloadLength: 4096,
    open(socket) {
      socket.subscribe("room");
      say({ note: `${socket.data.name} came in` });
    },
    message(socket, text) {
      say({ from: socket.data.name, text: String(text) });
    },
    close(socket) {
      say({ note: `${socket.data.name} left` });
    },
  },
});

function say(message: { from: string; text: string } | { note: string }) {
  server.publish("room", JSON.stringify(message));
}
