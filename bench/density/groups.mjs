// What the kernel charges to each app's group, and what its processes map.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const number = (path) => Number(readFileSync(path, "utf8").trim());
const field = (text, name) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);

/** This process's own folder of the memory controller, and whether it is v2. */
export function own() {
  const lines = readFileSync("/proc/self/cgroup", "utf8").trim().split("\n").map((line) => line.split(":"));
  const v1 = lines.find(([, list]) => list.split(",").includes("memory"));
  if (v1) return { v2: false, dir: join("/sys/fs/cgroup/memory", v1.slice(2).join(":")) };
  return { v2: true, dir: join("/sys/fs/cgroup", lines.find(([id]) => id === "0").slice(2).join(":")) };
}

/** Folders of the groups that hold an app: below the server's own, named child-N, with processes. */
export function groups(base) {
  const found = [];
  const walk = (dir) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const path = join(dir, entry.name);
      if (/^child-\d+$/.test(entry.name)) found.push(path);
      else if (!entry.name.startsWith("child-")) walk(path);
    }
  };
  walk(base);
  return found.filter((dir) => pids(dir).length > 0);
}

export const pids = (dir) => readFileSync(join(dir, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);

/** Bytes no other process shares: anonymous memory and the kernel's own for the group. */
export function charged(dir) {
  const stat = readFileSync(join(dir, "memory.stat"), "utf8");
  if (existsSync(join(dir, "memory.current"))) return { anon: field(stat, "anon"), kernel: field(stat, "kernel") };
  return { anon: field(stat, "total_rss"), kernel: number(join(dir, "memory.kmem.usage_in_bytes")) };
}

/** Bytes of all its processes, each shared page divided among those who map it. */
export function pss(dir) {
  let all = 0;
  for (const pid of pids(dir)) {
    try {
      all += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1]) * 1024;
    } catch {
      // It ended just now.
    }
  }
  return all;
}

/** A group of its own with a limit, or `undefined` where none can be made. */
export function limited(bytes) {
  const { v2, dir } = own();
  const path = join(dir, `density-${process.pid}`);
  try {
    mkdirSync(path);
    writeFileSync(join(path, v2 ? "memory.max" : "memory.limit_in_bytes"), String(bytes));
    const held = () => {
      const stat = readFileSync(join(path, "memory.stat"), "utf8");
      const files = ["inactive_file", "active_file"].map((name) => field(stat, v2 ? name : `total_${name}`));
      return number(join(path, v2 ? "memory.current" : "memory.usage_in_bytes")) - files[0] - files[1];
    };
    return { path, procs: join(path, "cgroup.procs"), held, remove: () => rmdirSync(path) };
  } catch {
    return undefined;
  }
}
