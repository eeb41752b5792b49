// The clients: wrk for HTTP/1.1, h2load for HTTP/2. Each gives requests a second, p99 in ms, and how many failed.
import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { temporary } from "../lib.mjs";
import { HOST } from "./contestants.mjs";

const run = (command, args) =>
  new Promise((resolve, reject) =>
    execFile(command, args, { maxBuffer: 1 << 26, encoding: "utf8" }, (error, out, err) =>
      error ? reject(new Error(`${command} ${args.join(" ")}: ${error.message}\n${err}`)) : resolve(out)));

const number = (text, pattern) => Number(pattern.exec(text)?.[1] ?? 0);
const units = { us: 0.001, ms: 1, s: 1000, m: 60_000 };

/** `fresh`: a connection a request. */
export async function wrk({ port, tls, path = "/", connections, seconds, fresh }) {
  const scheme = tls ? "https" : "http";
  const args = ["-t2", `-c${connections}`, `-d${seconds}s`, "--latency", "--timeout", "30s", "-H", `Host: ${HOST}:${port}`];
  if (fresh) args.push("-H", "Connection: close");
  const out = await run("wrk", [...args, `${scheme}://127.0.0.1:${port}${path}`]);
  const [, amount, unit] = /99%\s+([\d.]+)(us|ms|s|m)\b/.exec(out) ?? [];
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(out)?.slice(1).map(Number) ?? [0, 0, 0, 0];
  // wrk counts the end of a connection that was to end as an error in reading.
  const broken = fresh ? errors[0] + errors[3] : errors.reduce((a, b) => a + b);
  return {
    rate: number(out, /Requests\/sec:\s+([\d.]+)/),
    p99: Number(amount) * units[unit],
    failed: broken + number(out, /Non-2xx or 3xx responses: (\d+)/),
  };
}

const logs = temporary();

export async function h2load({ port, path = "/", connections, streams, requests }) {
  const log = join(logs, `${port}`);
  rmSync(log, { force: true });
  const args = ["-n", requests, "-c", connections, "-m", streams, "-t", 2, `--log-file=${log}`, `--connect-to=127.0.0.1:${port}`];
  const out = await run("h2load", [...args.map(String), `https://${HOST}:${port}${path}`]);
  // A line a request: when it began, its status, microseconds.
  const times = readFileSync(log, "utf8").trim().split("\n").map((line) => Number(line.split("\t")[2])).sort((a, b) => a - b);
  const done = number(out, /status codes: (\d+) 2xx/);
  return { rate: number(out, /finished in .*?, ([\d.]+) req\/s/), p99: times[Math.floor(times.length * 0.99)] / 1000, failed: requests - done };
}
