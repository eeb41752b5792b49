// An app's own pages: every button of them.
import { execFileSync } from "node:child_process";
import { assert, check, curl, deploy, focus, inspect, make, owner, retype, until } from "./lib.mjs";

const SECRET = "do-not-show-this-value";
const CODE = (word) => `export default { fetch: () => new Response("${word} " + (process.env.GREETING ?? "unset")) };\n`;

export async function project(steady, browser) {
  const page = await owner(steady, browser);
  await make(page, steady, "Hello", "owned");
  const at = (path = "") => `${steady.url}/dev/owned${path}`;
  const live = (label = "owned") => curl(`${steady.app(label)}/`);
  for (const word of ["one", "two"]) {
    await retype(page, CODE(word));
    await deploy(page, `Say ${word}`);
    await until(`${word} is live`, () => live() === `${word} unset`);
    await page.locator('.banner[data-name="deployed"]').waitFor();
  }

  await check("the overview shows the log's end without a script", async () => {
    const html = await page.evaluate(() => fetch("/dev/owned", { headers: { accept: "text/html" } }).then((r) => r.text()));
    assert(/<p class="(steady|out)" data-seq/.test(html), "no line of the log is in the page");
  });
  await check("Roll back makes the version before live", async () => {
    await page.goto(at("/deploys"));
    await page.getByRole("button", { name: "Roll back to v1" }).click();
    await page.locator("st-logs.progress").getByText("is live at").waitFor();
    assert((await focus(page)) !== "nothing", "the focus is lost");
    assert(live() === "one unset", `live is ${live()}`);
    await inspect(page, "deploys-rolled-back");
  });
  await check("a variable is set, reaches the app, is never shown, and is unset", async () => {
    await page.goto(at("/settings"));
    const env = page.getByRole("region", { name: "Environment" });
    await env.getByLabel("Name").fill("GREETING");
    await env.getByLabel("Value").fill(SECRET);
    await env.getByRole("button", { name: "Set" , exact: true }).click();
    await page.getByText("The environment was changed").waitFor();
    await until("the app has it", () => live() === `one ${SECRET}`);
    for (const path of ["", "/settings", "/deploys", "/logs"]) {
      await page.goto(at(path));
      assert(!(await page.content()).includes(SECRET), `the value is on the page ${path || "/"}`);
    }
    await page.goto(at("/settings"));
    await inspect(page, "settings-env");
    await page.getByRole("button", { name: "Unset GREETING" }).click();
    await until("the app has it no more", () => live() === "one unset");
  });
  await check("a wrong name of a variable is refused in words", async () => {
    await page.goto(at("/settings"));
    const env = page.getByRole("region", { name: "Environment" });
    await env.getByLabel("Name").fill("not a name");
    await env.getByRole("button", { name: "Set", exact: true }).click();
    await page.getByRole("alert").waitFor();
    await inspect(page, "settings-error");
  });
  await check("Pause, Resume and Restart", async () => {
    await page.goto(at());
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("The app is paused").waitFor();
    assert(curl("-o", "/dev/null", "-w", "%{http_code}", `${steady.app("owned")}/`) === "503", "visitors are not told");
    await inspect(page, "app-paused");
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByText("The app is back").waitFor();
    assert(live() === "one unset", "it is not back");
    await page.getByRole("button", { name: "Restart" }).click();
    await page.getByText("The app was stopped").waitFor();
    assert(live() === "one unset", "it does not start again");
  });
  await check("the export opens and holds code and data", async () => {
    await page.goto(at());
    const wait = page.waitForEvent("download");
    await page.getByRole("link", { name: "Export" }).click();
    const list = execFileSync("tar", ["tzf", await (await wait).path()], { encoding: "utf8" });
    assert(/index\.ts/.test(list), `it holds ${list}`);
  });
  await check("project and address are renamed; the old ones lead to the new", async () => {
    await page.goto(at("/settings"));
    const names = page.getByRole("region", { name: "Names" });
    await names.getByLabel("Project").fill("renamed");
    await names.getByLabel("Address").fill("moved-house");
    await names.getByRole("button", { name: "Rename" }).click();
    await page.waitForURL("**/dev/renamed/settings*");
    assert(live("moved-house") === "one unset", "the new address does not answer");
    await page.goto(at("/deploys"));
    await page.waitForURL("**/dev/renamed/deploys");
    const old = curl("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", `${steady.app("owned")}/x?y=1`);
    assert(/^30[178] .*moved-house\..*\/x\?y=1$/.test(old), `the old address answers ${old}`);
  });
  await check("delete asks for the name; recover brings all back", async () => {
    await page.goto(`${steady.url}/dev/renamed/settings`);
    const form = page.getByRole("region", { name: "Delete" });
    await form.getByLabel(/to confirm/).fill("wrong");
    await form.getByRole("button", { name: "Delete project" }).click();
    assert(page.url().includes("/dev/renamed/settings"), "a wrong name deleted it");
    await form.getByLabel(/to confirm/).fill("renamed");
    await form.getByRole("button", { name: "Delete project" }).click();
    await page.waitForURL("**/trash*");
    assert(curl("-o", "/dev/null", "-w", "%{http_code}", `${steady.app("moved-house")}/`) === "404", "the app still answers");
    await inspect(page, "trash-full");
    await page.getByRole("button", { name: "Recover dev/renamed" }).click();
    await page.getByText("Recovered.").waitFor();
    await until("it is live again", () => live("moved-house") === "one unset");
  });
  await page.context().close();
}
