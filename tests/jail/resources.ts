// Bombs. Each goes off in a stage of its own while a neighbour is asked; none may get beyond its own limits.
import fs from "node:fs";
import kit, { bomb, call, check, facts, fork, other, said, stage, sys } from "./kit.ts";

const home = process.env.HOME!;
/** Makes as many as it can, and ends them: why there are no more, and whether that was at the limit. */
function many(make: () => number, most: number): [string, boolean] {
  const made: number[] = [];
  let last = 0;
  while (made.length <= most && (last = make()) >= 0) made.push(last);
  for (const fd of made) sys("close", fd);
  return [said(last), made.length <= most];
}

stage("/forks");
check("a fork bomb", () => {
  const [why, count] = bomb("sleepers");
  return [why, count > 10 && count < facts.pids];
}, ["EAGAIN", true]);
check("a bomb of dead children", () => {
  const [why, count] = bomb("dead");
  return [why, count > 10 && count < facts.pids];
}, ["EAGAIN", true]);
check("it can start processes again", () => other("hello.ts"), "hello");

stage("/threads");
check("a bomb of threads", () => {
  // How Bun ends without its threads is its own affair; that this returns is what counts.
  Bun.spawnSync([process.execPath, "/app/threads.ts"], { timeout: 3000, killSignal: "SIGKILL", stdio: ["ignore", "ignore", "ignore"] });
  return other("hello.ts");
}, "hello");

stage("/spin");
check("more spinning processes than processors", async () => {
  const made = Array.from({ length: 24 }, () => fork("spinner"));
  await Bun.sleep(1500);
  for (const pid of made) sys("kill", pid, 9);
  for (const pid of made) sys("wait4", pid, 0, 0, 0);
  return made.every(pid => pid > 0);
}, true);

stage("/descriptors");
check("descriptors", () => many(() => sys("openat", -100, "/dev/null", 0), facts.files), ["EMFILE", true]);
check("sockets", () => many(() => sys("socket", 2, 1, 0), facts.files), ["EMFILE", true]);
check("event counters", () => many(() => sys("eventfd2", 0, 0), facts.files), ["EMFILE", true]);
check("memory files", () => many(() => sys("memfd_create", "x", 0), facts.files), ["EMFILE", true]);
check("epolls", () => many(() => sys("epoll_create1", 0), facts.files), ["EMFILE", true]);
check("a pipe larger than pipes may be", () => {
  const ends = new Int32Array(16);
  sys("pipe2", ends, 0);
  const answer = call("fcntl", ends[0], 1031, 1 << 30);
  for (const fd of [ends[0], ends[1]]) sys("close", fd);
  return answer;
}, "EPERM");

stage("/watches");
let held: number[] = [];
check("watches of files", () => {
  let last = 0;
  while (held.length < 4096 && (last = sys("inotify_init1", 0)) >= 0) held.push(last);
  return said(last);
}, "EMFILE");
stage("/watches/end");
check("give the watches back", () => held.every(fd => sys("close", fd) === 0), true);

stage("/dirty");
check("dirty pages and fsync", () => {
  const megabytes = new Uint8Array(8 << 20).fill(7);
  for (let n = 0; n < 6; n++) {
    const fd = fs.openSync(home + "/dirty" + n, "w");
    fs.writeSync(fd, megabytes);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  }
  for (let n = 0; n < 6; n++) fs.unlinkSync(home + "/dirty" + n);
  return "done";
}, "done");

stage("/log");
check("a flood of log lines", () => {
  const line = "flood ".repeat(40) + "\n";
  // Five times what is kept in a second; more takes minutes in an emulated machine.
  for (let n = 0; n < 5; n++) fs.writeSync(1, line.repeat(2000));
  return "done";
}, "done");
check("a log line without an end", () => {
  for (let n = 0; n < 30; n++) fs.writeSync(2, "x".repeat(100_000));
  return "done";
}, "done");

function eat(): never {
  const all = [];
  for (;;) all.push(new Uint8Array(8 << 20).fill(1));
}
export default {
  ...kit,
  fetch: (request: Request) => (new URL(request.url).pathname === "/memory" ? eat() : kit.fetch(request)),
};
