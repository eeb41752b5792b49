// A version that asks for more: steady.json completed in the editor, a deploy that stops, an owner's yes.
import { assert, check, curl, deploy, inspect, make, open, owner, ready, retype, until } from "./lib.mjs";

const CODE = (word) => `export default { fetch: () => new Response("${word}") };\n`;
const ASKS = JSON.stringify({ permissions: { net: ["api.example.com", "*.example.org:8443"] }, limits: { memory_mb: 1024 } }, null, 2);

export async function approve(steady, browser) {
  const page = await owner(steady, browser);
  await make(page, steady, "Hello", "asker");
  const at = (path = "") => `${steady.url}/dev/asker${path}`;
  const live = () => curl(`${steady.app("asker")}/`);
  await retype(page, CODE("one"));
  await deploy(page, "One");
  await until("one is live", () => live() === "one");

  await check("keys and values of steady.json are completed from the server's schema", async () => {
    await page.getByRole("button", { name: "New file" }).click();
    await page.keyboard.type("steady.json");
    await page.keyboard.press("Enter");
    await page.locator('#tree [data-path="steady.json"]').waitFor();
    await page.locator(".cm-content").click();
    const choose = async (typed, label) => {
      await page.keyboard.type(typed);
      // By mouse: a key in the first moments of an offer still belongs to the typing.
      await page.locator(".cm-tooltip-autocomplete li", { hasText: label }).first().click();
      await page.locator(".cm-tooltip-autocomplete").waitFor({ state: "detached" });
    };
    await page.keyboard.type("{");
    await choose('"perm', "permissions");
    const text = await page.locator(".cm-content").innerText();
    assert(text.includes('"permissions": {'), `completed to ${text}`);
    await page.keyboard.press("ArrowLeft");
    await choose('"ne', "net");
    await page.keyboard.type(" ");
    await page.keyboard.press("Control+Space");
    await page.locator(".cm-tooltip-autocomplete li", { hasText: '"public"' }).waitFor();
    await inspect(page, "edit-schema");
    await page.keyboard.press("Escape");
  });
  await check("Run goes without what is not approved, and says so", async () => {
    await retype(page, ASKS);
    await page.locator("#run").click();
    await page.locator("#stage iframe").waitFor();
    await page.getByText("not approved, so this draft runs without it: net: api.example.com").filter({ visible: true }).first().waitFor();
  });
  await check("Deploy stops with the difference, and the live version stays", async () => {
    await deploy(page, "Two");
    await page.getByText("An owner has to approve what this asks for.").waitFor();
    await page.getByText("limits: memory_mb 1024, up from 512").first().waitFor();
    assert(live() === "one", `live is ${live()}`);
    await inspect(page, "edit-unapproved");
    await page.getByRole("button", { name: "Look and approve" }).click();
    await page.waitForURL("**/dev/asker/deploys");
    await page.getByText("net: *.example.org:8443").first().waitFor();
    await inspect(page, "deploys-waiting");
    await page.goto(at());
    await page.getByText("waits for an owner's approval").waitFor();
    await inspect(page, "app-waiting");
    await page.goto(steady.url);
    await page.getByText("waits for approval").first().waitFor();
    await inspect(page, "home-waiting");
  });
  const storageState = await page.context().storageState();
  const phone = await open(browser, { width: 390, height: 844, dark: true, phone: true, storageState });
  await check("on a phone the yes is as near", async () => {
    await phone.goto(at("/deploys"));
    await phone.getByRole("button", { name: "Approve and deploy" }).waitFor();
    await inspect(phone, "deploys-waiting");
    await phone.goto(at());
    await inspect(phone, "app-waiting");
  });
  await check("Approve and deploy shows its progress, and the version is live", async () => {
    await page.goto(at("/deploys"));
    await page.getByRole("button", { name: "Approve and deploy" }).click();
    await page.locator("st-logs.progress").getByText("is live at").waitFor();
    await until("the new version answers", () => live() === "one");
    await page.getByText("It asks for more than is approved").waitFor({ state: "detached" });
    await inspect(page, "deploys-approved");
  });
  await check("what was approved stands in the settings, and can be revoked", async () => {
    await page.goto(at("/settings"));
    const panel = page.getByRole("region", { name: "Permissions" });
    await panel.getByText("net: api.example.com").first().waitFor();
    await panel.getByText("Who approved what").click();
    await panel.getByText("for deploy #2").waitFor();
    await inspect(page, "settings-permissions", { whole: true });
    await phone.goto(at("/settings"));
    await inspect(phone, "settings-permissions", { whole: true });
    await page.goto(at());
    await page.getByText("net: *.example.org:8443").first().waitFor();
    await inspect(page, "app-permissions");
    await phone.goto(at());
    await inspect(phone, "app-permissions");
    await page.goto(at("/settings"));
    await panel.getByRole("button", { name: "Revoke all" }).click();
    await page.getByText("Nothing is approved any more").waitFor();
    await panel.getByText("Nothing is approved.", { exact: true }).waitFor();
    await until("the app is back", () => live() === "one");
  });
  await check("the draft is main now: the editor has nothing left to deploy", async () => {
    await page.goto(at("/edit"));
    await ready(page);
    const files = await page.evaluate(() => fetch("/dev/asker/files", { headers: { accept: "application/json" } }).then((r) => r.json()));
    assert(files.is_draft === false && files.moved === null, JSON.stringify(files));
  });
  await phone.context().close();
  await page.context().close();
}
