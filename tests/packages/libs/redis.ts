import { createClient } from "redis";

export default async () => {
  const client = await createClient({ url: process.env.REDIS }).connect();
  await client.hSet("node-user", { name: "Jo", age: "7" });
  const scored = await client.zAdd("node-scores", [{ score: 2, value: "b" }, { score: 1, value: "a" }]);
  const result = [{ ...(await client.hGetAll("node-user")) }, scored, await client.zRange("node-scores", 0, -1)];
  await client.close();
  return result;
};
