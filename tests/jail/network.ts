// Ways out of a network that has nothing but loopback, and into those of others. The host listens at
// `facts.port` of 127.0.0.1 and ::1 and counts who comes; the same port is free in here.
import dns from "node:dns";
import { bytes, call, check, facts, other, said, stage, sys } from "./kit.ts";
export { default } from "./kit.ts";

const [STREAM, DGRAM] = [1, 2];
const port = (number: number) => [number >> 8, number & 255];
const v4 = (address: string, at = facts.port) => bytes(2, 0, ...port(at), ...address.split(".").map(Number));
const v6 = (words: number[], at = facts.port) => bytes(10, 0, ...port(at), 0, 0, 0, 0, ...words.flatMap(word => [word >> 8, word & 255]));
const short = (text: string) => {
  const [head, tail] = text.split("::").map(part => part.split(":").filter(Boolean).map(word => parseInt(word, 16)));
  return [...head, ...Array(8 - head.length - (tail?.length ?? 0)).fill(0), ...(tail ?? [])];
};
function connect(family: number, type: number, to: Uint8Array, length = family === 10 ? 28 : 16): string {
  const fd = sys("socket", family, type, 0);
  const answer = sys("connect", fd, to, length);
  sys("close", fd);
  return said(answer);
}
const tcp = (address: string, at = facts.port) => connect(2, STREAM, v4(address, at));
const tcp6 = (address: string, at = facts.port) => connect(10, STREAM, v6(short(address), at));
const udp = (address: string, at: number) => connect(2, DGRAM, v4(address, at));
const visit = (host: string) => fetch(`http://${host}:${facts.port}/`).then(() => "answered");

// The host's own loopback, in every spelling: what is reached is the app's own, where nothing listens.
check("127.0.0.1", () => tcp("127.0.0.1"), "ECONNREFUSED");
check("127.0.0.1 at the host's DNS port", () => tcp("127.0.0.54", 53), "ECONNREFUSED");
check("127.1.2.3", () => tcp("127.1.2.3"), "ECONNREFUSED");
check("0.0.0.0", () => tcp("0.0.0.0"), "ECONNREFUSED");
check("::1", () => tcp6("::1"), "ECONNREFUSED");
check("::", () => tcp6("::"), "ECONNREFUSED");
check("::ffff:127.0.0.1", () => tcp6("::ffff:7f00:1"), "ECONNREFUSED");
check("http://127.0.0.1", () => visit("127.0.0.1"), "ECONNREFUSED");
check("http://localhost", () => visit("localhost"), "ECONNREFUSED");
check("http://localhost.", () => visit("localhost."), "ECONNREFUSED");
check("http://LOCALHOST", () => visit("LOCALHOST"), "ECONNREFUSED");
check("http://a.localhost", () => visit("a.localhost"), "ECONNREFUSED");
check("http://2130706433", () => visit("2130706433"), "ECONNREFUSED");
check("http://0x7f.1", () => visit("0x7f.1"), "ECONNREFUSED");
check("http://0177.0.0.1", () => visit("0177.0.0.1"), "ECONNREFUSED");
check("http://127.1", () => visit("127.1"), "ECONNREFUSED");
check("http://0", () => visit("0"), "ECONNREFUSED");
check("http://[::1]", () => visit("[::1]"), "ECONNREFUSED");
check("http://[::ffff:127.0.0.1]", () => visit("[::ffff:127.0.0.1]"), "ECONNREFUSED");
check("http://[::ffff:7f00:1]", () => visit("[::ffff:7f00:1]"), "ECONNREFUSED");

// Elsewhere: refused before the kernel looks.
check("cloud metadata", () => tcp("169.254.169.254", 80), "EACCES");
check("cloud metadata by IPv6", () => tcp6("fd00:ec2::254", 80), "EACCES");
check("cloud metadata of another cloud", () => tcp("168.63.129.16", 80), "EACCES");
check("10.0.0.1", () => tcp("10.0.0.1", 22), "EACCES");
check("172.16.0.1", () => tcp("172.16.0.1", 80), "EACCES");
check("192.168.1.1", () => tcp("192.168.1.1", 80), "EACCES");
check("100.64.0.1", () => tcp("100.64.0.1", 80), "EACCES");
check("the host's own address", () => tcp(facts.hostAddress), "EACCES");
check("a public address", () => tcp("8.8.8.8", 443), "EACCES");
check("a public address of IPv6", () => tcp6("2606:4700::1111", 443), "EACCES");
check("a link-local address", () => tcp6("fe80::1", 80), "EACCES");
check("NAT64", () => tcp6("64:ff9b::7f00:1"), "EACCES");
check("an IPv4 address in an old form", () => tcp6("::7f00:1"), "EACCES");
check("broadcast", () => tcp("255.255.255.255", 80), "EACCES");
check("multicast", () => tcp("224.0.0.1", 80), "EACCES");
check("a fake address that nobody gave it", () => tcp("198.18.77.77", 443), "EACCES");
check("the last fake address", () => tcp("198.19.255.255", 80), "EACCES");
check("port 0", () => tcp("127.0.0.1", 0), "ECONNREFUSED");

