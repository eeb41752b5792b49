// See density.sh. Two servers take turns in every round: one with ten apps, one with all.
import { execFileSync, spawn } from "node:child_process";
import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BUN, Steady, answering, http, machine, median, now, rss, sleep, spread } from "../lib.mjs";
import { charged, groups, limited, own, pss } from "./groups.mjs";
import { price } from "./price.mjs";

const options = {
  apps: "10000", awake: "300", rounds: "7", "server-price": "5", "memory-gib": "1", "awake-share": "0.1", sold: "0.5", "os-mib": "150", "net-mib": "0.2",
};
const { values } = parseArgs({ options: Object.fromEntries(Object.entries(options).map(([name, value]) => [name, { type: "string", default: value }])) });
const want = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
const MIB = 2 ** 20;
const mib = (bytes) => `${(bytes / MIB).toFixed(2)} MiB`;
// Awake is what is measured: nothing may stand still or sleep meanwhile.
Object.assign(process.env, { STEADY_FREEZE_SECONDS: "0", STEADY_IDLE_SECONDS: "86400" });

const available = () => Number(/MemAvailable:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))[1]) * 1024;

machine();
console.log(`program: ${process.env.STEADY_BIN}; ${want.apps} apps, ${want.awake} awake, ${want.rounds} rounds\n`);
const few = await server(10);
const many = await server(want.apps);
const sizes = await starts();
await wakes();
const each = await awake();
const allIn = process.getuid() === 0 ? await squeezed() : undefined;
price({ ...want, each, allIn, asleep: sizes.each, server: sizes.server });

/** A data folder with so many deployed apps, its server down. */
async function server(count) {
  const steady = await Steady.start();
  await steady.api("POST", "/projects", { name: "seed", template: "hello" });
  const deployed = await steady.api("POST", "/projects/dev/seed/deploys", {});
  if (!deployed.text.includes('"result"')) throw new Error(`deploy: ${deployed.status} ${deployed.text.slice(-300)}`);
  await steady.stop();
  const began = now();
  execFileSync(BUN, ["run", "bench/density/clone.ts", steady.data, String(count)], { stdio: ["ignore", "inherit", "inherit"] });
  // The first start makes their homes, once.
  await steady.launch();
  await steady.stop();
  process.stderr.write(`${count} apps made in ${Math.round((now() - began) / 1000)} s\n`);
  return steady;
}

async function starts() {
  const taken = { few: [], many: [] }, held = { few: [], many: [] };
  for (let round = 0; round < want.rounds; round++) {
    for (const [name, steady] of [["few", few], ["many", many]]) {
      const began = now();
      await steady.launch();
      taken[name].push(now() - began);
      await sleep(2000);
      held[name].push(steady.memory() * MIB);
      await steady.stop();
    }
  }
  const ms = (all) => `${Math.round(median(all))} ms (${spread(all)})`;
  console.log(`start to first page: ${ms(taken.many)} with ${want.apps} apps, ${ms(taken.few)} with 10   goal: below 2000 ms`);
  const [with10, withAll] = [median(held.few), median(held.many)];
  const each = (withAll - with10) / (want.apps - 10);
  console.log(`the server's memory: ${mib(withAll)} with all, ${mib(with10)} with 10: ${(each / 1024).toFixed(2)} KiB an app   goal: below 4`);
  return { each, server: with10 };
}

async function wake(steady, n) {
  const began = now();
  return (await answering(steady.port, steady.app(`app-${n}`), "/", (reply) => reply.status === 200)) - began;
}

/** Back to no process, so that the next request wakes it. */
async function put(steady, n) {
  for (const verb of ["pause", "resume"]) {
    const done = await steady.api("POST", `/projects/dev/app-${n}/${verb}`);
    if (done.status !== 200) throw new Error(`${verb}: ${done.status} ${done.text}`);
  }
}

