// The kernel's other doors: calls, sockets, ioctls and files that no app needs.
import fs from "node:fs";
import { bytes, call, check, open, said, socket, sys } from "./kit.ts";
export { default } from "./kit.ts";

// Rings, programs, faults, keys.
check("io_uring_setup", () => call("io_uring_setup", 8, bytes()), "ENOSYS");
check("io_uring_enter", () => call("io_uring_enter", 0, 1, 0, 0, 0, 0), "ENOSYS");
check("io_uring_register", () => call("io_uring_register", 0, 0, 0, 0), "ENOSYS");
check("bpf", () => call("bpf", 0, bytes(), 64), "EPERM");
check("perf_event_open", () => call("perf_event_open", bytes(), 0, -1, -1, 0), "EPERM");
check("userfaultfd", () => call("userfaultfd", 1), "EPERM");
check("keyctl", () => call("keyctl", 0, -3, 1), "EPERM");
check("add_key", () => call("add_key", "user", "x", "y", 1, -3), "EPERM");
check("request_key", () => call("request_key", "user", "x", 0, -3), "EPERM");

// Mounts.
check("mount", () => call("mount", "none", "/tmp", "tmpfs", 0, 0), "EPERM");
check("mount the code again, writable", () => call("mount", 0, "/app", 0, 0x1020, 0), "EPERM");
check("umount2", () => call("umount2", "/app", 2), "EPERM");
check("pivot_root", () => call("pivot_root", "/tmp", "/tmp"), "EPERM");
check("chroot", () => call("chroot", "/tmp"), "EPERM");
check("fsopen", () => call("fsopen", "tmpfs", 0), "EPERM");
check("fsconfig", () => call("fsconfig", 0, 6, 0, 0, 0), "EPERM");
check("fsmount", () => call("fsmount", 0, 0, 0), "EPERM");
check("fspick", () => call("fspick", -100, "/", 0), "EPERM");
check("open_tree", () => call("open_tree", -100, "/app", 1), "EPERM");
check("move_mount", () => call("move_mount", -100, "/app", -100, "/tmp", 0), "EPERM");
check("mount_setattr", () => call("mount_setattr", -100, "/app", 0, bytes(), 32), "EPERM");
check("statmount", () => call("statmount", bytes(24), bytes(), 64, 0), "EPERM");
check("listmount", () => call("listmount", bytes(24), bytes(), 8, 0), "EPERM");

// Running the machine.
check("kexec_load", () => call("kexec_load", 0, 0, 0, 0), "EPERM");
check("kexec_file_load", () => call("kexec_file_load", -1, -1, 0, 0, 0), "EPERM");
check("init_module", () => call("init_module", bytes(), 64, ""), "EPERM");
check("finit_module", () => call("finit_module", 0, "", 0), "EPERM");
check("delete_module", () => call("delete_module", "ext4", 0), "EPERM");
check("swapon", () => call("swapon", "/tmp/x", 0), "EPERM");
check("swapoff", () => call("swapoff", "/swap"), "EPERM");
check("reboot", () => call("reboot", 0xfee1dead, 672274793, 0x1234567, 0), "EPERM");
check("acct", () => call("acct", "/tmp/x"), "EPERM");
check("quotactl", () => call("quotactl", 0x800007 << 8, 0, 0, 0), "EPERM");
check("quotactl_fd", () => call("quotactl_fd", 0, 0, 0, 0), "EPERM");
check("sethostname", () => call("sethostname", "x", 1), "EPERM");
check("setdomainname", () => call("setdomainname", "x", 1), "EPERM");
check("settimeofday", () => call("settimeofday", bytes(), 0), "EPERM");
check("clock_settime", () => call("clock_settime", 0, bytes()), "EPERM");
check("clock_adjtime", () => call("clock_adjtime", 0, bytes()), "EPERM");
check("adjtimex", () => call("adjtimex", bytes()), "EPERM");
check("iopl", () => call("iopl", 3), "EPERM");
check("ioperm", () => call("ioperm", 0x70, 2, 1), "EPERM");
check("modify_ldt", () => call("modify_ldt", 1, bytes(), 16), "EPERM");
check("personality without random addresses", () => call("personality", 0x40000), "EPERM");
check("personality of another system", () => call("personality", 8), "EPERM");
check("vhangup", () => call("vhangup"), "EPERM");
check("syslog", () => call("syslog", 3, bytes(), 64), "EPERM");

