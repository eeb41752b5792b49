// One module an exercise; `GET /NAME` runs it and answers what it found, or the error with its stack.
export default {
  idleTimeout: 120,
  async fetch(request: Request) {
    const name = new URL(request.url).pathname.slice(1);
    try {
      const { default: exercise } = await import(`./${name}.ts`);
      return Response.json(await exercise());
    } catch (error: any) {
      return new Response(`${error?.stack ?? error}\n${error?.code ?? ""} ${error?.cause ?? ""}`, { status: 500 });
    }
  },
};
