// @bun @bun-cjs
// Runs before the app, in the app's own process: the first server the app starts listens on the unix
// socket that Steady gives, whatever port it names; to the app it looks as if it had that port.
// node:http, node:https and with them Express and Fastify come by way of Bun.serve too. Later servers are
// the app's own affair: where it has a network of its own they get their port there, for itself alone.
// No imports, and nothing for Bun to translate (its first line says so): each would slow every start. So would what
// makes Bun load more of itself before the first request: a URL, a timer.
(function (exports, require, module, __filename, __dirname) {
  const env = process.env;
  const socket = env.STEADY_SOCKET;
  // What the app starts in its turn must not take its place.
  delete env.STEADY_SOCKET;
  // Read before this ran, and for this process alone.
  delete env.BUN_FEATURE_FLAG_DISABLE_ASYNC_TRANSPILER;
  // A bundle runs under the name of what it was made of.
  const main = Bun.main;
  if (env.STEADY_ENTRY) process.argv[1] = env.STEADY_ENTRY;
  delete env.STEADY_ENTRY;
  if (env.BUN_OPTIONS?.includes("wrapper.js")) delete env.BUN_OPTIONS;
  if (socket) install(socket);

  function install(socket) {
    let taken = false;
    let extra = 0;
    // A root of its own comes with a network of its own; elsewhere a port would be the host's.
    const ownNetwork = socket.startsWith("/run/steady/");

    /** Where the next server listens. Visitors reach only the first. */
    const claim = (port) => {
      if (!taken) {
        taken = true;
        return socket;
      }
      extra++;
      console.warn(`steady: the server on port ${port} cannot be reached: visitors reach an app's first server alone.`);
      return `${socket}.${extra}`;
    };

    const inside = (server) => {
      const { port } = server;
      if (port) console.warn(`steady: the server on port ${port} is for the app itself: visitors reach its first server alone.`);
      return server;
    };

    const asked = (value) => {
      for (const candidate of [value, env.PORT, 3000]) {
        const port = Number(candidate);
        if (Number.isInteger(port) && port > 0 && port < 65536) return port;
      }
      return 3000;
    };

    const bun = Bun;

    const serve = bun.serve;
    bun.serve = function (options) {
      if (!options || typeof options !== "object" || options.unix) return serve.call(bun, options);
      if (taken && ownNetwork) return inside(serve.call(bun, options));
      const port = asked(options.port);
      const hostname = options.hostname ?? "localhost";
      // A copy that keeps symbols, accessors and what a class has on its prototype.
      const own = Object.create(Object.getPrototypeOf(options), Object.getOwnPropertyDescriptors(options));
      for (const key of ["port", "hostname", "reusePort", "ipv6Only", "tls"]) {
        if (key in own) Object.defineProperty(own, key, { value: undefined, configurable: true, writable: true });
      }
      // Steady's own time limits hold towards visitors; the way from it to here may rest between requests, and a
      // stream of events be silent for longer than Bun's ten seconds.
      if (options.idleTimeout === undefined) {
        Object.defineProperty(own, "idleTimeout", { value: 0, configurable: true, enumerable: true, writable: true });
      }
      Object.defineProperty(own, "unix", { value: claim(port), configurable: true, enumerable: true });
      if (typeof options.fetch === "function" && !Object.hasOwn(own, "fetch")) {
        Object.defineProperty(own, "fetch", { value: options.fetch, configurable: true, enumerable: true });
      }
      const server = serve.call(bun, own);
      const shown = hostname === "0.0.0.0" || hostname === "::" ? "localhost" : hostname;
      const look = (key, value) => Object.defineProperty(server, key, { value, configurable: true, enumerable: true });
      look("port", port);
      look("hostname", hostname);
      look("address", { address: "127.0.0.1", family: "IPv4", port });
      const url = () => look("url", new URL(`http://${shown}:${port}/`)).url;
      Object.defineProperty(server, "url", { get: url, configurable: true, enumerable: true });
      quiet();
      return server;
    };

    /** Bun announces an exported server with an address that is not one; our log says `ready`. */
    const quiet = () => {
      const debug = console.debug;
      const restore = () => {
        if (console.debug === once) console.debug = debug;
      };
      const once = (...words) => {
        restore();
        if (!/^Started (development )?server/.test(String(words[0]))) debug(...words);
      };
      console.debug = once;
      Promise.resolve().then(restore);
    };

    // node:net, for programs that speak HTTP by themselves.
    const listen = bun.listen;
    bun.listen = function (options) {
      if (taken || !options || options.unix || options.fd !== undefined) return listen.call(bun, options);
      const { port, hostname: _, tls: __, ...rest } = options;
      return listen.call(bun, { ...rest, unix: claim(asked(port)) });
    };

    // An exported object that Bun itself does not serve, such as Elysia's without `listen`.
    process.once("beforeExit", async () => {
      if (taken) return;
      const loaded = await import(main).catch(() => undefined);
      const app = loaded?.default?.__esModule ? loaded.default.default : loaded?.default;
      if (!taken && typeof app?.fetch === "function") bun.serve({ fetch: (request) => app.fetch(request) });
    });
  }
})
