import fs from "node:fs";
import os from "node:os";
import { join } from "node:path";

export default async () => {
  const at = fs.mkdtempSync(join(os.tmpdir(), "files-"));
  const path = join(at, "a");
  await Bun.write(path, "hello");
  fs.appendFileSync(path, " there");
  fs.symlinkSync("a", join(at, "link"));
  fs.linkSync(path, join(at, "hard"));
  fs.chmodSync(path, 0o600);
  fs.utimesSync(path, 1, 2);
  fs.copyFileSync(path, join(at, "copy"));
  fs.cpSync(at, join(process.env.DATA_DIR!, "tree"), { recursive: true });
  const { mode, mtimeMs, nlink } = fs.statSync(path);
  const names = fs.readdirSync(at).sort();
  const link = [fs.readlinkSync(join(at, "link")), fs.realpathSync(join(at, "link")) === path];
  const text = await Bun.file(join(process.env.DATA_DIR!, "tree", "copy")).text();
  fs.truncateSync(path, 2);
  fs.renameSync(path, join(at, "b"));
  const short = fs.readFileSync(join(at, "b"), "utf8");
  fs.rmSync(at, { recursive: true });
  return [names, (mode & 0o777).toString(8), mtimeMs, nlink, link, text, short, fs.existsSync(at)];
};
