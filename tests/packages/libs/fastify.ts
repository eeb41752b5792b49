import Fastify from "fastify";

export default async () => {
  const app = Fastify();
  const schema = { body: { type: "object", required: ["n"], properties: { n: { type: "integer" } } } };
  app.post("/double", { schema }, async (request: any) => ({ twice: request.body.n * 2 }));
  const at = await app.listen({ port: 0, host: "127.0.0.1" });
  const post = (body: string) =>
    fetch(`${at}/double`, { method: "POST", body, headers: { "content-type": "application/json" } });
  const good = await post('{"n":21}');
  const bad = await post('{"n":"x"}');
  const result = [await good.json(), bad.status, ((await bad.json()) as any).code];
  await app.close();
  return result;
};
