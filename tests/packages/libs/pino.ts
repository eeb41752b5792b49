import { readFileSync } from "node:fs";
import { join } from "node:path";
import pino from "pino";

/** To a file, by way of the worker thread that pino writes with. */
export default async () => {
  const path = join(process.env.DATA_DIR!, "pino.log");
  const transport = pino.transport({ target: "pino/file", options: { destination: path } });
  await new Promise(done => transport.once("ready", done));
  const log = pino({ base: null, timestamp: false }, transport);
  log.child({ part: "a" }).warn({ n: 1 }, "careful");
  await new Promise<void>(done => log.flush(() => done()));
  transport.end();
  await new Promise(done => transport.once("close", done));
  return JSON.parse(readFileSync(path, "utf8"));
};
