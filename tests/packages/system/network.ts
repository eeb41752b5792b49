import dns from "node:dns/promises";
import os from "node:os";

export default async () => {
  const loopback = os.networkInterfaces().lo!.map(a => `${a.cidr} ${a.internal}`);
  const { address } = await dns.lookup("localhost", { family: 4 });
  const all = await dns.lookup("localhost", { all: true });
  return [Object.keys(os.networkInterfaces()), loopback, address, all.every(a => ["127.0.0.1", "::1"].includes(a.address))];
};
