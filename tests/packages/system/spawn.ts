import { execFile, execSync, fork } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const child = join(import.meta.dir, "child.js");

export default async () => {
  const one = Bun.spawn([process.execPath, child, "a"], { stdin: "pipe", stdout: "pipe" });
  one.stdin.write("hello");
  one.stdin.end();
  const out = await one.stdout.text();
  const two = await promisify(execFile)("node", [child, "b"], { input: "" } as any);
  const three = execSync("echo 42 | cat").toString();
  const four = fork(child, ["ipc"]);
  const message = await new Promise(done => four.once("message", done));
  four.disconnect();
  const killed = Bun.spawn([process.execPath, "-e", "setInterval(() => {}, 1e6)"]);
  killed.kill("SIGTERM");
  await killed.exited;
  return [out, two.stdout, three, message, killed.signalCode];
};
