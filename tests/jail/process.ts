// Other processes, other users, other namespaces, programs that are no files.
import fs from "node:fs";
import { bytes, call, check, facts, fork, numbered, open, other, said, stage, sys } from "./kit.ts";
export { default } from "./kit.ts";

const home = process.env.HOME!;
const KILL = 9;
const status = (field: string) => fs.readFileSync("/proc/self/status", "utf8").match(new RegExp(`^${field}:[ \\t]*(.*)$`, "m"))?.[1];
const namespace = (name: string) => sys("openat", -100, "/proc/self/ns/" + name, 0);
const NEW = { ns: 0x20000, cgroup: 0x2000000, uts: 0x4000000, ipc: 0x8000000, user: 0x10000000, pid: 0x20000000, net: 0x40000000, time: 0x80 };
// Landlock holds signals since its sixth version; before, the kernel only shields init from what would end it.
const held = facts.landlock >= 6 ? "EPERM" : "ok";

// Signals.
check("signal the server", () => call("kill", facts.server, 0), "ESRCH");
check("signal the zygote", () => call("kill", facts.zygote, 0), "ESRCH");
check("signal init", () => call("kill", 1, 0), held);
check("end init", () => call("kill", 1, KILL), held);
check("stop init", () => call("kill", 1, 19), held);
check("signal a thread of init", () => call("tgkill", 1, 1, KILL), held);
check("signal init by tkill", () => call("tkill", 1, KILL), held);
check("signal init by a descriptor", () => call("pidfd_send_signal", sys("pidfd_open", 1, 0), KILL, 0, 0), held);
check("signal everybody", () => call("kill", -1, 0), "ESRCH");
check("signal the group of the zygote", () => call("kill", 0, 0), "ok");
check("open the server by pidfd", () => call("pidfd_open", facts.server, 0), "ESRCH");

// Looking into others.
check("trace init", () => call("ptrace", 0x4206, 1, 0, 0), "EPERM");
check("attach to init", () => call("ptrace", 16, 1, 0, 0), "EPERM");
check("be traced", () => call("ptrace", 0, 0, 0, 0), "EPERM");
check("read memory of init", () => call("process_vm_readv", 1, bytes(), 1, bytes(), 1, 0), "EPERM");
check("write memory of init", () => call("process_vm_writev", 1, bytes(), 1, bytes(), 1, 0), "EPERM");
check("advise memory of init", () => call("process_madvise", sys("pidfd_open", 1, 0), bytes(), 1, 21, 0), "EPERM");
check("release memory of init", () => call("process_mrelease", sys("pidfd_open", 1, 0), 0), "EPERM");
check("take a descriptor of init", () => call("pidfd_getfd", sys("pidfd_open", 1, 0), 0, 0), "EPERM");
check("compare with init", () => call("kcmp", 1, process.pid, 0, 0, 0), "EPERM");
check("namespaces of init by its descriptor", () => call("ioctl", sys("pidfd_open", 1, 0), 0xff09, 0), "ENOSYS");
check("environment of init", () => open("/proc/1/environ"), "ENOENT");
check("memory of init", () => open("/proc/1/mem", 2), "ENOENT");
check("descriptors of init", () => open("/proc/1/fd"), "ENOENT");
check("environment of the server", () => open(`/proc/${facts.server}/environ`), "ENOENT");
check("processes it sees", () => fs.readdirSync("/proc").filter(name => /^\d+$/.test(name)), [String(process.pid)]);
check("what the server set for others", () => Object.keys(process.env).filter(name => /TOKEN|SECRET|KEY|CARGO|SSH|REGISTRY/i.test(name)), []);
check("read limits of init", () => call("prlimit64", 1, 7, 0, bytes()), "ENOSYS");

// Namespaces.
check("unshare a user namespace", () => call("unshare", NEW.user), "EPERM");
check("unshare mounts", () => call("unshare", NEW.ns), "EPERM");
check("unshare the network", () => call("unshare", NEW.net), "EPERM");
check("unshare processes", () => call("unshare", NEW.pid), "EPERM");
check("unshare nothing", () => call("unshare", 0), "EPERM");
const cloned = (flags: number) => {
  // Were it allowed, the child would end here and not come back with an answer.
  const pid = sys("clone", flags | 17, 0, 0, 0, 0);
  return pid === 0 ? process.exit(0) : said(pid);
};
check("clone into a user namespace", () => cloned(NEW.user), "ENOSYS");
check("clone into other mounts", () => cloned(NEW.ns), "ENOSYS");
check("clone into another network", () => cloned(NEW.net), "ENOSYS");
check("clone into another cgroup namespace", () => cloned(NEW.cgroup), "ENOSYS");
check("clone into all at once", () => cloned(NEW.user | NEW.ns | NEW.net | NEW.pid | NEW.ipc | NEW.uts | NEW.cgroup), "ENOSYS");
check("clone3", () => call("clone3", bytes(), 64), "ENOSYS");
check("clone3 into a user namespace", () => call("clone3", bytes(0, 0, 0, 0x10), 88), "ENOSYS");
check("enter its own user namespace anew", () => call("setns", namespace("user"), 0), "EPERM");
check("enter a namespace by pidfd", () => call("setns", sys("pidfd_open", 1, 0), NEW.net), "EPERM");
check("the parent of its namespace", () => call("ioctl", namespace("user"), 0xb702), "ENOSYS");

