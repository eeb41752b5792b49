import { RedisClient } from "bun";

/** Not a package: Bun's own client. */
export default async () => {
  const client = new RedisClient(process.env.REDIS!);
  await client.set("bun-n", "41");
  const n = await client.incr("bun-n");
  client.close();
  return n;
};
