import { join } from "node:path";
import * as esbuild from "esbuild";

/** A Go program, spoken to over pipes. */
export default async () => {
  const outfile = join(process.env.DATA_DIR!, "out.js");
  const stdin = { contents: "import _ from 'lodash/chunk.js'; console.log(_([1, 2, 3], 2)) as any", loader: "ts" as const, resolveDir: import.meta.dir };
  await esbuild.build({ stdin, bundle: true, minify: true, outfile, logLevel: "silent" });
  const { code } = await esbuild.transform("let x: number = 1 + 2; export { x }", { loader: "ts" });
  await esbuild.stop();
  const ran = Bun.spawnSync([process.execPath, outfile]);
  return [code, ran.stdout.toString().trim()];
};
