import { setTimeout as later } from "node:timers/promises";

export default async () => {
  const order: string[] = [];
  setTimeout(() => order.push("late"), 60);
  setTimeout(() => order.push("early"), 1);
  setImmediate(() => order.push("immediate"));
  process.nextTick(() => order.push("tick"));
  queueMicrotask(() => order.push("micro"));
  await later(120);
  const began = performance.now();
  Bun.sleepSync(5);
  const { promise, resolve } = Promise.withResolvers<number>();
  let n = 0;
  const every = setInterval(() => ++n === 3 && (clearInterval(every), resolve(n)), 1);
  const timeout = await fetch("http://127.0.0.1:1", { signal: AbortSignal.timeout(5000) }).catch(e => e.code);
  return [order.includes("immediate"), order.indexOf("late") > order.indexOf("early"), performance.now() - began >= 5, await promise, timeout];
};
