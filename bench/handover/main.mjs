// See handover.sh.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Steady, answering, git, http, machine, median, now, sleep, spread, temporary } from "../lib.mjs";
import { Load } from "./load.mjs";

const option = (normal) => ({ type: "string", default: String(normal) });
const { values } = parseArgs({ options: { deploys: option(20), rollbacks: option(20), restarts: option(3), clients: option(24) } });
const [deploys, rollbacks, restarts, clients] = [values.deploys, values.rollbacks, values.restarts, values.clients].map(Number);

machine();
console.log(`program: ${process.env.STEADY_BIN}, ${clients} clients`);
const steady = await Steady.start();
const dir = temporary();
const push = (n) => {
  writeFileSync(join(dir, "index.ts"), `export default { fetch: () => new Response("version ${n}") };\n`);
  git(dir, "add", "-A");
  git(dir, "commit", "-q", "-m", `Version ${n}`);
  // Not the one that blocks: the clients are in this process.
  return run("git", ["push", "-q", `http://dev:${steady.token}@${steady.host}/dev/busy.git`, "main"]);
};
const run = async (command, args) => {
  const { spawn } = await import("node:child_process");
  const child = spawn(command, args, { cwd: dir, stdio: "ignore" });
  const code = await new Promise((resolve) => child.once("exit", resolve));
  if (code) throw new Error(`${command} ${args[0]} ended with ${code}`);
};
let pid, load;
try {
  git(dir, "init", "-q", "-b", "main");
  await push(0);
  await answering(steady.port, steady.app("busy"), "/", (reply) => reply.text === "version 0");
  load = new Load(steady.port, steady.app("busy"), clients);
  await sleep(1000);
  await several("deploys", deploys, load, (n) => push(n));
  await several("rollbacks", rollbacks, load, rollback);
  await several("new servers", restarts, load, handOver);
  await load.end();
  const failed = load.failures.length;
  console.log(`${load.answered} requests answered, ${failed} failed, ${load.again} asked again on another HTTP/2 connection`);
  for (const failure of new Set(load.failures)) console.log(`  ${load.failures.filter((one) => one === failure).length} × ${failure}`);
  process.exitCode = failed ? 1 : 0;
} finally {
  await load?.end();
  if (pid) process.kill(pid, "SIGTERM");
  else await steady.stop();
}

async function several(what, count, load, change) {
  const took = [], waited = [];
  const before = load.answered;
  for (let n = 1; n <= count; n++) {
    load.slowest = 0;
    const began = now();
    await change(n);
    took.push(now() - began);
    await sleep(300);
    waited.push(load.slowest);
  }
  if (!count) return;
  console.log(`${count} ${what}: ${median(took).toFixed(0)} ms each (${spread(took)}); the slowest request meanwhile ${median(waited).toFixed(0)} ms (${spread(waited)}); ${load.answered - before} answered`);
}

async function rollback() {
  const reply = await http(steady.port, steady.host, "/api/v1/projects/dev/busy/rollback", {
    method: "POST", headers: { authorization: `Bearer ${steady.token}`, "content-type": "application/json" }, body: "{}",
  });
  if (reply.status >= 300 || !reply.text.includes('"state":"live"')) throw new Error(`rollback: ${reply.status} ${reply.text}`);
}

/** SIGUSR2, until the old server has ended. */
async function handOver() {
  const lock = join(steady.data, "lock");
  const old = Number(readFileSync(lock, "utf8"));
  process.kill(old, "SIGUSR2");
  const deadline = now() + 60_000;
  while (alive(old)) {
    if (now() > deadline) throw new Error("the old server did not end");
    await sleep(5);
  }
  pid = Number(readFileSync(lock, "utf8"));
}

function alive(pid) {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
