// A manifest that names loopback and the host itself: only the owner of a server opens those.
import { bytes, check, facts, said, sys } from "./kit.ts";
export { default } from "./kit.ts";

function tcp(address: string): string {
  const fd = sys("socket", 2, 1, 0);
  const to = bytes(2, 0, facts.port >> 8, facts.port & 255, ...address.split(".").map(Number));
  const answer = sys("connect", fd, to, 16);
  sys("close", fd);
  return said(answer);
}
check("named: 127.0.0.1", () => tcp("127.0.0.1"), "ECONNREFUSED");
check("named: localhost", () => fetch(`http://localhost:${facts.port}/`).then(() => "answered"), "ECONNREFUSED");
// One that looks public is connected to the server's relay, which then refuses: nobody comes to the host.
check("named: the host's own address", () => tcp(facts.hostAddress), facts.hostIsPrivate ? "EACCES" : "ok");
