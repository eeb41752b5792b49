import os from "node:os";

export default () => {
  const { rss, heapUsed } = process.memoryUsage();
  return {
    limit: process.constrainedMemory(),
    total: os.totalmem() > 0,
    free: os.freemem() > 0,
    own: rss > heapUsed / 4,
    load: os.loadavg().length,
    up: os.uptime() > 0,
  };
};
