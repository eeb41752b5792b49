import { join } from "node:path";
import { Worker as Thread } from "node:worker_threads";

/** node's and the web's, and memory that they share. */
export default async () => {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const thread = new Thread(join(import.meta.dir, "thread.ts"), { workerData: shared });
  const said = await new Promise(done => thread.once("message", done));
  await thread.terminate();
  const web = new Worker(new URL("./web.ts", import.meta.url).href);
  const echo = await new Promise(done => {
    web.onmessage = event => done(event.data);
    web.postMessage([1, 2]);
  });
  web.terminate();
  return [said, Atomics.load(shared, 0), echo];
};
