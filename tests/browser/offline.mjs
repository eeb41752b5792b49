// The server goes away while somebody types, and comes back.
import { Steady, assert, check, inspect, make, owner, ready, saveState, until } from "./lib.mjs";

export async function offline(_, browser) {
  const steady = await Steady.start();
  try {
    const page = await owner(steady, browser);
    await make(page, steady, "Hello", "faraway");
    const content = page.locator(".cm-content");
    const type = async (text) => {
      await content.click();
      await page.keyboard.press("ControlOrMeta+End");
      await page.keyboard.type(text);
    };

    await check("typing goes on while the server is away, and is saved when it is back", async () => {
      await steady.halt();
      await type("\n// typed offline");
      await saveState(page, "offline");
      assert((await page.locator("#save-state").innerText()) === "Offline, retrying", "the words are others");
      await type("\n// and more");
      await inspect(page, "edit-offline");
      await steady.again();
      await saveState(page, "saved");
      await page.reload();
      await ready(page);
      const text = await content.innerText();
      assert(text.includes("// typed offline") && text.includes("// and more"), `the server has ${text}`);
    });
    await check("Run says so when the server is away", async () => {
      await steady.halt();
      await page.locator("#run").click();
      await page.locator("#log-body").getByText("The server cannot be reached.").waitFor();
      await steady.again();
    });
    await check("a reload keeps text that was never saved", async () => {
      await page.reload();
      await ready(page);
      // Saves fail while everything else works: the page can be reloaded.
      await page.route("**/files", (route) => (route.request().method() === "POST" ? route.abort() : route.continue()));
      await type("\n// kept in the browser");
      await saveState(page, "offline");
      await page.unroute("**/files");
      await page.route("**/files", (route) => (route.request().method() === "POST" ? route.abort() : route.continue()), { times: 1 });
      await page.reload();
      await ready(page);
      await until("the text is there", async () => (await content.innerText()).includes("// kept in the browser"));
      await saveState(page, "saved");
    });
    await page.context().close();
  } finally {
    await steady.stop();
  }
}
