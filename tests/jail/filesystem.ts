// Reading what is not its own, writing what is not its own, filling what is.
import fs from "node:fs";
import { bytes, call, check, facts, numbered, O, open, said, sys } from "./kit.ts";
export { default } from "./kit.ts";

const home = process.env.HOME!;
// The folder that `/proc/self` says is the root.
const own = (of: string, path: string) => `/proc/${of}/` + "root" + path;
const read = (path: string) => fs.readFileSync(path, "utf8");
const list = (path: string) => fs.readdirSync(path).sort();
const file = (path: string) => (fs.writeFileSync(path, "x"), path);

// What the launch left behind; first, since the checks below open files of their own.
check("descriptors that were left open", () => list("/proc/self/fd").map(fd => { try { return fs.readlinkSync("/proc/self/fd/" + fd); } catch { return ""; } })
  .filter(to => to.startsWith("/") && !["/app/", "/dev/null", "/dev/urandom", "/proc/", home].some(its => to.startsWith(its))), []);

// Reading.
check("read /etc/shadow", () => read("/etc/shadow"), "ENOENT");
check("read /etc/shadow through /proc/self/root", () => read(own("self", "/etc/shadow")), "ENOENT");
check("climb out of /proc/self/root", () => read(own("self", "/../../../etc/shadow")), "ENOENT");
check("climb out of /proc/self/cwd", () => read("/proc/self/cwd/../../../../../etc/shadow"), "ENOENT");
check("climb out of a descriptor of the root", () => {
  const root = sys("openat", -100, "/", O.PATH);
  return call("openat", root, "../../../etc/shadow", 0);
}, "ENOENT");
check("init's root", () => read(own("1", "/etc/shadow")), "ENOENT");
check("init's working folder", () => list("/proc/1/cwd"), "ENOENT");
check("the root of thread-self", () => read(own("thread-self", "/../etc/shadow")), "ENOENT");
check("list the root", () => list("/"), "EACCES");
check("list /home", () => list("/home"), "EACCES");
check("the homes of jobs", () => list("/home/job"), "EACCES");
check("the folders of jobs", () => list("/job/0"), "EACCES");
check("a link in the home to a file outside", () => {
  fs.rmSync(home + "/link", { force: true });
  fs.symlinkSync("/etc/shadow", home + "/link");
  return read(home + "/link");
}, "ENOENT");
check("the test's own folder on the host", () => list(facts.hostDir), "ENOENT");
check("the server's program folder", () => list(facts.hostTarget), "ENOENT");
check("/root", () => list("/root"), "ENOENT");
check("/var", () => list("/var"), "ENOENT");
check("/mnt", () => list("/mnt"), "ENOENT");
check("/boot", () => list("/boot"), "ENOENT");
check("/etc holds only the stubs", () => list("/etc").filter(name => !["group", "hosts", "localtime", "nsswitch.conf", "passwd", "resolv.conf", "ssl"].includes(name)), []);
check("the users it can name", () => read("/etc/passwd").split("\n").map(line => line.split(":")[0]).filter(Boolean), ["root", "app"]);
check("the devices there are", () => list("/dev"), ["fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero"]);

