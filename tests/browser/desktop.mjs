// From the set-up link to a live app, then its files, its logs, and out.
import { PASSWORD, assert, check, curl, inspect, open, retype, template, until } from "./lib.mjs";

export async function desktop(steady, browser) {
  const page = await open(browser, { width: 1440, height: 900 });

  await page.goto(steady.setup);
  await inspect(page, "setup");
  await page.getByLabel("User name").fill("dev");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create owner" }).click();
  await page.getByRole("heading", { name: "Projects" }).waitFor();
  steady.owned = true;
  await inspect(page, "home-empty");
  await check("the set-up link works once", async () => {
    const answer = curl("-o", "/dev/null", "-w", "%{http_code}", steady.setup);
    assert(answer === "404", `it was answered ${answer}`);
  });

  await page.getByRole("link", { name: "New project" }).first().click();
  await inspect(page, "new");
  await page.getByText("SQLite counter").click();
  await page.getByLabel("Name").fill("counter");
  await page.getByRole("button", { name: "Create and edit" }).click();
  await page.waitForURL("**/dev/counter/edit");
  await page.locator(".cm-content").waitFor();
  await inspect(page, "edit");

  await check("typing is saved, Run shows the draft", async () => {
    const code = template("sqlite/index.ts").replaceAll("Add one", "Add another").replace("fetch(request: Request): Response {", 'fetch(request: Request): Response {\n    console.log("asked for", request.url);');
    await retype(page, code);
    await page.locator("#run").click();
    const draft = page.frameLocator("#stage iframe");
    await draft.getByRole("button", { name: "Add another" }).click();
    await draft.getByText("1", { exact: true }).waitFor();
  });
  await inspect(page, "edit-running");
  await check("the draft's log is under the code", async () => {
    await page.locator("button[data-log=draft]").click();
    await page.locator("#log-body").getByText("asked for").first().waitFor();
  });

  await check("Deploy makes it live, on data of its own", async () => {
    await page.locator("#deploy").click();
    await page.getByLabel("What changed?").fill("Other words");
    await page.locator("#deploy-box").getByRole("button", { name: "Deploy" }).click();
    await until("the app is live", () => curl(`${steady.app("counter")}/`).includes("Add another"));
    assert(JSON.parse(curl(`${steady.app("counter")}/count`)).count === 0, "the draft counted in the live data");
  });
  await check("the live log is under the code", async () => {
    await page.locator("button[data-log=live]").click();
    await page.locator("#log-body st-logs[data-log=live]").getByText("asked for").first().waitFor();
  });
  await inspect(page, "edit-live");

  await check("an error points at its file and line, and the live version stays", async () => {
    const broken = 'export default {\n  fetch() {\n    return missing.thing;\n  },\n};\nthrow new Error("broken on purpose");\n';
    await retype(page, broken);
    await page.locator("#run").click();
    await page.getByText("broken on purpose").first().waitFor();
    await page.getByText(/index\.ts:6/).first().waitFor();
    assert(curl(`${steady.app("counter")}/`).includes("Add another"), "the live version changed");
  });
  await inspect(page, "edit-error");

  await files(page);

  await page.goto(`${steady.url}/dev/counter`);
  await page.getByRole("link", { name: new RegExp(`counter\\.localhost:${steady.port}`) }).first().waitFor();
  await inspect(page, "app");
  for (const tab of ["Deploys", "Logs", "Requests", "Settings"]) {
    await page.getByRole("navigation", { name: "Project" }).getByRole("link", { name: tab }).click();
    await page.waitForURL(`**/dev/counter/${tab.toLowerCase()}`);
    await inspect(page, tab.toLowerCase());
  }
  for (const path of ["/", "/account", "/trash"]) {
    await page.goto(steady.url + path);
    await inspect(page, path === "/" ? "home" : path.slice(1));
  }

  await check("the keyboard reaches everything on the home page", async () => {
    await page.goto(steady.url);
    const seen = new Set();
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press("Tab");
      seen.add(await page.evaluate(() => document.activeElement?.getAttribute("href") ?? document.activeElement?.tagName));
    }
    assert(seen.has("/new") && seen.has("/dev/counter"), `only reached ${[...seen].join(", ")}`);
  });
  await check("signing out ends the session", async () => {
    await page.goto(steady.url);
    await page.locator("details.menu summary").click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("link", { name: "Sign in" }).first().waitFor();
    await page.goto(`${steady.url}/dev/counter/edit`);
    await page.getByLabel("User name").waitFor();
  });
  await inspect(page, "signin");
  await page.context().close();
}

/** Add, rename and delete a file. */
async function files(page) {
  const tree = page.locator("#tree");
  await check("a file is added", async () => {
    await page.getByRole("button", { name: "New file" }).click();
    await page.keyboard.type("notes.md");
    await page.keyboard.press("Enter");
    await tree.getByText("notes.md").waitFor();
  });
  await check("a file is renamed", async () => {
    await tree.getByText("notes.md").click();
    await page.getByRole("button", { name: "Rename or move" }).click();
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("docs/todo.md");
    await page.keyboard.press("Enter");
    await tree.getByText("todo.md").waitFor();
    assert((await tree.getByText("notes.md").count()) === 0, "the old name is still there");
  });
  await check("a file is deleted", async () => {
    await tree.getByText("todo.md").click();
    await page.getByRole("toolbar", { name: "Files" }).getByRole("button", { name: "Delete" }).click();
    const sure = page.locator("#ask-yes");
    if (await sure.isVisible().catch(() => false)) await sure.click();
    await until("it is gone", async () => (await tree.getByText("todo.md").count()) === 0);
  });
}
