// One thread of many that connect as fast as they can: to the app's own loopback and to what is refused.
import { bytes, said, sys } from "./kit.ts";

declare const self: Worker;
self.onmessage = event => {
  const port: number = event.data;
  const to = [bytes(2, 0, port >> 8, port & 255, 127, 0, 0, 1), bytes(2, 0, 1, 187, 8, 8, 8, 8)];
  const got = new Set<string>();
  for (let n = 0; n < 250; n++) {
    const fd = sys("socket", 2, 1, 0);
    got.add(said(sys("connect", fd, to[n % 2], 16)));
    sys("close", fd);
  }
  self.postMessage([...got]);
};
