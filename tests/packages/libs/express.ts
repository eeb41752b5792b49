import express from "express";

export default async () => {
  const app = express();
  app.use(express.json());
  app.post("/things/:id", (request, response) => {
    response.status(201).json({ id: request.params.id, got: request.body, q: request.query.q });
  });
  const server = app.listen(0, "127.0.0.1");
  await new Promise(done => server.once("listening", done));
  const at = `http://127.0.0.1:${(server.address() as any).port}`;
  const answer = await fetch(`${at}/things/7?q=x`, {
    method: "POST",
    body: '{"a":1}',
    headers: { "content-type": "application/json" },
  });
  const missing = await fetch(`${at}/nowhere`);
  const result = [answer.status, await answer.json(), missing.status];
  server.close();
  return result;
};
