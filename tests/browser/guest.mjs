// Play without an account.
import { assert, check, inspect, make, open, until } from "./lib.mjs";

export async function guest(steady, browser) {
  const page = await open(browser, { width: 1440, height: 900 });
  await check("a guest plays under a nickname, and is told for how long", async () => {
    await page.goto(steady.url);
    await page.getByRole("link", { name: "Play as a guest" }).click();
    await page.getByText(/cleared away after 7 days/).waitFor();
    await inspect(page, "play");
    await page.getByLabel("Nickname").fill("Otter");
    await page.getByRole("button", { name: "Start playing" }).click();
    await page.waitForURL("**/new");
    await page.locator("details.menu summary").getByText("Otter").waitFor();
    await make(page, steady, "Hello", "otters-own");
    await page.locator("#run").click();
    await page.locator("#stage iframe").waitFor();
    await until("the draft answers", async () => (await page.frameLocator("#stage iframe").locator("body").innerText()).length > 0);
    await page.goto(steady.url);
    await page.getByText(/in [67] days/).first().waitFor();
    await inspect(page, "home-guest");
    await page.goto(`${steady.url}/account`);
    await page.getByText(/in [67] days/).first().waitFor();
    assert((await page.getByLabel("Now", { exact: true }).count()) === 0, "a guest has no password to change");
    await inspect(page, "account-guest");
  });
  await page.context().close();
}
