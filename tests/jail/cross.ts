// One app against another on the same server; `facts` names what no program could guess.
import fs from "node:fs";
import { bytes, call, check, facts, O, open, said, stage, sys } from "./kit.ts";
export { default } from "./kit.ts";

const home = process.env.HOME!;
const connect = (family: number, to: Uint8Array, length: number) => {
  const fd = sys("socket", family, 1, 0);
  const answer = sys("connect", fd, to, length);
  sys("close", fd);
  return said(answer);
};
const unix = (name: string) => connect(1, bytes(1, 0, ...Buffer.from(name)), 2 + name.length);

check("the neighbour's home", () => fs.readFileSync(facts.neighbourHome + "/secret.txt"), "ENOENT");
check("the neighbour's code", () => fs.readFileSync(facts.neighbourCode + "/index.ts"), "ENOENT");
check("the neighbour's logs", () => fs.readdirSync(facts.neighbourLogs), "ENOENT");
check("the neighbour's /tmp", () => fs.readFileSync("/tmp/secret.txt"), "ENOENT");
check("the neighbour's file beside its own", () => fs.readFileSync(home + "/secret.txt"), "ENOENT");
check("other apps beside its home", () => fs.readdirSync(home + "/.."), "EACCES");
check("other apps beside its code", () => fs.readdirSync("/app/.."), "EACCES");
check("other sockets beside its own", () => fs.readdirSync("/run/steady"), ["http.sock"]);
check("the neighbour's environment", () => open(`/proc/${facts.neighbour}/environ`), "ENOENT");
check("the neighbour's memory", () => open(`/proc/${facts.neighbour}/mem`, O.RDWR), "ENOENT");
check("the neighbour's root", () => open(`/proc/${facts.neighbour}/root`), "ENOENT");
check("signal the neighbour", () => call("kill", facts.neighbour, 9), "ESRCH");
check("queue a signal for the neighbour", () => call("rt_sigqueueinfo", facts.neighbour, 9, bytes(9, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255)), "ESRCH");
check("trace the neighbour", () => call("ptrace", 16, facts.neighbour, 0, 0), "EPERM");
check("read the neighbour's memory", () => call("process_vm_readv", facts.neighbour, bytes(), 1, bytes(), 1, 0), "EPERM");
check("open the neighbour", () => call("pidfd_open", facts.neighbour, 0), "ESRCH");
check("the neighbour's priority", () => call("getpriority", 0, facts.neighbour), "ESRCH");
check("change the priority of the neighbour's user", () => call("setpriority", 2, facts.neighbourUid, 19), "ESRCH");
check("the neighbour's scheduler", () => call("sched_setscheduler", facts.neighbour, 0, bytes()), "ESRCH");
check("the neighbour's processors", () => call("sched_setaffinity", facts.neighbour, 8, bytes(1)), "ESRCH");
check("the neighbour's group", () => call("setpgid", 0, facts.neighbour), "EPERM");
check("the neighbour's robust list", () => call("get_robust_list", facts.neighbour, bytes(), bytes()), "ESRCH");
check("become the neighbour", () => call("setuid", facts.neighbourUid), "EPERM");
check("connect to the neighbour's port", () => connect(2, bytes(2, 0, facts.port >> 8, facts.port & 255, 127, 0, 0, 1), 16), "ECONNREFUSED");
check("connect to the neighbour's abstract socket", () => unix("\0neighbour"), "ECONNREFUSED");
check("connect to the neighbour's socket in /tmp", () => unix("/tmp/neighbour.sock\0"), "ENOENT");
check("send the neighbour a descriptor", () => {
  const fd = sys("socket", 1, 2, 0);
  const to = bytes(1, 0, ...Buffer.from("\0neighbour"));
  const message = new BigUint64Array(8);
  const { ptr } = require("bun:ffi");
  message.set([BigInt(ptr(to)), 12n]);
  return call("sendmsg", fd, message, 0);
}, "ECONNREFUSED");
check("take the neighbour's abstract name", () => call("bind", sys("socket", 1, 1, 0), bytes(1, 0, ...Buffer.from("\0neighbour")), 12), "ok");
check("take the neighbour's port", () => call("bind", sys("socket", 2, 1, 0), bytes(2, 0, facts.port >> 8, facts.port & 255, 127, 0, 0, 1), 16), "ok");
check("the name of its group says nothing", () => fs.readFileSync("/proc/self/cgroup", "utf8").trim().split("\n").filter(line => !/^\d+:[^:]*:\/$/.test(line)), []);
check("the name of its host says nothing", () => require("node:os").hostname(), "app");
check("its user is its own", () => process.getuid!() !== facts.neighbourUid, true);
check("sockets in the tables of its network", () => fs.readFileSync("/proc/self/net/unix", "utf8").includes("neighbour.sock"), false);

stage("/write");
check("leave something for whoever comes after", () => {
  fs.writeFileSync(home + "/old.txt", "of the first");
  fs.writeFileSync("/tmp/old.txt", "of the first");
  fs.writeFileSync("/dev/null", "of the first");
  return fs.readFileSync("/tmp/old.txt", "utf8");
}, "of the first");

stage("/again");
check("the home of one that was deleted", () => fs.readFileSync(home + "/old.txt"), "ENOENT");
check("the /tmp of one that was deleted", () => fs.readdirSync("/tmp"), []);
check("the sockets of one that was deleted", () => fs.readdirSync("/run/steady"), ["http.sock"]);
check("who it is after it was deleted", () => [process.getuid!() === facts.uid, facts.uid !== facts.oldUid], [true, true]);
