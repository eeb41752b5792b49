import { parentPort, workerData } from "node:worker_threads";

Atomics.add(workerData, 0, 42);
parentPort!.postMessage("added");
