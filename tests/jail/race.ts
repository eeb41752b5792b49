// Connects to an address that another thread changes all the time between loopback and elsewhere. Whatever the
// server reads and the kernel then takes, each answer is one of the two refusals.
import { said, sys } from "./kit.ts";

const port = Number(process.argv[2]);
const address = new Uint8Array(new SharedArrayBuffer(64));
address.set([2, 0, port >> 8, port & 255, 127, 0, 0, 1]);
const worker = new Worker("data:text/javascript," + encodeURIComponent(
  // As long the one as the other: on one processor it is interrupted, not watched.
  "onmessage = e => { postMessage(0); const a = e.data; for (;;) for (const b of [8, 127]) for (let n = 0; n < 500; n++) Atomics.store(a, 4, b); }"));
worker.postMessage(address);
await new Promise(ready => (worker.onmessage = ready));
const got = new Set<string>();
for (let n = 0; n < 4000 && (n < 1000 || got.size < 2); n++) {
  const fd = sys("socket", 2, 1, 0);
  got.add(said(sys("connect", fd, address, 16)));
  sys("close", fd);
}
console.log([...got].sort().join(" "));
process.exit(0);
