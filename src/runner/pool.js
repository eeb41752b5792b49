// @bun
// Runs first in a process that waits for its app. Whatever every app needs is done once before, so that none waits
// for it: a request is served, to nobody. Then it stands still until it is told whose it is.
import { closeSync, readSync } from "node:fs";

const env = process.env;
// A program that it starts may inherit this, and goes on at once.
if (env.STEADY_PAPER) {
  const paper = Number(env.STEADY_PAPER);
  await new Promise((done) => {
    const server = Bun.serve({
      unix: env.STEADY_WARM,
      fetch(request) {
        setTimeout(() => server.stop(true).then(done), 0);
        return new Response(new URL(request.url).pathname);
      },
    });
  });

  const pieces = [];
  for (const piece = new Uint8Array(1 << 16); ; ) {
    const length = readSync(paper, piece);
    if (length === 0) break;
    pieces.push(piece.slice(0, length));
  }
  closeSync(paper);
  const given = JSON.parse(Buffer.concat(pieces).toString());
  for (const name of Object.keys(env)) delete env[name];
  for (const [name, value] of given.env) env[name] = value;
  process.chdir(given.cwd);

  // What the app starts finds what the app was started with. Bun would give it what this process was.
  const { STEADY_SOCKET: _, STEADY_ENTRY: __, BUN_FEATURE_FLAG_DISABLE_ASYNC_TRANSPILER: ___, ...started } = env;
  for (const name of ["spawn", "spawnSync"]) {
    const real = Bun[name];
    Bun[name] = function (first, second) {
      if (!Array.isArray(first)) return real.call(Bun, first?.env === undefined ? { ...first, env: started } : first);
      return real.call(Bun, first, second?.env === undefined ? { ...second, env: started } : second);
    };
  }
}
