// Makes docs/screenshot.png, the picture in README.md: the editor with a live counter.
import { join } from "node:path";
import { PASSWORD, ROOT, Steady, launch, open } from "./lib.mjs";

const steady = await Steady.start();
const browser = await launch();
try {
  const page = await open(browser, { width: 1440, height: 860 });
  await page.goto(steady.setup);
  await page.getByLabel("User name").fill("dev");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create owner" }).click();
  await page.goto(`${steady.url}/new`);
  await page.getByText("SQLite counter").click();
  await page.getByLabel("Name").fill("counter");
  await page.getByRole("button", { name: "Create and edit" }).click();
  await page.locator(".cm-content").waitFor();
  await page.locator("#run").click();
  const draft = page.frameLocator("#stage iframe");
  for (let i = 1; i <= 7; i++) {
    await draft.getByRole("button", { name: "Add one" }).click();
    await draft.getByText(String(i), { exact: true }).waitFor();
  }
  await page.screenshot({ path: join(ROOT, "docs/screenshot.png") });
  console.log("docs/screenshot.png");
} finally {
  await browser.close();
  await steady.stop();
}