// Memory of others, watching everything, filters of its own.
check("move_pages", () => call("move_pages", 1, 0, 0, 0, 0, 0), "EPERM");
check("migrate_pages", () => call("migrate_pages", 1, 0, 0, 0), "EPERM");
check("mbind", () => call("mbind", 0, 4096, 1, 0, 0, 0), "EPERM");
check("set_mempolicy", () => call("set_mempolicy", 1, 0, 0), "EPERM");
check("set_mempolicy_home_node", () => call("set_mempolicy_home_node", 0, 4096, 0, 0), "EPERM");
check("fanotify_init", () => call("fanotify_init", 0, 0), "EPERM");
check("fanotify_mark", () => call("fanotify_mark", 0, 1, 0, -100, "/"), "EPERM");
// ld the call's number; allow everything: {1, filter}, filter = {0x06, 0, 0, 0x7fff0000}
check("a second filter that allows everything", () => call("seccomp", 1, 0, bytes(1)), "EPERM");
check("a second filter with a listener of its own", () => call("seccomp", 1, 8, bytes(1)), "EPERM");
check("a second filter by prctl", () => call("prctl", 22, 2, bytes(1), 0, 0), "ENOSYS");
check("the strict filter by prctl", () => call("prctl", 22, 1, 0, 0, 0), "ENOSYS");
check("which filter actions there are", () => call("seccomp", 2, 0, bytes()), "EPERM");
check("walls of its own", () => call("landlock_create_ruleset", bytes(1), 8, 0), "EPERM");
check("a rule for its walls", () => call("landlock_add_rule", 0, 1, bytes(), 0), "EPERM");
check("enter walls of its own", () => call("landlock_restrict_self", 0, 0), "EPERM");
check("lsm_set_self_attr", () => call("lsm_set_self_attr", 100, bytes(), 64, 0), "EPERM");
check("lsm_get_self_attr", () => call("lsm_get_self_attr", 100, bytes(), bytes(64), 0), "EPERM");
check("lsm_list_modules", () => call("lsm_list_modules", bytes(), bytes(64), 0), "EPERM");

// What outlives a process.
check("shmget", () => call("shmget", 0, 4096, 0o1666), "EPERM");
check("shmat", () => call("shmat", 0, 0, 0), "EPERM");
check("shmctl", () => call("shmctl", 0, 2, bytes()), "EPERM");
check("semget", () => call("semget", 0, 1, 0o1666), "EPERM");
check("semop", () => call("semop", 0, bytes(), 1), "EPERM");
check("msgget", () => call("msgget", 0, 0o1666), "EPERM");
check("msgsnd", () => call("msgsnd", 0, bytes(), 1, 0), "EPERM");
check("mq_open", () => call("mq_open", "x", 0o102, 0o666, 0), "EPERM");
check("mq_unlink", () => call("mq_unlink", "x"), "EPERM");
check("shared memory by name", () => open("/dev/shm/x", 0o102), "ENOENT");

// Old, rare and new calls.
check("vmsplice", () => call("vmsplice", 1, bytes(), 1, 0), "EPERM");
check("remap_file_pages", () => call("remap_file_pages", 0, 4096, 0, 0, 0), "ENOSYS");
check("uselib", () => call("uselib", "/bin/bun"), "ENOSYS");
check("sysfs", () => call("sysfs", 3), "ENOSYS");
check("ustat", () => call("ustat", 0, bytes()), "ENOSYS");
check("lookup_dcookie", () => call("lookup_dcookie", 0, bytes(), 64), "ENOSYS");
check("nfsservctl", () => call("nfsservctl", 0, 0, 0), "ENOSYS");
check("_sysctl", () => call("_sysctl", bytes()), "ENOSYS");
check("io_setup", () => call("io_setup", 8, bytes()), "ENOSYS");
check("sync of the whole machine", () => call("sync"), "ENOSYS");
check("syncfs", () => call("syncfs", 1), "ENOSYS");
check("mlockall", () => call("mlockall", 1), "ENOSYS");
check("pkey_alloc", () => call("pkey_alloc", 0, 0), "ENOSYS");

// ioctls, compared by their low half as the kernel does.
check("type into a terminal", () => call("ioctl", 0, 0x5412, bytes(65)), "EPERM");
check("type into a terminal, with bits above 32", () => call("ioctl", 0, 0x7_0000_5412n, bytes(65)), "EPERM");
check("type into a console", () => call("ioctl", 0, 0x541c, bytes(3)), "EPERM");
check("take a terminal", () => call("ioctl", 0, 0x540e, 1), "ENOSYS");
check("interfaces by ioctl", () => call("ioctl", sys("socket", 2, 2, 0), 0x8912, bytes()), "ENOSYS");
check("bring an interface down", () => call("ioctl", sys("socket", 2, 2, 0), 0x8914, bytes(0x6c, 0x6f)), "ENOSYS");
check("add a route by ioctl", () => call("ioctl", sys("socket", 2, 2, 0), 0x890b, bytes()), "ENOSYS");