// Other users.
check("become root", () => call("setuid", 0), "EPERM");
check("become root's group", () => call("setgid", 0), "EPERM");
check("become root in every way", () => call("setresuid", 0, 0, 0), "EPERM");
check("become root by half", () => call("setreuid", -1, 0), "EPERM");
check("join groups", () => call("setgroups", 1, bytes()), "EPERM");
check("root for files", () => call("setfsuid", 0), "EPERM");
check("every capability", () => call("capset", bytes(0x22, 5, 8, 0x20), bytes(...Array(24).fill(255))), "EPERM");
check("an ambient capability", () => call("prctl", 47, 2, 21, 0, 0), "ENOSYS");
check("keep capabilities", () => call("prctl", 8, 1, 0, 0, 0), "ENOSYS");
check("secure bits", () => call("prctl", 28, 0x2f, 0, 0, 0), "ENOSYS");
check("take no_new_privs back", () => call("prctl", 38, 0, 0, 0, 0), "EINVAL");
check("change its memory map", () => call("prctl", 35, 1, 0, 0, 0), "ENOSYS");
check("let anybody trace it", () => call("prctl", 0x59616d61, -1, 0, 0, 0), "ENOSYS");
check("adopt orphans", () => call("prctl", 36, 1, 0, 0, 0), "ENOSYS");
check("core scheduling", () => call("prctl", 62, 1, 0, 0, 0), "ENOSYS");
check("speculation controls", () => call("prctl", 53, 0, 2, 0, 0), "ENOSYS");
check("who it is", () => status("Uid"), Array(4).fill(facts.uid).join("\t"));
check("which group it is", () => status("Gid"), Array(4).fill(facts.uid).join("\t"));
check("groups it is in", () => status("Groups")?.trim(), "");
check("capabilities it has", () => ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(status), Array(5).fill("0".repeat(16)));
check("no_new_privs is set", () => status("NoNewPrivs"), "1");
check("filters are in place", () => status("Seccomp"), "2");

// Priorities and limits.
check("real time", () => call("sched_setscheduler", 0, 1, bytes(50)), "EPERM");
check("a deadline scheduler", () => call("sched_setattr", 0, bytes(48, 0, 0, 0, 6), 0), "ENOSYS");
check("nice -20", () => call("setpriority", 0, 0, -20), "EACCES");
check("disk priority", () => call("ioprio_set", 1, 0, 1 << 13), "ENOSYS");
check("spared when memory ends", () => fs.writeFileSync("/proc/self/oom_score_adj", "-1000"), "EACCES");
const limit = (resource: number, to: number) => call("prlimit64", 0, resource, new BigUint64Array([BigInt(to), BigInt(to), 0n, 0n, 0n, 0n, 0n, 0n]), 0);
check("more open files", () => limit(7, 1 << 20), "EPERM");
check("core dumps", () => limit(4, 1 << 30), "EPERM");
check("larger files", () => limit(1, 2 ** 40), "EPERM");
check("real time by limit", () => limit(14, 99), "EPERM");
check("message queues by limit", () => limit(12, 1 << 20), "EPERM");

// Programs.
const program = (at: string) => (fs.copyFileSync("/app/true", at), fs.chmodSync(at, 0o755), at);
const started = (path: string) => Bun.spawnSync([path]).exitCode;
check("run a program from the home", () => started(program(home + "/true")), "EACCES");
check("run a program from /tmp", () => started(program("/tmp/true")), "EACCES");
check("run a script from /tmp", () => (fs.writeFileSync("/tmp/script", "#!/bin/sh\ntrue\n", { mode: 0o755 }), started("/tmp/script")), "EACCES");
check("run a program of /proc", () => started("/proc/self/cwd/../../tmp/true"), "EACCES");
check("map a program's code from /tmp", () => call("mmap", 0, 4096, 5, 2, sys("openat", -100, program("/tmp/true"), 0), 0), "EPERM");
check("load a program of /tmp through the loader", () => Bun.spawnSync([facts.loader, "/tmp/true"], { stderr: "ignore" }).exitCode, 127);
check("a program in memory", () => call("memfd_create", "x", 0x10), facts.memfdNoexec ? "EACCES" : "EINVAL");
check("run a program in memory", () => other("memory.ts"), facts.memfdNoexec ? "EACCES" : "ran");
check("run a descriptor", () => call("execveat", 0, "", 0, 0, 0x1000), "EPERM");
check("hide memory", () => call("memfd_secret", 0), "EPERM");

// Calls by other numbers.
check("an x32 call", () => said(numbered(0x40000000 + 39)), "ENOSYS");
check("an x32 execve", () => said(numbered(0x40000000 + 520, 0, 0, 0)), "ENOSYS");
check("an x32 ptrace", () => said(numbered(0x40000000 + 521, 0, 0, 0, 0)), "ENOSYS");
check("a number that nothing has", () => said(numbered(100_000)), "ENOSYS");
check("the number -1", () => said(numbered(-1)), "ENOSYS");
check("int 0x80", () => other("int80.ts"), facts.int80);

// In a stage of its own: the processes it leaves are looked for from outside.
stage("/daemons");
check("a daemon that no signal ends", () => {
  const starter = fork("daemon");
  return said(starter < 0 ? starter : sys("wait4", starter, 0, 0, 0));
}, "ok");
