// Journeys through the editor in a real browser. `node tests/browser/main.mjs`; pictures land in tests/browser/out.
import { rmSync } from "node:fs";
import { OUT, Steady, check, launch, summary } from "./lib.mjs";
import { desktop } from "./desktop.mjs";
import { phone } from "./phone.mjs";

rmSync(OUT, { recursive: true, force: true });
let steady, browser;
try {
  steady = await Steady.start();
  browser = await launch();
  await check("the journey at 1440 px ends", () => desktop(steady, browser));
  await check("the journey at 390 px ends", () => phone(steady, browser));
} catch (error) {
  await check("the server and the browser start", () => {
    throw error;
  });
} finally {
  await browser?.close();
  if (steady) {
    const code = summary();
    if (code !== 0) console.log(`--- server log\n${steady.said()}`);
    await steady.stop();
    process.exitCode = code;
  } else {
    process.exitCode = summary();
  }
}
