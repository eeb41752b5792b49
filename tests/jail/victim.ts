// The neighbour that is attacked: it has a secret in its environment, its home, /tmp and memory, and listens on a
// port, an abstract name and a path.
import fs from "node:fs";
import { bytes, facts, sys } from "./kit.ts";

fs.writeFileSync("secret.txt", "of the neighbour", { mode: 0o644 });
fs.writeFileSync("/tmp/secret.txt", "of the neighbour", { mode: 0o644 });
const listen = (family: number, at: Uint8Array, length: number) => {
  const fd = sys("socket", family, 1, 0);
  if (sys("bind", fd, at, length) < 0 || sys("listen", fd, 8) < 0) throw new Error("cannot listen");
};
listen(2, bytes(2, 0, facts.port >> 8, facts.port & 255, 127, 0, 0, 1), 16);
for (const name of ["\0neighbour", "/tmp/neighbour.sock\0"]) listen(1, bytes(1, 0, ...Buffer.from(name)), 2 + name.length);
const watched = () => {
  const fd = sys("inotify_init1", 0);
  const watch = sys("inotify_add_watch", fd, process.env.HOME!, 2);
  sys("close", fd);
  return watch >= 0 ? "watches" : "cannot watch";
};
export default { fetch: (request: Request) => new Response(new URL(request.url).pathname === "/watch" ? watched() : "here") };
