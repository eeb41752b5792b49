// What a proxy's memory grows by when many clients keep a connection open and say nothing.
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { sleep } from "../lib.mjs";
import { HOST } from "./contestants.mjs";

/** MiB of all these processes; what they share counts once. */
const memory = (pids) =>
  pids.reduce((sum, pid) => sum + Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1]), 0) / 1024;

/** Resolves when its one request was answered; the connection stays. */
const held = (port) =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`GET / HTTP/1.1\r\nhost: ${HOST}:${port}\r\n\r\n`));
    socket.once("data", () => resolve(socket));
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed before it answered")));
  });

/** Memory before and with `count` idle connections, and how many of these were still open at the end. */
export async function idle({ plain, pids }, count) {
  const before = memory(pids());
  const sockets = [];
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(64, count - sockets.length) }, () => held(plain));
    sockets.push(...(await Promise.all(some)));
  }
  await sleep(2000);
  const after = memory(pids());
  const open = sockets.filter((socket) => !socket.destroyed && !socket.readableEnded).length;
  sockets.forEach((socket) => socket.removeAllListeners().on("error", () => {}).destroy());
  await sleep(1000);
  return { before, after, open };
}
