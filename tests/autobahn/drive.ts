// Starts Steady and Autobahn's peers, plays the cases both ways, with and without Steady, and compares.
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { STEADY_BIN, AUTOBAHN_PYTHON, AUTOBAHN_WORK } = process.env as Record<string, string>;
const here = import.meta.dir;
const all = process.argv.includes("--all");
const spec = { cases: ["*"], "exclude-cases": all ? [] : ["9.*", "12.*", "13.*"], "exclude-agent-cases": {} };
const folder = mkdtempSync(join(tmpdir(), "steady-autobahn-"));
chmodSync(folder, 0o711);
const running: { kill(): void; exited: Promise<number> }[] = [];

const fail = (what: string): never => {
  throw new Error(what);
};

const until = async <T>(what: string, check: () => Promise<T | undefined> | T | undefined): Promise<T> => {
  for (let n = 0; n < 1200; n++) {
    const found = await check();
    if (found !== undefined) return found;
    await Bun.sleep(50);
  }
  return fail(`waited in vain until ${what}`);
};

const freePort = (): number => {
  const one = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  one.stop();
  return one.port;
};

const start = (name: string, command: string[], env: Record<string, string> = {}) => {
  const log = Bun.file(join(AUTOBAHN_WORK, `${name}.log`));
  const child = Bun.spawn(command, { cwd: folder, env: { ...process.env, ...env }, stdout: log, stderr: log, stdin: "ignore" });
  running.push(child);
  return child;
};

const steady = (args: string[], stdin = "") => {
  const done = Bun.spawnSync([STEADY_BIN, "--data", join(folder, "data"), ...args], { stdin: Buffer.from(stdin) });
  if (!done.success) fail(`steady ${args.join(" ")}: ${done.stderr}`);
  return done.stdout.toString().trim();
};

/** A running server: its process, and what deploys files as an app. */
const serve = async (port: number) => {
  steady(["user", "add", "dev", "--password-stdin", "--admin"], "correct horse battery staple\n");
  const token = steady(["token", "add", "dev", "--name", "autobahn"]);
  const env = { STEADY_LISTEN: `127.0.0.1:${port}`, STEADY_DOMAIN: "localhost" };
  const server = start("steady", [STEADY_BIN, "serve", "--data", join(folder, "data")], env);
  await until("Steady answers", () => fetch(`http://127.0.0.1:${port}/`).then(() => true, () => undefined));
  const deploy = async (name: string, files: Record<string, string>) => {
    const code = mkdtempSync(join(folder, "code-"));
    for (const [path, text] of Object.entries(files)) writeFileSync(join(code, path), text);
    const remote = `http://dev:${token}@localhost:${port}/dev/${name}.git`;
    const git = `git init -qb main && git add -A && git -c user.name=a -c user.email=a@example.com commit -qm First && git push -q ${remote} main`;
    const done = Bun.spawnSync(["sh", "-c", git], { cwd: code, env: { ...process.env, HOME: folder, GIT_CONFIG_NOSYSTEM: "1" } });
    if (!done.success) fail(`the push of ${name} failed: ${done.stderr}`);
    await until(`${name} answers`, async () =>
      (await fetch(`http://127.0.0.1:${port}/`, { headers: { host: `${name}.localhost:${port}` } }).catch(() => undefined))?.ok || undefined);
  };
  return { deploy, pid: server.pid };
};

const wstest = (mode: string, settings: object) => {
  const file = join(folder, `${mode}.json`);
  writeFileSync(file, JSON.stringify({ ...spec, outdir: join(AUTOBAHN_WORK, mode), ...settings }));
  return start(mode, [AUTOBAHN_PYTHON, join(here, "wstest.py"), "-m", mode, "-s", file, "-u", "0"]);
};

type Result = { behavior: string; behaviorClose: string };
const RANK = ["OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT", "FAILED"];

/** What went worse through Steady than without it; whatever is strictly right without it must stay so. */
const compare = (mode: string): { cases: number; strict: number; worse: string[] } => {
  const index = JSON.parse(readFileSync(join(AUTOBAHN_WORK, mode, "index.json"), "utf8"));
  const [direct, through]: Record<string, Result>[] = [index.direct, index.steady];
  const ids = Object.keys(direct!);
  if (ids.length < 200) fail(`${mode}: only ${ids.length} cases were played`);
  const worse = ids.filter((id) => {
    const [before, after] = [direct![id]!, through?.[id]];
    const rank = (result: string) => (RANK.indexOf(result) < 0 ? RANK.length : RANK.indexOf(result));
    return !after || rank(after.behavior) > rank(before.behavior) || rank(after.behaviorClose) > rank(before.behaviorClose);
  });
  const strict = ids.filter((id) => ["OK", "INFORMATIONAL"].includes(through?.[id]?.behavior ?? "")).length;
  const shown = worse.map((id) => `${id}: ${JSON.stringify(direct![id])} became ${JSON.stringify(through?.[id])}`);
  return { cases: ids.length, strict, worse: shown };
};

