import { Redis } from "ioredis";

export default async () => {
  const [redis, ear] = [new Redis(process.env.REDIS!), new Redis(process.env.REDIS!)];
  await ear.subscribe("io-news");
  const heard = new Promise(done => ear.on("message", (channel, text) => done([channel, text])));
  await redis.publish("io-news", "hello");
  const many = await redis.multi().set("io-n", 40).incrby("io-n", 2).get("io-n").exec();
  await redis.set("io-big", Buffer.alloc(2_000_000, 1));
  const result = [many, await heard, await redis.strlen("io-big")];
  redis.disconnect();
  ear.disconnect();
  return result;
};
