import { initTRPC } from "@trpc/server";
import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { z } from "zod";

export default async () => {
  const t = initTRPC.create();
  const router = t.router({ twice: t.procedure.input(z.number()).query(({ input }) => input * 2) });
  const serve = (request: Request) => fetchRequestHandler({ endpoint: "/t", req: request, router });
  const answer = await serve(new Request("http://app.localhost/t/twice?input=21"));
  return [answer.status, await answer.json()];
};
