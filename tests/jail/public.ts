// `"net": "public"`: every public address is allowed, and no other.
import { bytes, check, facts, said, sys } from "./kit.ts";
export { default } from "./kit.ts";

function tcp(address: string, port: number): string {
  const fd = sys("socket", 2, 1, 0);
  const answer = sys("connect", fd, bytes(2, 0, port >> 8, port & 255, ...address.split(".").map(Number)), 16);
  sys("close", fd);
  return said(answer);
}
const visit = (host: string) => fetch(`http://${host}:${facts.port}/`).then(() => "answered");
check("public: loopback", () => tcp("127.0.0.1", facts.port), "ECONNREFUSED");
check("public: localhost by name", () => visit("localhost"), "ECONNREFUSED");
check("public: cloud metadata", () => tcp("169.254.169.254", 80), "EACCES");
check("public: 10.0.0.1", () => tcp("10.0.0.1", 80), "EACCES");
check("public: 192.168.0.1", () => tcp("192.168.0.1", 80), "EACCES");
check("public: carrier-grade NAT", () => tcp("100.64.0.1", 80), "EACCES");
check("public: this network", () => tcp("0.1.2.3", 80), "EACCES");
check("public: a fake address nobody gave", () => tcp("198.18.9.9", 80), "EACCES");