// Writing. Existing files are another's, which the kernel notices first; for new ones it is the mount that forbids.
check("write the code", () => fs.writeFileSync("/app/new.ts", ""), "EROFS");
check("change the code", () => fs.writeFileSync("/app/index.ts", ""), "EACCES");
check("change the code through a read descriptor", () => {
  const fd = sys("openat", -100, "/app/index.ts", 0);
  return open("/proc/self/fd/" + fd, O.RDWR);
}, "EACCES");
check("remove the code", () => fs.unlinkSync("/app/index.ts"), "EROFS");
check("rename the code", () => fs.renameSync("/app/index.ts", "/app/other.ts"), "EROFS");
check("a hard link to the code", () => fs.linkSync("/app/index.ts", home + "/hard"), "EXDEV");
check("write Bun", () => fs.writeFileSync("/bin/bun", ""), "EACCES");
check("remove Bun", () => fs.unlinkSync("/bin/bun"), "EROFS");
check("change Bun's mode", () => fs.chmodSync("/bin/bun", 0o4755), "EROFS");
check("write a library", () => fs.writeFileSync(facts.library, ""), "EACCES");
check("write resolv.conf", () => fs.writeFileSync("/etc/resolv.conf", "nameserver 8.8.8.8"), "EACCES");
check("write hosts", () => fs.writeFileSync("/etc/hosts", "127.0.0.1 bank"), "EACCES");
check("write passwd", () => fs.writeFileSync("/etc/passwd", "root::0:0:::"), "EACCES");
check("a file in the root", () => fs.writeFileSync("/new", ""), "EROFS");
check("a file in /dev", () => fs.writeFileSync("/dev/new", ""), "EROFS");
check("a file in /run", () => fs.writeFileSync("/run/new", ""), "EACCES");
check("write its own group's memory limit", () => fs.writeFileSync(facts.memoryFile, "999999999999"), "EACCES");
check("leave its group", () => fs.writeFileSync(facts.procsFile, "0"), "EACCES");
check("make a group", () => fs.mkdirSync("/sys/fs/cgroup/new"), "EROFS");
check("settings of the kernel", () => list("/proc/sys"), "ENOENT");
check("write its own memory by a file", () => open("/proc/self/mem", O.RDWR), "EACCES");
// Where owners are mapped there is no such user to give it to.
const mapped = read("/proc/self/mountinfo").split("\n").some(line => line.split(" ")[4] === home && line.split(" ")[5].includes("idmapped"));
check("give a file away", () => call("chown", file(home + "/mine"), 0, 0), mapped ? "EOVERFLOW" : "EPERM");
check("a character device", () => call("mknodat", -100, home + "/mem", 0o020666, 0x101), "EPERM");
check("a block device", () => call("mknod", home + "/disk", 0o060666, 0xfe00), "EPERM");
check("a set-uid program counts for nothing", () => {
  fs.chmodSync(file(home + "/suid"), 0o4755);
  const mounts = read("/proc/self/mountinfo").split("\n").filter(Boolean).map(line => line.split(" "));
  return mounts.filter(mount => !mount[5].split(",").includes("nosuid")).map(mount => mount[4]);
}, []);
check("devices count for nothing outside /dev", () => {
  const mounts = read("/proc/self/mountinfo").split("\n").filter(Boolean).map(line => line.split(" "));
  return mounts.filter(mount => !mount[5].split(",").includes("nodev") && !mount[4].startsWith("/dev/")).map(mount => mount[4]);
}, []);
check("no mount can be both written and run from", () => {
  const mounts = read("/proc/self/mountinfo").split("\n").filter(Boolean).map(line => line.split(" "));
  const may = (mount: string[], what: string) => mount[5].split(",").includes(what);
  return mounts.filter(mount => may(mount, "rw") && !may(mount, "noexec")).map(mount => mount[4]);
}, []);
check("name a file by handle", () => call("name_to_handle_at", -100, "/app", bytes(8), bytes(), 0), "EPERM");
check("open a file by handle", () => call("open_by_handle_at", -100, bytes(8), 0), "EPERM");
check("exchange files across mounts", () => call("renameat2", -100, file("/tmp/a"), -100, file(home + "/b"), 2), "EXDEV");
check("attributes that no quota counts", () => call("setxattr", file(home + "/mine"), "user.big", bytes(1), 1, 0), "EPERM");

// The disk quota's way out, and other ioctls on files.
const mine = () => sys("openat", -100, file(home + "/mine"), O.RDWR);
check("leave the disk quota by project id", () => call("ioctl", mine(), 0x401c5820, bytes()), "EPERM");
check("leave the disk quota, with bits above 32", () => call("ioctl", mine(), 0x1_401c_5820n, bytes()), "EPERM");
check("leave the disk quota by file_setattr", () => said(numbered(469, -100, home + "/mine", bytes(), 24, 0)), "EPERM");
check("make a file that cannot be removed", () => call("ioctl", mine(), 0x40086602, bytes(0x10)), "EPERM");
check("ask where a file lies on the disk", () => call("ioctl", mine(), 0xc020660b, bytes()), "ENOSYS");
check("freeze the file system", () => call("ioctl", mine(), 0xc0045877, 0), "ENOSYS");
check("trim the disk", () => call("ioctl", mine(), 0xc0185879, bytes()), "ENOSYS");
check("a file larger than its disk", () => call("fallocate", mine(), 0, 0, 1n << 45n), "EFBIG");

// Filling.
check("fill /tmp with bytes", () => {
  const fd = sys("openat", -100, "/tmp/big", O.RDWR | O.CREAT);
  const megabyte = new Uint8Array(1 << 20).fill(1);
  let last = 0;
  for (let n = 0; n < 80 && last >= 0; n++) last = sys("write", fd, megabyte, megabyte.length);
  sys("close", fd);
  fs.unlinkSync("/tmp/big");
  return said(last);
}, "ENOSPC");
check("fill /tmp with files", () => {
  let made = 0, last = 0;
  fs.mkdirSync("/tmp/many");
  for (; made < 25_000 && last >= 0; made++) if ((last = sys("openat", -100, "/tmp/many/" + made, O.CREAT | O.WRONLY, 0o600)) >= 0) sys("close", last);
  fs.rmSync("/tmp/many", { recursive: true });
  return [said(last), made <= 20_000];
}, ["ENOSPC", true]);
check("fill the socket's folder with bytes", () => {
  const fd = sys("openat", -100, "/run/steady/big", O.RDWR | O.CREAT, 0o600);
  const megabyte = new Uint8Array(1 << 20).fill(1);
  const wrote = sys("write", fd, megabyte, megabyte.length);
  sys("close", fd);
  fs.unlinkSync("/run/steady/big");
  return wrote > 0 && wrote < megabyte.length ? "ends" : said(wrote);
}, "ends");
check("fill the socket's folder with files", () => {
  let made = 0, last = 0;
  for (; made < 1000 && last >= 0; made++) if ((last = sys("openat", -100, "/run/steady/f" + made, O.CREAT | O.WRONLY, 0o600)) >= 0) sys("close", last);
  for (let n = 0; n < made; n++) sys("unlink", "/run/steady/f" + n);
  return said(last);
}, "ENOSPC");
