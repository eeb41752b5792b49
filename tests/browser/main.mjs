// Journeys through the editor in a real browser; pictures land in tests/browser/out.
// `node tests/browser/main.mjs` walks all of them, `node tests/browser/main.mjs merge files` these.
import { rmSync } from "node:fs";
import { OUT, Steady, check, launch, summary } from "./lib.mjs";
import { approve } from "./approve.mjs";
import { domains, names } from "./domains.mjs";
import { desktop } from "./desktop.mjs";
import { files } from "./files.mjs";
import { guest } from "./guest.mjs";
import { looks } from "./looks.mjs";
import { merge } from "./merge.mjs";
import { offline } from "./offline.mjs";
import { people } from "./people.mjs";
import { phone } from "./phone.mjs";
import { project } from "./project.mjs";
import { trouble } from "./trouble.mjs";
import { walls } from "./walls.mjs";

// `desktop` makes the owner in front of the camera, so it goes first.
const JOURNEYS = { desktop, phone, files, merge, trouble, project, domains, approve, walls, people, offline, guest, looks };

rmSync(OUT, { recursive: true, force: true });
const asked = process.argv.slice(2);
let steady, browser, server;
try {
  server = await names();
  steady = await Steady.start({ STEADY_GUESTS: "true", STEADY_DNS_SERVER: server.address });
  steady.names = server;
  browser = await launch();
  for (const [name, walk] of Object.entries(JOURNEYS)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    await check(`the journey ${name} ends`, () => walk(steady, browser));
  }
} catch (error) {
  await check("the server and the browser start", () => {
    throw error;
  });
} finally {
  await browser?.close();
  server?.close();
  if (steady) {
    const code = summary();
    if (code !== 0) console.log(`--- server log\n${steady.said()}`);
    await steady.stop();
    process.exitCode = code;
  } else {
    process.exitCode = summary();
  }
}