async function wakes() {
  await few.launch();
  await many.launch();
  const taken = { few: [], many: [] };
  // Round 0 warms both and does not count. Of all apps those far apart are taken.
  for (let round = 0; round <= want.rounds * 3; round++) {
    const n = 1 + (round % 10);
    for (const [name, steady, app] of [["few", few, n], ["many", many, Math.ceil((n * want.apps) / 10)]]) {
      // Worlds made ahead are made again meanwhile.
      await sleep(700);
      const ms = await wake(steady, app);
      if (round > 0) taken[name].push(ms);
      await put(steady, app);
    }
  }
  await few.stop();
  await many.stop();
  const ms = (all) => `${median(all).toFixed(1)} ms (${spread(all)})`;
  console.log(`waking one: ${ms(taken.many)} of ${want.apps}, ${ms(taken.few)} of 10: ratio ${(median(taken.many) / median(taken.few)).toFixed(2)}`);
}

async function wakeAll(steady) {
  let next = 1, failed = 0;
  const worker = async () => {
    for (let n = next++; n <= want.awake; n = next++) {
      // One that never answers is a finding, not the end of the bench.
      const reply = await http(steady.port, steady.app(`app-${n}`), "/").catch(() => undefined);
      if (reply?.status !== 200) failed++;
    }
  };
  await Promise.all([worker(), worker()]);
  return failed;
}

async function awake() {
  await many.launch();
  await sleep(3000);
  const before = available();
  const failed = await wakeAll(many);
  await sleep(5000);
  const all = groups(own().dir);
  // Fewer groups than apps would mean that some died.
  const sums = all.map((dir) => ({ ...charged(dir), pss: pss(dir) }));
  const mean = (of) => sums.reduce((sum, one) => sum + of(one), 0) / Math.max(1, sums.length);
  const each = mean((one) => one.anon + one.kernel);
  console.log(`\n${want.awake} hello apps awake (${failed} failed, ${all.length} groups with processes), a request each, 5 s later; means:`);
  console.log(`  by group: ${mib(mean((one) => one.anon))} of its own and ${mib(mean((one) => one.kernel))} of the kernel's`);
  console.log(`  by process (PSS, shared pages divided): ${mib(mean((one) => one.pss))}`);
  console.log(`  by the machine (MemAvailable before and after; others may have moved it): ${mib((before - available()) / want.awake)}`);
  console.log(`  the server then: ${mib(rss(many.child.pid) * MIB)}`);
  await many.stop();
  return each;
}

/**
 * The same with the server and all apps below a limit: nobody may be missing. Gives back what one app awake adds to all
 * that is charged there and cannot be given back: its own, the kernel's, and the server's for it.
 */
async function squeezed() {
  const group = limited(want["memory-gib"] * 2 ** 30);
  if (!group) return console.log("no group could be made to limit the server in");
  const log = openSync(join(many.dir, "server.log"), "a");
  const flags = ["serve", "--data", many.data, "--listen", `127.0.0.1:${many.port}`, "--domain", "localhost"];
  const into = `echo $$ > ${group.procs} && exec "$0" "$@"`;
  many.child = spawn("sh", ["-c", into, process.env.STEADY_BIN, ...flags], { stdio: ["ignore", log, log] });
  many.ended = new Promise((resolve) => many.child.once("exit", resolve));
  await answering(many.port, many.host, "/", (reply) => reply.status < 500);
  await sleep(3000);
  const before = group.held();
  const failed = await wakeAll(many);
  await sleep(5000);
  const held = group.held() - before;
  const states = {};
  for (let n = 1; n <= want.awake; n++) {
    const { state } = JSON.parse((await many.api("GET", `/projects/dev/app-${n}/status`)).text);
    states[state] = (states[state] ?? 0) + 1;
  }
  const shown = Object.entries(states).map(([state, count]) => `${count} ${state}`).join(", ");
  console.log(`below a limit of ${want["memory-gib"]} GiB for server and apps: ${failed} failed; then ${shown}   goal: ${want.awake} ready`);
  const each = held / (states.ready ?? 1);
  console.log(`  all in, without cached files: ${mib(each)} an app awake`);
  await many.stop();
  group.remove();
  return each;
}
