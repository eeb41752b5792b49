import { Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { cors } from "hono/cors";

export default async () => {
  const app = new Hono();
  app.use(cors());
  app.get("/hello/:name", c => {
    setCookie(c, "seen", "yes");
    return c.json({ hello: c.req.param("name"), cookie: getCookie(c, "was") ?? null });
  });
  const server = Bun.serve({ port: 0, fetch: app.fetch });
  const answer = await fetch(`http://localhost:${server.port}/hello/jo`, { headers: { cookie: "was=here" } });
  const { headers } = answer;
  const result = [await answer.json(), headers.get("set-cookie"), headers.get("access-control-allow-origin")];
  server.stop(true);
  return result;
};
