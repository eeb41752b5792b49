import axios from "axios";

export default async () => {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async request =>
      new URL(request.url).pathname === "/teapot"
        ? new Response("short", { status: 418 })
        : Response.json({ method: request.method, body: await request.json() }),
  });
  const http = axios.create({ baseURL: `http://127.0.0.1:${server.port}` });
  const { data } = await http.put("/x", { a: 1 });
  const error = await http.get("/teapot").catch(e => e);
  server.stop(true);
  return [data, axios.isAxiosError(error), error.response.status];
};