// Addresses that are none.
check("an address that ends too early", () => connect(2, STREAM, v4("8.8.8.8"), 4), "EINVAL");
check("an address of length 0", () => connect(2, STREAM, v4("8.8.8.8"), 0), "EINVAL");
check("an address longer than any", () => connect(2, STREAM, new Uint8Array(4096), 4096), "EINVAL");
check("an address of negative length", () => connect(2, STREAM, v4("8.8.8.8"), -1), "EINVAL");
check("an address that is not there", () => {
  const fd = sys("socket", 2, STREAM, 0);
  return call("connect", fd, 4096, 16);
}, "EFAULT");
check("an address of another family", () => connect(2, STREAM, bytes(17, 0, 1, 2), 16), "EAFNOSUPPORT");
check("connect what is no socket", () => call("connect", 0, v4("127.0.0.1"), 16), "ENOTSOCK");
check("connect what is closed", () => call("connect", 999, v4("127.0.0.1"), 16), "EBADF");

// Without connect.
check("TCP fast open to elsewhere", () => call("sendto", sys("socket", 2, STREAM, 0), "x", 1, 0x20000000, v4("8.8.8.8", 443), 16), "ECONNREFUSED");
check("TCP fast open to the host", () => call("sendto", sys("socket", 2, STREAM, 0), "x", 1, 0x20000000, v4("127.0.0.1"), 16), "ECONNREFUSED");
// A datagram leaves the program, and goes nowhere: every address is in here.
check("a datagram to the host", () => call("sendto", sys("socket", 2, DGRAM, 0), "x", 1, 0, v4("127.0.0.1", facts.udp), 16), "ok");
check("a datagram to the host's own address", () => call("sendto", sys("socket", 2, DGRAM, 0), "x", 1, 0, v4(facts.hostAddress, facts.udp), 16), "ok");
check("a datagram to multicast", () => call("sendto", sys("socket", 2, DGRAM, 0), "x", 1, 0, v4("239.1.2.3", facts.udp), 16), "ok");
check("a datagram to broadcast", () => call("sendto", sys("socket", 2, DGRAM, 0), "x", 1, 0, v4("255.255.255.255", facts.udp), 16), "EACCES");
check("a connected datagram socket to a name server", () => udp("8.8.8.8", 53), "EACCES");
check("a connected datagram socket to the metadata", () => udp("169.254.169.254", 123), "EACCES");
check("a connected datagram socket for QUIC", () => udp("1.1.1.1", 443), "EACCES");

// Sockets of the host and of files.
const unix = (name: string) => connect(1, STREAM, bytes(1, 0, ...Buffer.from(name)), 2 + name.length);
check("an abstract socket of the host", () => unix("\0" + facts.abstract), "ECONNREFUSED");
check("a socket of the host by its path", () => unix(facts.socket), "ENOENT");
check("the Docker socket", () => unix("/var/run/docker.sock\0"), "ENOENT");
check("the system bus", () => unix("/run/dbus/system_bus_socket\0"), "ENOENT");
check("a device as a socket", () => unix("/dev/null\0"), "ECONNREFUSED");

// Ports and names of its own.
const bind = (family: number, type: number, at: Uint8Array, reuse = false) => {
  const fd = sys("socket", family, type, 0);
  if (reuse) for (const option of [2, 15]) sys("setsockopt", fd, 1, option, bytes(1), 4);
  const answer = sys("bind", fd, at, family === 10 ? 28 : 16);
  sys("close", fd);
  return said(answer);
};
check("take the name server's port", () => bind(2, DGRAM, v4("127.0.0.1", 53)), "EADDRINUSE");
check("take the name server's port, shared", () => bind(2, DGRAM, v4("127.0.0.1", 53), true), "EADDRINUSE");
check("take the name server's port of every address", () => bind(2, DGRAM, v4("0.0.0.0", 53), true), "EADDRINUSE");
check("take the name server's TCP port", () => bind(2, STREAM, v4("127.0.0.1", 53)), "EADDRINUSE");
check("take port 80 of its own", () => bind(2, STREAM, v4("0.0.0.0", 80)), "ok");
check("take the host's port in here", () => bind(2, STREAM, v4("127.0.0.1")), "ok");

