// See proxy.sh. In every round each contestant has its turn (A B C A B C …), in another order each time.
import { parseArgs } from "node:util";
import { machine, median, sleep } from "../lib.mjs";
import { certificate, direct, peer, peers, speaksTls, steady } from "./contestants.mjs";
import { idle } from "./idle.mjs";
import { h2load, wrk } from "./load.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "4" },
    peers: { type: "string" }, connections: { type: "string", default: "10000" },
  },
});
const rounds = Number(values.rounds), seconds = Number(values.seconds), crowd = Number(values.connections);
const sections = { plain, tls, h2, new: fresh, log, idle: memory };
const chosen = positionals.length ? positionals : Object.keys(sections);
const wrong = chosen.find((name) => !sections[name]);
if (wrong) {
  console.error(`error: no such section: ${wrong}\nhint: one or more of: ${Object.keys(sections).join(" ")}`);
  process.exit(2);
}

machine();
const have = peers();
const wanted = values.peers?.split(",") ?? Object.keys(have);
const certs = certificate();
const running = [];
const begin = async (starting) => {
  const one = await starting;
  running.push(one);
  return one;
};
let failed = 0, secured;
try {
  const app = await begin(direct());
  const mine = await begin(steady());
  const others = [];
  for (const name of wanted.filter((name) => have[name])) others.push(await begin(peer(name, have[name], app.plain, certs)));
  const missing = wanted.filter((name) => !have[name]);
  console.log(`program: ${process.env.STEADY_BIN}; ${rounds} rounds of ${seconds} s${missing.length ? `; not here: ${missing.join(", ")}` : ""}`);
  for (const name of chosen) await sections[name]({ app, mine, others });
} finally {
  for (const one of running.reverse()) await one.stop();
}
if (failed) console.log(`\n${failed} requests failed; a figure with failures is no figure`);
process.exit(0);

/** One table: `load(contestant)` for each of them, `rounds` times. */
async function compare(what, all, load) {
  const results = new Map(all.map((one) => [one, []]));
  for (let round = 0; round < rounds; round++) {
    const order = [...all.slice(round % all.length), ...all.slice(0, round % all.length)];
    for (const one of order) {
      results.get(one).push(await load(one));
      await sleep(200);
    }
  }
  const mine = results.get(all.find((one) => one.name === "steady"));
  const middle = (samples, key) => median(samples.map((sample) => sample[key]));
  const rows = [...results].map(([one, samples]) => {
    const lost = samples.reduce((sum, sample) => sum + sample.failed, 0);
    failed += lost;
    const rates = samples.map(({ rate }) => Math.round(rate));
    const ratio = (key) => (middle(mine, key) / middle(samples, key)).toFixed(2);
    return [
      one.name, middle(samples, "rate").toFixed(0), `${Math.min(...rates)}–${Math.max(...rates)}`, ratio("rate"),
      `${middle(samples, "p99").toFixed(2)} ms`, ratio("p99"), lost || "",
    ];
  });
  show(what, ["", "requests/s", "spread", "Steady to it", "p99", "Steady's to its", "failed"], rows);
}

function show(what, head, rows) {
  const all = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, i) => Math.max(...all.map((row) => [...row[i]].length)));
  console.log(`\n${what}`);
  for (const row of all) console.log(`  ${row.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd()}`);
}

async function plain({ app, mine, others }) {
  for (const [path, size] of [["/", "100 bytes"], ["/large", "1 MB"]])
    for (const connections of [32, 256])
      await compare(`HTTP/1.1, ${size}, ${connections} connections`, [app, mine, ...others], (one) =>
        wrk({ port: one.plain, path, connections, seconds }));
}

/** Steady with TLS, started when first needed; says so where it has none. */
async function secure(what) {
  if (!speaksTls()) console.log(`\n${what}: left out, this Steady does not end TLS`);
  else secured ??= await begin(steady(certs));
  return secured;
}

async function tls({ others }) {
  const mine = await secure("TLS");
  if (!mine) return;
  for (const [path, size] of [["/", "100 bytes"], ["/large", "1 MB"]])
    for (const connections of [32, 256])
      await compare(`HTTP/1.1 over TLS 1.3, ${size}, ${connections} connections`, [mine, ...others], (one) =>
        wrk({ port: one.tls, tls: true, path, connections, seconds }));
}

async function h2({ others }) {
  const mine = await secure("HTTP/2");
  if (!mine) return;
  for (const [path, size, each] of [["/", "100 bytes", 5000], ["/large", "1 MB", 100]])
    for (const [connections, streams] of [[32, 8], [256, 1]])
      await compare(`HTTP/2 over TLS 1.3, ${size}, ${connections} connections of ${streams} requests at once`, [mine, ...others], (one) =>
        h2load({ port: one.tls, path, connections, streams, requests: Math.max(each * seconds, connections * 2) }));
}

/** New connections a second: one request on each. */
async function fresh({ app, mine, others }) {
  await compare("a connection a request, 32 at once", [app, mine, ...others], (one) => wrk({ port: one.plain, connections: 32, seconds, fresh: true }));
  const secured = await secure("a TLS connection a request");
  if (!secured) return;
  await compare("a TLS 1.3 connection a request, 32 at once", [secured, ...others], (one) => wrk({ port: one.tls, tls: true, connections: 32, seconds, fresh: true }));
}

/** Steady always writes its request log; here the peers write theirs too, buffered. */
async function log({ app, mine, others }) {
  const writing = [];
  for (const { name } of others) writing.push(await begin(peer(name, have[name], app.plain, certs, { logs: true })));
  await compare("HTTP/1.1, 100 bytes, 32 connections, all with an access log", [mine, ...writing], (one) => wrk({ port: one.plain, connections: 32, seconds }));
}

/** Of programs that have done nothing else yet: what load has left in a heap would hide what connections take. */
async function memory({ app }) {
  const rows = [];
  for (const start of [() => steady(), ...wanted.filter((name) => have[name]).map((name) => () => peer(name, have[name], app.plain, certs))]) {
    const one = await start();
    const { before, after, open } = await idle(one, crowd).finally(() => one.stop());
    rows.push([one.name, `${before.toFixed(1)} MiB`, `${after.toFixed(1)} MiB`, `${(((after - before) * 1024) / crowd).toFixed(2)} KiB`, open]);
  }
  show(`memory at ${crowd} idle connections`, ["", "before", "then", "a connection", "still open"], rows);
}