// Devices and files that only the kernel's owner has.
check("/dev/mem", () => open("/dev/mem", 2), "ENOENT");
check("/dev/kmsg", () => open("/dev/kmsg"), "ENOENT");
check("/dev/kvm", () => open("/dev/kvm", 2), "ENOENT");
check("/dev/vda", () => open("/dev/vda"), "ENOENT");
check("/dev/sda", () => open("/dev/sda"), "ENOENT");
check("/dev/fuse", () => open("/dev/fuse", 2), "ENOENT");
check("/dev/loop-control", () => open("/dev/loop-control", 2), "ENOENT");
check("/dev/net/tun", () => open("/dev/net/tun", 2), "ENOENT");
check("/dev/ptmx", () => open("/dev/ptmx", 2), "ENOENT");
check("/dev/tty", () => open("/dev/tty", 2), "ENOENT");
check("/dev/console", () => open("/dev/console", 2), "ENOENT");
check("/dev/vhost-vsock", () => open("/dev/vhost-vsock", 2), "ENOENT");
check("/proc/kcore", () => open("/proc/kcore"), "ENOENT");
check("/proc/kmsg", () => open("/proc/kmsg"), "ENOENT");
check("/proc/kallsyms", () => open("/proc/kallsyms"), "ENOENT");
check("/proc/sysrq-trigger", () => open("/proc/sysrq-trigger", 1), "ENOENT");
check("/proc/sys/kernel/core_pattern", () => open("/proc/sys/kernel/core_pattern", 1), "ENOENT");
check("/proc/sys/vm/memfd_noexec", () => open("/proc/sys/vm/memfd_noexec", 1), "ENOENT");
check("/proc/sys/net/ipv4/ip_forward", () => open("/proc/sys/net/ipv4/ip_forward", 1), "ENOENT");
check("/proc/cmdline", () => open("/proc/cmdline"), "ENOENT");
check("/proc/cpuinfo", () => open("/proc/cpuinfo"), "ENOENT");
check("/proc/keys", () => open("/proc/keys"), "ENOENT");
check("/proc/timer_list", () => open("/proc/timer_list"), "ENOENT");
check("/sys/kernel", () => open("/sys/kernel/uevent_helper", 1), "ENOENT");
check("/sys/class", () => open("/sys/class"), "ENOENT");
check("/sys/firmware", () => open("/sys/firmware"), "ENOENT");
check("/sys/fs/cgroup/release_agent", () => open("/sys/fs/cgroup/release_agent", 1), "ENOENT");
check("change who it is for filters", () => fs.writeFileSync("/proc/self/uid_map", "0 0 1"), "EACCES");
check("be another in the login log", () => fs.writeFileSync("/proc/self/loginuid", "0"), "EACCES");
check("clear references of its memory", () => fs.writeFileSync("/proc/self/clear_refs", "1"), "EACCES");
check("a security label", () => fs.writeFileSync("/proc/self/attr/exec", "x"), "EACCES");
check("raise its autogroup", () => fs.writeFileSync("/proc/self/autogroup", "-20"), "EACCES");

