// See first-light.sh. Steady and its peer take turns in every round: A B A B …
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BUN, PASSWORD, Steady, answering, freePort, git, http, machine, median, now, rss, sleep, spread, table, temporary } from "./lib.mjs";

const { values } = parseArgs({
  options: { full: { type: "boolean" }, rounds: { type: "string", default: "7" }, apps: { type: "string", default: "1000" } },
});
const rounds = Math.max(5, Number(values.rounds));
const apps = Number(values.apps);
const code = (n) => `export default { fetch: () => new Response("version ${n}") };\n`;
const says = (n) => (reply) => reply.status === 200 && reply.text === `version ${n}`;
const rows = [];
const ms = (all) => `${Math.round(median(all))} ms`;
const pair = (what, mine, theirs, peer) =>
  rows.push([what, ms(mine), spread(mine), ms(theirs), spread(theirs), (median(mine) / median(theirs)).toFixed(2), peer]);

machine();
console.log(`program: ${process.env.STEADY_BIN}, ${rounds} rounds\n`);
if (values.full) await cleanClone();
const steady = await Steady.start();
try {
  await runClick();
  await push();
  await sleepers();
} finally {
  await steady.stop();
}
table(rows);

/** Spawns `bun index.ts` and waits for its first byte. Gives back the time from `began`. */
async function byHand(dir, n, began) {
  const port = await freePort();
  began ??= now();
  const child = spawn(BUN, ["index.ts"], { cwd: dir, env: { PATH: process.env.PATH, PORT: String(port) }, stdio: "ignore" });
  const first = await answering(port, `localhost:${port}`, "/", says(n));
  child.kill("SIGKILL");
  return first - began;
}

async function runClick() {
  const { port, host } = steady;
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const signed = await http(port, host, "/signin", { method: "POST", headers: form, body: `name=dev&password=${PASSWORD.replaceAll(" ", "+")}` });
  const cookie = signed.headers["set-cookie"][0].split(";")[0];
  const csrf = /name="csrf" content="([^"]+)"/.exec((await http(port, host, "/new", { headers: { cookie } })).text)[1];
  const post = (path, body, more) =>
    http(port, host, path, { method: "POST", headers: { cookie, "x-csrf-token": csrf, "content-type": "application/json", ...more }, body: JSON.stringify(body) });
  await steady.api("POST", "/projects", { name: "clicked", template: "hello" });
  const mine = [], theirs = [];
  for (let n = 0; n < rounds; n++) {
    const { commit } = JSON.parse((await http(port, host, "/dev/clicked/files", { headers: { cookie, accept: "application/json" } })).text);
    await post("/dev/clicked/files", { on: commit, changes: [{ op: "write", path: "index.ts", text: code(n) }] });
    let began = now();
    const ran = await post("/dev/clicked/run", {}, { accept: "application/x-ndjson" });
    const { result } = JSON.parse(ran.text.trim().split("\n").at(-1));
    if (!result) throw new Error(`Run failed: ${ran.text}`);
    const { hostname } = new URL(result.url);
    mine.push((await answering(port, `${hostname}:${port}`, "/", says(n))) - began);
    const dir = temporary();
    writeFileSync(join(dir, "index.ts"), code(n));
    theirs.push(await byHand(dir, n));
  }
  pair("Run click to first byte", mine, theirs, "bun index.ts by hand");
}

