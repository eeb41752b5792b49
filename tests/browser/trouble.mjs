// Code that is wrong in every usual way: said where it is, in words, and never live.
import { assert, check, curl, deploy, inspect, make, owner, retype, until } from "./lib.mjs";

const GOOD = 'export default { fetch: () => new Response("good") };\n';

export async function trouble(steady, browser) {
  const page = await owner(steady, browser);
  await make(page, steady, "Hello", "troubled");
  const log = page.locator("#log-body");
  const shown = log.locator("st-logs:not([hidden])");
  const marked = async (line) => {
    await page.locator(".cm-lint-marker-error").first().waitFor();
    const at = await page.evaluate(() => {
      const mark = document.querySelector(".cm-lint-marker-error").getBoundingClientRect();
      return [...document.querySelectorAll(".cm-lineNumbers .cm-gutterElement")].find((e) => Math.abs(e.getBoundingClientRect().top - mark.top) < 8)?.textContent;
    });
    assert(at === String(line), `the mark is on line ${at}, not ${line}`);
  };
  const follow = async (place) => {
    await page.locator("#tree").getByText("README.md").click();
    await shown.getByRole("link", { name: place }).first().click();
    await until("the file is open", async () => (await page.locator('#tabs [aria-selected="true"]').getAttribute("data-path")) === "index.ts");
  };

  await retype(page, GOOD);
  await deploy(page, "Good");
  await until("the app is live", () => curl(`${steady.app("troubled")}/`) === "good");

  await check("a syntax error: said with its place, the place marked and linked", async () => {
    await retype(page, "export default {\n  fetch() {\n    return new Response('x';\n  },\n};\n");
    await page.locator("#run").click();
    await shown.getByText(/Expected|Unexpected/).first().waitFor();
    await shown.getByRole("link", { name: /\/app\/index\.ts:3/ }).first().waitFor();
    await marked(3);
    await follow(/\/app\/index\.ts:3/);
    await inspect(page, "edit-syntax-error");
  });
  await check("a throw in a request: the log links the line, the preview can be read", async () => {
    await retype(page, 'export default {\n  fetch(request: Request) {\n    if (new URL(request.url).pathname === "/") throw new Error("thrown on purpose");\n    return new Response("x");\n  },\n};\n');
    await page.locator("#run").click();
    await page.locator("#stage iframe").waitFor();
    await page.locator("button[data-log=draft]").click();
    await shown.getByText("thrown on purpose").first().waitFor();
    await shown.getByRole("link", { name: /\/app\/index\.ts:3/ }).first().waitFor();
    await marked(3);
    await follow(/\/app\/index\.ts:3/);
    const text = await page.frameLocator("#stage iframe").locator("body").innerText();
    assert(text.trim().length > 0, "the frame is empty");
    await inspect(page, "edit-throw");
  });
  await check("a missing package is named", async () => {
    await retype(page, 'import { nothing } from "no-such-package-here";\nexport default { fetch: () => new Response(nothing) };\n');
    await page.locator("#run").click();
    await shown.getByText(/no-such-package-here/).first().waitFor();
    await inspect(page, "edit-missing-package");
  });
  await check("an app that ends at once: the frame says why", async () => {
    await retype(page, 'console.log("going");\nprocess.exit(3);\n');
    await page.locator("#run").click();
    await until("the page in the frame says so", async () => /exit|ended|crash|start/i.test(await page.frameLocator("#stage iframe").locator("body").innerText().catch(() => "")));
    await inspect(page, "edit-ended");
  });
  await check("a deploy that does not start: the reason and its log, and the old version stays", async () => {
    await retype(page, 'console.log("about to fail");\nthrow new Error("never starts");\n');
    await deploy(page, "Bad");
    await page.locator("#log-body st-logs[data-log=run]").getByText("never starts").first().waitFor();
    await page.locator("#log-body st-logs[data-log=run]").getByText("about to fail").first().waitFor();
    await marked(2);
    await inspect(page, "edit-deploy-failed");
    assert(curl(`${steady.app("troubled")}/`) === "good", "the live version changed");
    await page.goto(`${steady.url}/dev/troubled/deploys`);
    await page.getByText("never starts").first().waitFor();
    await inspect(page, "deploys-failed");
  });
  await page.context().close();
}