/** Keeps a connection to the relay in reserve; when it is used, it leads to `port`, and another takes its place. */
const lend = (path: string, port: number) => {
  const mine = connect(path);
  mine.on("error", () => mine.destroy());
  mine.once("data", (first) => {
    lend(path, port);
    mine.pause();
    const other = connect(port, "127.0.0.1");
    // The suite wants to be asked by the port it listens on.
    other.write(first.toString("latin1").replace(/\r\nhost: [^\r]*/i, `\r\nHost: 127.0.0.1:${port}`), "latin1");
    mine.pipe(other).pipe(mine);
    mine.on("error", () => other.destroy());
    other.on("error", () => mine.destroy());
  });
};

/** Bun's client plays every case of the fuzzing server at `url`. */
const play = async (url: string, host: string | undefined, agent: string) => {
  const open = (path: string, hear?: (socket: WebSocket, message: any) => void) =>
    new Promise<void>((resolve) => {
      const socket = new WebSocket(url + path, { headers: host ? { host } : {} } as any);
      socket.binaryType = "nodebuffer" as any;
      socket.onmessage = (event) => hear?.(socket, event.data);
      socket.onclose = () => resolve();
      socket.onerror = () => {};
    });
  let count = 0;
  await open("/getCaseCount", (_, message) => (count = Number(message)));
  if (!count) fail(`the fuzzing server at ${url} tells no number of cases`);
  for (let n = 1; n <= count; n++) {
    await open(`/runCase?case=${n}&agent=${agent}`, (socket, message) => socket.send(message));
  }
  await open(`/updateReports?agent=${agent}`);
};

const main = async () => {
  const [port, echoPort, fuzzPort] = [freePort(), freePort(), freePort()];
  const { deploy, pid } = await serve(port);
  const echo = readFileSync(join(here, "app.ts"), "utf8");
  await deploy("echo", { "index.ts": echo });
  start("echo", [process.execPath, "run", join(here, "app.ts")], { PORT: String(echoPort), ECHO_HOST: "127.0.0.1" });
  await until("the echo answers", () => fetch(`http://127.0.0.1:${echoPort}/`).then(() => true, () => undefined));

  const client = wstest("fuzzingclient", {
    servers: [
      { agent: "direct", url: `ws://127.0.0.1:${echoPort}` },
      { agent: "steady", url: `ws://echo.localhost:${port}` },
    ],
  });
  const code = await client.exited;
  if (code !== 0) fail(`the fuzzing client ended with ${code}; see ${AUTOBAHN_WORK}/fuzzingclient.log`);
  const server = compare("fuzzingclient");
  console.log(`as a server: ${server.cases} cases, ${server.strict} strict through Steady, ${server.worse.length} worse than without`);

  wstest("fuzzingserver", { url: `ws://127.0.0.1:${fuzzPort}` });
  await until("the fuzzing server listens", () => fetch(`http://127.0.0.1:${fuzzPort}/`).then(() => true, () => undefined));
  await deploy("fuzz", { "index.ts": readFileSync(join(here, "relay.ts"), "utf8"), "steady.json": '{ "idle_seconds": 3600 }' });
  const apps = `/proc/${pid}/root${folder}/data/apps`;
  const socket = await until("the relay listens", () =>
    readdirSync(apps).map((id) => join(apps, id, "home/data/up.sock")).find((path) => existsSync(path)));
  lend(socket, fuzzPort);
  await play(`ws://127.0.0.1:${fuzzPort}`, undefined, "direct");
  await play(`ws://127.0.0.1:${port}`, `fuzz.localhost:${port}`, "steady");
  const visitor = compare("fuzzingserver");
  console.log(`as a client: ${visitor.cases} cases, ${visitor.strict} strict through Steady, ${visitor.worse.length} worse than without`);
  const result = [server, visitor];
  console.log(`${result.flatMap((one) => one.worse).join("\n")}`);
  return result.every((one) => one.worse.length === 0);
};

let right = false;
try {
  right = await main();
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
} finally {
  for (const one of running.reverse()) one.kill();
  await Promise.all(running.map((one) => one.exited));
  rmSync(folder, { recursive: true, force: true });
}
console.log(right ? "1 passed, 0 failed" : "0 passed, 1 failed");
process.exit(right ? 0 : 1);