// The name server.
const ask = (packet: Uint8Array, length = packet.length): string => {
  const fd = sys("socket", 2, DGRAM, 0);
  // An answer comes at once; a second without one (longer on slow machines) is silence.
  sys("setsockopt", fd, 1, 20, new BigInt64Array([BigInt(Math.ceil(facts.patience / 30_000)), 0n, 0n, 0n, 0n, 0n, 0n, 0n]), 16);
  const sent = sys("sendto", fd, packet, length, 0, v4("127.0.0.1", 53), 16);
  const answer = new Uint8Array(1024);
  const got = sent < 0 ? sent : sys("recvfrom", fd, answer, 1024, 0, 0, 0);
  sys("close", fd);
  return got < 0 ? said(got) : ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"][answer[3] & 15];
};
const name = (text: string) => [...text.split(".").flatMap(label => [label.length, ...Buffer.from(label)]), 0];
const query = (flags: number, questions: number, ...rest: number[]) => new Uint8Array([0x12, 0x34, flags, 0, 0, questions, 0, 0, 0, 0, 0, 0, ...rest]);
check("ask nothing at all", () => ask(bytes(), 1), "EAGAIN");
check("ask with an answer", () => ask(query(0x81, 1, ...name("a.example"), 0, 1, 0, 1)), "EAGAIN");
check("ask without a question", () => ask(query(1, 0)), "FORMERR");
check("ask a thousand questions", () => ask(query(1, 255, ...name("a.example"), 0, 1, 0, 1)), "FORMERR");
check("a name that leads to itself", () => ask(query(1, 1, 0xc0, 12, 0, 1, 0, 1)), "FORMERR");
check("a name that points ahead", () => ask(query(1, 1, 0xc0, 200, 0, 1, 0, 1)), "FORMERR");
check("a name that has no end", () => ask(query(1, 1, 63, 65, 65)), "FORMERR");
check("a packet of 60,000 bytes", () => ask(new Uint8Array(60_000).fill(0x01)), "EAGAIN");
check("another class of names", () => ask(query(1, 1, ...name("version.bind"), 0, 16, 0, 3)), "REFUSED");
check("change the zone", () => ask(query(0x28, 1, ...name("example"), 0, 6, 0, 1)), "NOTIMP");
check("a name that is not allowed", () => ask(query(1, 1, ...name("evil.example"), 0, 1, 0, 1)), "NXDOMAIN");
check("a text of a name that is not allowed", () => ask(query(1, 1, ...name("evil.example"), 0, 16, 0, 1)), "NXDOMAIN");
check("data carried out in 300 names", () => {
  const answers = new Set<string>();
  for (let n = 0; n < 300; n++) answers.add(ask(query(1, 1, ...name(`${n}.${"data".repeat(12)}.evil.example`), 0, 1, 0, 1)));
  return [...answers];
}, ["NXDOMAIN"]);
check("names still resolve after that", () => dns.promises.lookup("localhost", { family: 4 }).then(found => found.address), "127.0.0.1");
check("look up what is not allowed", () => dns.promises.lookup("evil.example"), "ENOTFOUND");

stage("/many");
check("2,000 connects from eight threads", async () => {
  const storm = () => new Promise<string[]>((done, fail) => {
    const worker = new Worker("/app/storm.ts");
    worker.onmessage = event => (done(event.data), worker.terminate());
    worker.onerror = event => fail(new Error(event.message));
    worker.postMessage(facts.port);
  });
  const all = await Promise.all(Array.from({ length: 8 }, storm));
  return [...new Set(all.flat())].sort();
}, ["EACCES", "ECONNREFUSED"]);
check("an address that changes while it is looked at", () => other("race.ts", String(facts.port)), "EACCES ECONNREFUSED");
check("a program that ends in the middle of connects", () => other("exits.ts", String(facts.port)), "SIGKILL");
check("connects are answered after all that", () => tcp("127.0.0.1"), "ECONNREFUSED");
