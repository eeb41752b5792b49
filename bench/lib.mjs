// What every bench needs: a server, plain requests, medians, a table.
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join } from "node:path";

export const BUN = join(process.cwd(), "node_modules/.bin/bun");
export const PASSWORD = "correct horse battery staple";
process.setMaxListeners(0);
export const now = () => performance.now();
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function temporary() {
  const dir = mkdtempSync(join(tmpdir(), "steady-bench-"));
  chmodSync(dir, 0o711);
  process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** One request; `firstByte` is when the first byte of the body (or the end) came. */
export function http(port, host, path, { method = "GET", headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, method, headers: { host, ...headers }, agent: false }, (reply) => {
      const parts = [];
      let firstByte;
      reply.on("data", (part) => {
        firstByte ??= now();
        parts.push(part);
      });
      reply.on("end", () => resolve({ status: reply.statusCode, headers: reply.headers, text: Buffer.concat(parts).toString(), firstByte: firstByte ?? now() }));
      reply.on("error", reject);
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

/** Asks again and again until the answer is right; gives back when its first byte came. */
export async function answering(port, host, path, right, limit = 120_000) {
  const deadline = now() + limit;
  for (;;) {
    const reply = await http(port, host, path).catch(() => undefined);
    if (reply && right(reply)) return reply.firstByte;
    if (now() > deadline) throw new Error(`no right answer from ${host}${path}: ${reply?.status} ${reply?.text.slice(0, 300)}`);
    await sleep(2);
  }
}

export class Steady {
  /** Added to the environment of every later start of the server. */
  env = {};
  static async start() {
    const steady = new Steady();
    steady.program = process.env.STEADY_BIN;
    steady.dir = temporary();
    steady.data = join(steady.dir, "data");
    steady.port = await freePort();
    steady.host = `localhost:${steady.port}`;
    steady.local(["user", "add", "dev", "--admin", "--password-stdin"], `${PASSWORD}\n`);
    steady.token = steady.local(["token", "add", "dev", "--name", "bench"]).trim();
    await steady.launch();
    return steady;
  }
  local(args, input = "") {
    return execFileSync(this.program, ["--data", this.data, ...args], { input, encoding: "utf8" });
  }
  async launch() {
    const log = openSync(join(this.dir, "server.log"), "a");
    const flags = ["serve", "--data", this.data, "--listen", `127.0.0.1:${this.port}`, "--domain", "localhost"];
    this.child = spawn(this.program, flags, { stdio: ["ignore", log, log], env: { ...process.env, ...this.env } });
    this.ended = new Promise((resolve) => this.child.once("exit", resolve));
    await answering(this.port, this.host, "/", (reply) => reply.status < 500);
  }
  async stop() {
    this.child.kill("SIGTERM");
    await this.ended;
  }
  app(label) {
    return `${label}.${this.host}`;
  }
  api(method, path, body) {
    const headers = { authorization: `Bearer ${this.token}`, "content-type": "application/json" };
    return http(this.port, this.host, `/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
  }
  /** MiB. */
  memory() {
    return rss(this.child.pid);
  }
}

export const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;

export const git = (cwd, ...args) =>
  execFileSync("git", ["-c", "user.name=Bench", "-c", "user.email=bench@example.com", ...args], { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

const sorted = (values) => [...values].sort((a, b) => a - b);
export const median = (values) => {
  const all = sorted(values);
  const middle = all.length >> 1;
  return all.length % 2 ? all[middle] : (all[middle - 1] + all[middle]) / 2;
};
export const spread = (values) => `${Math.round(Math.min(...values))}–${Math.round(Math.max(...values))}`;

export function machine() {
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  const load = loadavg().map((n) => n.toFixed(1)).join(" ");
  const kernel = execFileSync("uname", ["-r"], { encoding: "utf8" }).trim();
  console.log(`machine: ${cpus().length} × ${cpus()[0]?.model ?? "?"}, ${memory} GiB, Linux ${kernel}, load ${load}`);
}

export function table(rows) {
  const all = [["what", "Steady", "spread", "peer", "spread", "ratio", "the peer"], ...rows];
  const widths = all[0].map((_, i) => Math.max(...all.map((row) => [...String(row[i] ?? "")].length)));
  for (const row of all) console.log(row.map((cell, i) => String(cell ?? "").padEnd(widths[i])).join("  ").trimEnd());
}
