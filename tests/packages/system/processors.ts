import os from "node:os";

/** Two of them at most may be used at a time, whatever the machine has. */
export default () => {
  const cpus = os.cpus();
  return {
    some: cpus.length > 0,
    same: cpus.length === navigator.hardwareConcurrency,
    parallel: os.availableParallelism() > 0,
    whole: cpus.every(cpu => typeof cpu.model === "string" && cpu.times.idle >= 0),
  };
};
