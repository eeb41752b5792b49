// Runs before the app, in the app's own process: the first server the app starts listens on the unix
// socket Steady gives, whatever port it names. To the app all looks as if it had that port. No imports
// at the top: each would slow every start.
{
  const env = process.env;
  const socket = env.STEADY_SOCKET;
  const code = env.STEADY_CODE ?? "/app";
  delete env.STEADY_SOCKET;
  delete env.STEADY_CODE;
  if (env.BUN_OPTIONS?.includes("wrapper.ts")) delete env.BUN_OPTIONS;
  if (socket) install(socket, code);

  function install(socket: string, code: string) {
    let taken = false;
    let extra = 0;

    /** The socket for the next server; only the first one is reached by visitors. */
    function claim(what: string): string {
      if (!taken) {
        taken = true;
        return socket;
      }
      extra++;
      console.warn(`steady: a second server (${what}) is not reachable: an app has one address. Serve everything from the first.`);
      return `${socket}.${extra}`;
    }

    const asPort = (value: unknown): number => {
      const port = Number(value ?? env.PORT ?? 3000);
      return Number.isInteger(port) && port > 0 && port < 65536 ? port : Number(env.PORT) || 3000;
    };

    // Bun.serve, and `export default { fetch }`, which Bun passes to it.
    const serve = Bun.serve;
    (Bun as any).serve = function (options: any) {
      if (!options || typeof options !== "object" || options.unix) return serve.call(Bun, options);
      const port = asPort(options.port ?? env.BUN_PORT);
      const hostname = options.hostname ?? "localhost";
      const own = Object.create(Object.getPrototypeOf(options), Object.getOwnPropertyDescriptors(options));
      for (const key of ["port", "hostname", "reusePort", "ipv6Only", "tls"]) delete own[key];
      own.unix = claim(`port ${port}`);
      const server: any = serve.call(Bun, own);
      const shown = hostname === "0.0.0.0" || hostname === "::" ? "localhost" : hostname;
      for (const [key, value] of Object.entries({
        port,
        hostname,
        url: new URL(`http://${shown}:${port}/`),
        address: { address: "127.0.0.1", family: "IPv4", port },
      })) {
        try {
          Object.defineProperty(server, key, { value, configurable: true, enumerable: true });
        } catch {}
      }
      return server;
    };
  }
}
