import { mkdirSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";

export default async () => {
  const at = join(process.env.DATA_DIR!, "watched");
  mkdirSync(at, { recursive: true });
  const seen = new Promise(done => {
    const watcher = watch(at, (_, name) => {
      watcher.close();
      done(name);
    });
  });
  // Until it is seen: when watching begins is not told.
  const again = setInterval(() => writeFileSync(join(at, "new.txt"), String(Math.random())), 50);
  const name = await seen;
  clearInterval(again);
  return name;
};
