// Runs a program that is in no file: prints the error's code, or that it ran.
import fs from "node:fs";
import { sys } from "./kit.ts";

const fd = sys("memfd_create", "program", 0);
fs.writeSync(fd, fs.readFileSync("/app/true"));
try {
  const done = Bun.spawnSync([`/proc/${process.pid}/fd/${fd}`]);
  console.log(done.exitCode === 0 ? "ran" : `ended with ${done.signalCode ?? done.exitCode}`);
} catch (error: any) {
  console.log(error.code);
}