// Families and protocols of sockets.
const [STREAM, DGRAM, RAW, SEQPACKET] = [1, 2, 3, 5];
check("AF_PACKET", () => socket(17, RAW, 0x0300), "EPERM");
check("AF_PACKET, no raw", () => socket(17, DGRAM, 0x0300), "EPERM");
check("AF_ALG", () => socket(38, SEQPACKET), "EPERM");
check("AF_VSOCK", () => socket(40, STREAM), "EPERM");
check("AF_XDP", () => socket(44, RAW), "EPERM");
check("AF_TIPC", () => socket(30, SEQPACKET), "EPERM");
check("AF_CAN", () => socket(29, RAW, 1), "EPERM");
check("AF_SMC", () => socket(43, STREAM), "EPERM");
check("AF_KEY", () => socket(15, RAW, 2), "EPERM");
check("AF_RDS", () => socket(21, SEQPACKET), "EPERM");
check("AF_BLUETOOTH", () => socket(31, RAW, 1), "EPERM");
check("AF_NFC", () => socket(39, SEQPACKET, 1), "EPERM");
check("AF_KCM", () => socket(41, SEQPACKET), "EPERM");
check("AF_QIPCRTR", () => socket(42, DGRAM), "EPERM");
check("AF_LLC", () => socket(26, STREAM), "EPERM");
check("AF_AX25", () => socket(3, SEQPACKET), "EPERM");
check("AF_PPPOX", () => socket(24, STREAM), "EPERM");
check("AF_MCTP", () => socket(45, DGRAM), "EPERM");
check("a family that no kernel has", () => socket(99, STREAM), "EPERM");
check("raw ICMP", () => socket(2, RAW, 1), "EPERM");
check("raw ICMP for IPv6", () => socket(10, RAW, 58), "EPERM");
check("raw IP", () => socket(2, RAW, 255), "EPERM");
check("raw TCP", () => socket(2, RAW, 6), "ENOSYS");
check("ping without raw", () => socket(2, DGRAM, 1), "EPERM");
check("old packet sockets", () => socket(2, 10, 0), "ENOSYS");
check("SCTP", () => socket(2, STREAM, 132), "EPERM");
check("SCTP, messages", () => socket(10, SEQPACKET, 132), "EPERM");
check("MPTCP", () => socket(2, STREAM, 262), "EPERM");
check("MPTCP for IPv6", () => socket(10, STREAM, 262), "EPERM");
check("SMC as a protocol", () => socket(2, STREAM, 256), "EPERM");
check("UDP-Lite", () => socket(2, DGRAM, 136), "EPERM");
check("DCCP", () => socket(2, 6, 33), "EPERM");
check("L2TP", () => socket(2, DGRAM, 115), "EPERM");
check("netlink: netfilter", () => socket(16, RAW, 12), "EPERM");
check("netlink: audit", () => socket(16, RAW, 9), "EPERM");
check("netlink: sock_diag", () => socket(16, RAW, 4), "EPERM");
check("netlink: xfrm", () => socket(16, RAW, 6), "EPERM");
check("netlink: kobject events", () => socket(16, RAW, 15), "EPERM");
check("netlink: generic", () => socket(16, RAW, 16), "EPERM");
check("netlink: crypto", () => socket(16, RAW, 21), "EPERM");
check("netlink: connector", () => socket(16, DGRAM, 11), "EPERM");
check("a raw unix socket", () => socket(1, RAW), "ENOSYS");
check("a pair of TIPC", () => call("socketpair", 30, SEQPACKET, 0, bytes()), "ENOSYS");

// Options of sockets that rule a network.
const tcp = () => sys("socket", 2, STREAM, 0);
const option = (level: number, name: number) => call("setsockopt", tcp(), level, name, bytes(1), 64);
check("mark packets", () => option(1, 36), "EPERM");
check("buffers beyond the limit", () => option(1, 33), "EPERM");
check("pass as another address", () => option(0, 19), "EPERM");
check("attach a program to a socket", () => call("setsockopt", tcp(), 1, 50, bytes(255, 255, 255, 255), 4), "EBADF");

// The network's own settings, by netlink.
check("take loopback down", () => {
  const fd = sys("socket", 16, RAW, 0);
  // RTM_NEWLINK, acknowledged, for interface 1: flags without UP, changing UP.
  const message = new Uint8Array(64);
  new Uint32Array(message.buffer).set([32, 16 | (5 << 16), 1, 0, 0, 1, 0, 1]);
  sys("sendto", fd, message, 32, 0, 0, 0);
  const answer = new Int32Array(64);
  const length = sys("recvfrom", fd, answer, 256, 0, 0, 0);
  return length < 20 ? said(length) : said(answer[4]);
}, "EPERM");
check("remove the route that catches the world", () => {
  const fd = sys("socket", 16, RAW, 0);
  // RTM_DELROUTE, acknowledged: family, lengths, tos, table local, protocol static, scope host, type local.
  const message = new Uint8Array(64);
  new Uint32Array(message.buffer).set([28, 25 | (5 << 16), 1, 0]);
  message.set([2, 0, 0, 0, 255, 4, 254, 2], 16);
  sys("sendto", fd, message, 28, 0, 0, 0);
  const answer = new Int32Array(64);
  const length = sys("recvfrom", fd, answer, 256, 0, 0, 0);
  return length < 20 ? said(length) : said(answer[4]);
}, "EPERM");
check("the interfaces there are", () => Object.keys(require("node:os").networkInterfaces()), ["lo"]);
