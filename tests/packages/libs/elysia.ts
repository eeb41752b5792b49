import { Elysia, t } from "elysia";

export default async () => {
  const app = new Elysia()
    .post("/sum", ({ body }) => ({ sum: body.numbers.reduce((a, b) => a + b, 0) }), {
      body: t.Object({ numbers: t.Array(t.Number()) }),
    })
    .listen({ port: 0, hostname: "127.0.0.1" });
  const post = (body: unknown) =>
    fetch(`http://127.0.0.1:${app.server!.port}/sum`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });
  const good = await post({ numbers: [1, 2, 39] });
  const result = [await good.json(), (await post({ numbers: "no" })).status];
  await app.stop(true);
  return result;
};