async function push() {
  const dir = temporary();
  const mineAt = join(dir, "mine"), theirsAt = join(dir, "theirs"), bare = join(dir, "bare.git");
  git(dir, "init", "-q", "--bare", "-b", "main", bare);
  const remotes = [[mineAt, `http://dev:${steady.token}@${steady.host}/dev/pushed.git`], [theirsAt, bare]];
  for (const [at, remote] of remotes) {
    mkdirSync(at);
    git(at, "init", "-q", "-b", "main");
    git(at, "remote", "add", "origin", remote);
  }
  const commit = (at, n) => {
    writeFileSync(join(at, "index.ts"), code(n));
    git(at, "add", "-A");
    git(at, "commit", "-q", "-m", `Version ${n}`);
  };
  const mine = [], theirs = [];
  // Round 0 makes the projects and is not counted.
  for (let n = 0; n <= rounds; n++) {
    commit(mineAt, n);
    commit(theirsAt, n);
    let began = now();
    git(mineAt, "push", "-q", "origin", "main");
    const a = (await answering(steady.port, steady.app("pushed"), "/", says(n))) - began;
    began = now();
    git(theirsAt, "push", "-q", "origin", "main");
    const b = await byHand(theirsAt, n, began);
    if (n > 0) {
      mine.push(a);
      theirs.push(b);
    }
  }
  pair("push of one file to the new version answering", mine, theirs, "git push to a bare repository + bun index.ts");
}

async function sleepers() {
  const fresh = await Steady.start();
  await sleep(2000);
  const empty = fresh.memory();
  await fresh.stop();

  const dir = temporary();
  writeFileSync(join(dir, "index.ts"), code(0));
  const port = await freePort();
  const bun = spawn(BUN, ["index.ts"], { cwd: dir, env: { PATH: process.env.PATH, PORT: String(port) }, stdio: "ignore" });
  await answering(port, `localhost:${port}`, "/", says(0));
  await sleep(2000);
  const one = rss(bun.pid);
  bun.kill("SIGKILL");

  const many = await Steady.start();
  let next = 0;
  const worker = async () => {
    for (let n = next++; n < apps; n = next++) {
      const made = await many.api("POST", "/projects", { name: `sleeper-${n}`, template: "hello" });
      if (made.status >= 300) throw new Error(`create: ${made.status} ${made.text}`);
      const deployed = await many.api("POST", `/projects/dev/sleeper-${n}/deploys`, {});
      if (deployed.status >= 300 || !deployed.text.includes('"result"')) throw new Error(`deploy: ${deployed.status} ${deployed.text.slice(-300)}`);
      if (n % 50 === 49) process.stderr.write(`\r${n + 1} of ${apps} apps deployed `);
    }
  };
  const began = now();
  await Promise.all([worker(), worker()]);
  process.stderr.write(`\n${apps} apps in ${Math.round((now() - began) / 1000)} s\n`);
  // A start with all of them registered and none awake is what a server lives with.
  await many.stop();
  await many.launch();
  await sleep(2000);
  const full = many.memory();
  await many.stop();
  const mib = (n) => `${n.toFixed(1)} MiB`;
  rows.push(["resident memory, no apps", mib(empty), "", mib(one), "", (empty / one).toFixed(2), "one idle bun index.ts"]);
  rows.push([`resident memory, ${apps} sleeping apps`, mib(full), "", mib(one), "", (full / one).toFixed(2), "one idle bun index.ts"]);
  rows.push(["per sleeping app", `${(((full - empty) * 1024) / apps).toFixed(1)} KiB`, "", `${(one * 1024).toFixed(0)} KiB`, "", "", "one idle bun index.ts"]);
}

/** A clone with nothing in it, by README's first command. */
async function cleanClone() {
  const dir = join(temporary(), "steady");
  const port = await freePort();
  const began = now();
  execFileSync("git", ["clone", "-q", process.cwd(), dir]);
  const env = { ...process.env, STEADY_LISTEN: `127.0.0.1:${port}`, CARGO_TARGET_DIR: join(dir, "target") };
  const child = spawn("./dev", ["run"], { cwd: dir, env, stdio: ["ignore", "inherit", "inherit"], detached: true });
  const first = await answering(port, `localhost:${port}`, "/", (reply) => reply.status === 200, 3_600_000);
  process.kill(-child.pid, "SIGTERM");
  rows.push(["clean clone to first page", `${Math.round((first - began) / 1000)} s`, "", "", "", "", "(no peer: it compiles everything once)"]);
}
