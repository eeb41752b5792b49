// Who may come to an app: a password, members who sign in, a link; and an app that is down, on every page that says so.
import { PASSWORD, assert, check, curl, deploy, inspect, make, open, owner, retype, until } from "./lib.mjs";

const CODE = 'export default { fetch: (request) => new Response(`<!doctype html><html lang="en"><title>Shop</title><main><h1>Hello ${request.headers.get("x-steady-user") ?? "stranger"}</h1></main>`, { headers: { "content-type": "text/html" } }) };\n';
const SIZES = [{ width: 1440, height: 900 }, { width: 390, height: 844, phone: true }, { width: 1440, height: 900, dark: true }, { width: 390, height: 844, phone: true, dark: true }];

export async function walls(steady, browser) {
  const page = await owner(steady, browser);
  await make(page, steady, "Hello", "walled");
  await retype(page, CODE);
  await deploy(page, "First");
  const app = steady.app("walled");
  const settings = `${steady.url}/dev/walled/settings`;
  const stranger = await open(browser, SIZES[0]);
  await until("it is live", async () => {
    await stranger.goto(app);
    return (await stranger.locator("h1").innerText()) === "Hello stranger";
  });
  const access = page.getByRole("region", { name: "Access" });
  const choose = async (who, password) => {
    await page.goto(settings);
    await access.getByLabel("Who may open it").selectOption({ label: who });
    if (password) await access.getByRole("textbox", { name: "Password" }).fill(password);
    await access.getByRole("button", { name: "Change access" }).click();
  };

  await check("a password is set on the settings page, by keyboard, and asked for", async () => {
    await page.goto(settings);
    await access.getByLabel("Who may open it").focus();
    await page.keyboard.type("Who knows");
    await page.keyboard.press("Tab");
    await page.keyboard.type("open sesame");
    await page.keyboard.press("Enter");
    await page.getByText("Access was changed").waitFor();
    await access.getByText("Who knows the password may open the app.").waitFor();
    const context = await browser.newContext({ httpCredentials: { username: "anybody", password: "open sesame" } });
    const knows = await context.newPage();
    await knows.goto(app);
    assert((await knows.locator("h1").innerText()) === "Hello stranger", "the password opens it");
    await context.close();
  });
  await check("a password that is too short stays out, and says why", async () => {
    await page.goto(settings);
    await page.locator("input[name=password]").evaluate((input) => input.removeAttribute("minlength"));
    await access.getByRole("textbox", { name: "Password" }).fill("short");
    await access.getByLabel("Who may open it").selectOption({ label: "Who knows the password" });
    await access.getByRole("button", { name: "Change access" }).click();
    await page.getByRole("alert").getByText("at least 8 characters").waitFor();
  });
  await check("members come by way of the editor's host, and are known by name", async () => {
    await choose("Members of this project");
    await access.getByText("Members of this project may open the app.").waitFor();
    await page.goto(`${app}/deep?page=1`);
    await page.waitForURL(`${app}/deep?page=1`);
    assert((await page.locator("h1").innerText()) === "Hello dev", "the app knows who it is");
  });
  await check("somebody signed out signs in on the way", async () => {
    await stranger.goto(app);
    await stranger.getByRole("heading", { name: "Sign in" }).waitFor();
    await inspect(stranger, "walls-signin");
    await stranger.getByLabel("User name").fill("dev");
    await stranger.getByLabel("Password").fill(PASSWORD);
    await stranger.keyboard.press("Enter");
    await stranger.getByRole("heading", { name: "Hello dev" }).waitFor();
    assert(stranger.url() === `${app}/`, `at ${stranger.url()}`);
    assert(stranger.troubles.length === 0, stranger.troubles.join("\n"));
  });
  await check("the page on the way can be read and followed without a refresh", async () => {
    const state = await page.context().storageState();
    const halted = await open(browser, { ...SIZES[0], storageState: state });
    await halted.context().clearCookies({ name: "steady-pass" });
    // The refresh is held, so that the page stays.
    await halted.route("**/enter?*", async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: (await answer.text()).replace('http-equiv="refresh"', 'name="held"') });
    });
    // Routes see no redirects: the door's answer is fetched apart.
    const knock = curl("-i", "-H", "accept: text/html", `${app}/`);
    const cookie = knock.match(/steady-knock=([^;]+)/)[1];
    await halted.context().addCookies([{ name: "steady-knock", value: cookie, url: app }]);
    await halted.goto(knock.match(/location: (\S+)/i)[1]);
    await halted.getByRole("heading", { name: /On the way to walled/ }).waitFor();
    await inspect(halted, "walls-enter");
    await halted.getByRole("link", { name: "Continue" }).focus();
    await halted.keyboard.press("Enter");
    await halted.getByRole("heading", { name: "Hello dev" }).waitFor();
    await halted.context().close();
  });
  let link;
  await check("a link is made, shown once, opens the app, and is revoked", async () => {
    await page.goto(settings);
    await access.getByLabel("Link for").fill("Robin");
    await access.getByLabel("Days").fill("7");
    await access.getByRole("button", { name: "Make link" }).click();
    link = await page.locator("#fresh-link").innerText();
    await inspect(page, "settings-link", { whole: true });
    const robin = await open(browser, SIZES[0]);
    await robin.goto(link);
    await robin.getByRole("heading", { name: "Hello stranger" }).waitFor();
    assert(robin.url() === `${app}/`, `the secret stays in the address: ${robin.url()}`);
    await page.goto(settings);
    assert(!(await page.content()).includes(link), "the link is shown again");
    await access.getByRole("button", { name: "Revoke the link Robin" }).click();
    await page.getByText("The link was revoked.").waitFor();
    await robin.goto(link);
    await robin.getByText("not valid any more").waitFor();
    await inspect(robin, "walls-link-over");
    await robin.context().close();
  });
  await check("an app that is down says so, and its owner passes", async () => {
    await choose("Everybody");
    const maintenance = page.getByRole("region", { name: "Maintenance" });
    await maintenance.getByLabel("What visitors are told").fill("Back at nine.");
    await maintenance.getByRole("button", { name: "Take it down" }).click();
    await page.getByText("down for maintenance").first().waitFor();
    for (const size of SIZES) {
      const visitor = await open(browser, size);
      await visitor.goto(app);
      await visitor.getByText("Back at nine.").waitFor();
      visitor.troubles.length = 0; // 503 is what it should be
      await inspect(visitor, "walls-maintenance");
      await visitor.context().close();
    }
    await page.goto(settings);
    await maintenance.getByRole("link", { name: "Visit it all the same" }).click();
    await page.getByRole("heading", { name: /Hello/ }).waitFor();
    await page.goto(settings);
    await inspect(page, "settings-down", { whole: true });
    await maintenance.getByRole("button", { name: "Bring it back" }).click();
    await page.getByText("The app is up again.").waitFor();
  });
  await check("the settings look right at every size", async () => {
    await choose("Members of this project");
    const storageState = await page.context().storageState();
    for (const size of SIZES) {
      const looks = await open(browser, { ...size, storageState });
      await looks.goto(settings);
      await looks.getByRole("heading", { name: "Access" }).scrollIntoViewIfNeeded();
      await inspect(looks, "settings-access", { whole: true });
      const nobody = await open(browser, size);
      await nobody.goto(app);
      await nobody.getByRole("heading", { name: "Sign in" }).waitFor();
      await nobody.context().close();
      await looks.context().close();
    }
  });
  await stranger.context().close();
  await page.context().close();
}
