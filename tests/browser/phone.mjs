// The same editor on a phone, in the dark: one pane at a time.
import { PASSWORD, assert, check, curl, inspect, open, owner, retype, until } from "./lib.mjs";

export async function phone(steady, browser) {
  if (!steady.owned) await (await owner(steady, browser)).context().close();
  const page = await open(browser, { width: 390, height: 844, dark: true, phone: true });
  await page.goto(steady.url);
  await inspect(page, "welcome");
  await page.goto(`${steady.url}/signin`);
  await inspect(page, "signin");
  await page.getByLabel("User name").fill("dev");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Projects" }).waitFor();
  await inspect(page, "home");

  await page.goto(`${steady.url}/new`);
  await inspect(page, "new");
  await page.getByText("Hello", { exact: true }).click();
  await page.getByLabel("Name").fill("pocket");
  await page.getByRole("button", { name: "Create and edit" }).click();
  await page.waitForURL("**/dev/pocket/edit");
  const panes = page.getByRole("navigation", { name: "Panes" });
  await panes.getByRole("button", { name: "Code" }).click();
  await page.locator(".cm-content").waitFor();
  await inspect(page, "edit");

  await check("edit, Run and Deploy work on a phone", async () => {
    await retype(page, 'export default { fetch: () => new Response("from a phone") };\n');
    await page.locator("#run").click();
    await panes.getByRole("button", { name: "Preview" }).click();
    await page.frameLocator("#stage iframe").getByText("from a phone").waitFor();
    await page.locator("#deploy").click();
    await page.locator("#deploy-box").getByRole("button", { name: "Deploy" }).click();
    await until("the app is live", () => curl(`${steady.app("pocket")}/`).includes("from a phone"));
  });
  for (const pane of ["Files", "Preview", "Logs"]) {
    await panes.getByRole("button", { name: pane }).click();
    await inspect(page, `edit-${pane.toLowerCase()}`);
  }
  await check("things to touch are large enough", async () => {
    const small = await page.evaluate(() =>
      [...document.querySelectorAll("button, a, input, select, summary")]
        .map((e) => [e, e.getBoundingClientRect()])
        .filter(([e, box]) => box.width > 0 && (box.width < 24 || box.height < 24) && getComputedStyle(e).display !== "inline")
        .map(([e, box]) => `${e.id || e.textContent.trim().slice(0, 20)} ${Math.round(box.width)}x${Math.round(box.height)}`),
    );
    assert(small.length === 0, small.join("\n"));
  });
  for (const path of ["/dev/pocket", "/dev/pocket/settings", "/account"]) {
    await page.goto(steady.url + path);
    await inspect(page, path.slice(1).replaceAll("/", "-"));
  }
  await page.context().close();
}
