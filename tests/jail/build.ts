// A build step that attacks: it runs as a job, with one folder of its own and one it may only read.
import fs from "node:fs";
import { bytes, call, check, facts, fork, other, results, said, socket, stage, sys } from "./kit.ts";

const home = process.env.HOME!;
const tcp = (address: string, port: number) => {
  const fd = sys("socket", 2, 1, 0);
  const answer = sys("connect", fd, bytes(2, 0, port >> 8, port & 255, ...address.split(".").map(Number)), 16);
  sys("close", fd);
  return said(answer);
};
const visit = (port: number) => fetch(`http://localhost:${port}/`).then(answer => answer.text());

// Harmless twins: what a build is for.
check("a build writes its folder", () => (fs.writeFileSync("/app/built.js", "1"), fs.readFileSync("/app/built.js", "utf8")), "1");
check("a build runs what it has made", () => (fs.writeFileSync("/app/tool", "#!/bin/bun\nconsole.log('made')", { mode: 0o755 }), Bun.spawnSync(["/app/tool"]).stdout.toString().trim()), "made");
check("a build has the secrets meant for it", () => process.env.TOKEN, "for-the-build");
check("a build reaches what its owner trusts", () => visit(facts.trusted), "trusted");

// What it has.
check("build: other variables", () => Object.keys(process.env).filter(name => !facts.env.includes(name)), []);
// Bun keeps there what it has made of the modules that it has just read.
check("build: its home is fresh", () => fs.readdirSync(home).filter(name => name !== ".bun"), []);
check("build: the server owner's npm settings", () => fs.readFileSync(home + "/.npmrc"), "ENOENT");
check("build: the settings where the server has them", () => fs.readFileSync(facts.hostHome + "/.npmrc"), "ENOENT");
check("build: ssh keys of the owner", () => fs.readdirSync(facts.hostHome + "/.ssh"), "ENOENT");
check("build: who it is", () => process.getuid!(), facts.buildUid);
check("build: an app's home", () => fs.readdirSync(facts.appHome), "ENOENT");
check("build: the data folder of the server", () => fs.readdirSync(facts.hostDir), "ENOENT");
check("build: sockets of apps", () => fs.readdirSync("/run/steady"), "ENOENT");

// What it may not.
check("build: write what it may only read", () => fs.writeFileSync(facts.shared + "/poison", "x"), "EROFS");
check("build: change what it may only read", () => fs.writeFileSync(facts.shared + "/module.js", "x"), "EACCES");
check("build: remove what it may only read", () => fs.unlinkSync(facts.shared + "/module.js"), "EROFS");
check("build: a hard link to what it may only read", () => fs.linkSync(facts.shared + "/module.js", "/app/linked.js"), "EXDEV");
check("build: write Bun", () => fs.unlinkSync("/bin/bun"), "EROFS");
check("build: write the wrapper of apps", () => fs.readdirSync("/lib/steady") && fs.unlinkSync("/lib/steady/wrapper.js"), "EROFS");
check("build: signal the server", () => call("kill", facts.server, 9), "ESRCH");
check("build: signal an app", () => call("kill", facts.appPid, 9), "ESRCH");
check("build: a user namespace", () => call("unshare", 0x10000000), "EPERM");
check("build: mount", () => call("mount", "none", "/tmp", "tmpfs", 0, 0), "EPERM");
check("build: become root", () => call("setuid", 0), "EPERM");
check("build: a device", () => call("mknodat", -100, "/app/disk", 0o060666, 0xfe00), "EPERM");
check("build: leave the disk quota", () => call("ioctl", sys("openat", -100, "/app/built.js", 2), 0x401c5820, bytes()), "EPERM");
check("build: raw sockets", () => socket(2, 3, 1), "EPERM");
check("build: io_uring", () => call("io_uring_setup", 8, bytes()), "ENOSYS");
check("build: a set-uid program of its own", () => {
  fs.writeFileSync("/app/suid", "x");
  fs.chmodSync("/app/suid", 0o4755);
  const mount = fs.readFileSync("/proc/self/mountinfo", "utf8").split("\n").map(line => line.split(" ")).find(mount => mount[4] === "/app");
  return mount?.[5].split(",").includes("nosuid");
}, true);

// Whom it may call.
check("build: a public address", () => tcp("8.8.8.8", 443), "EACCES");
check("build: cloud metadata", () => tcp("169.254.169.254", 80), "EACCES");
check("build: another port of the host", () => tcp("127.0.0.1", facts.untrusted), "ECONNREFUSED");
check("build: another port by name", () => visit(facts.untrusted), "ECONNREFUSED");
check("build: another name", () => fetch("http://evil.example/").then(answer => answer.status), "ENOTFOUND");

// A package's scripts run only when they are trusted.
check("build: the script of a package nobody trusts", () => {
  fs.mkdirSync("/app/evil", { recursive: true });
  fs.writeFileSync("/app/evil/package.json", JSON.stringify({ name: "evil", version: "1.0.0", scripts: { postinstall: "bun -e \"require('fs').writeFileSync('/app/ran', 'x')\"" } }));
  fs.writeFileSync("/app/package.json", JSON.stringify({ name: "victim", dependencies: { evil: "file:./evil" } }));
  const done = Bun.spawnSync([process.execPath, "install", "--no-progress"], { cwd: "/app", stdio: ["ignore", "inherit", "inherit"] });
  return [done.exitCode, fs.existsSync("/app/node_modules/evil/package.json"), fs.existsSync("/app/ran")];
}, [0, true, false]);

// What it leaves.
check("build: a daemon", () => said(fork("daemon")), "ok");
check("build: something in its home for the next", () => (fs.writeFileSync(home + "/.bunfig.toml", "x"), fs.writeFileSync(home + "/.bun/poison", "x"), fs.mkdirSync(home + "/cache", { recursive: true }), fs.writeFileSync(home + "/cache/poison", "x"), "left"), "left");
check("build: something in /tmp for the next", () => (fs.writeFileSync("/tmp/poison", "x"), "left"), "left");

stage("/next");
check("the next build's home", () => fs.readdirSync(home).filter(name => name !== ".bun"), []);
check("poison in Bun's cache", () => fs.readFileSync(home + "/.bun/poison"), "ENOENT");
check("the next build's /tmp", () => fs.readdirSync("/tmp"), []);

// In the folder's name after `@@`, so that other lines do not matter.
console.log("@@" + JSON.stringify(await results(process.argv[2])));
process.exit(0);
