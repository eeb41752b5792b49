// Every page, wide and narrow, light and dark: accessible, no wider than the window, nothing blocked.
import { assert, check, curl, deploy, inspect, make, open, owner, ready, retype, until } from "./lib.mjs";

const CODE = `export default {
  fetch(request: Request) {
    const { pathname } = new URL(request.url);
    console.log("asked for", pathname, "by", request.headers.get("user-agent"), "x".repeat(200));
    if (pathname === "/broken") console.error(new Error("broken on purpose"));
    return new Response("hello " + pathname, { status: pathname === "/missing" ? 404 : 200 });
  },
};
`;

export async function looks(steady, browser) {
  const first = await owner(steady, browser);
  await make(first, steady, "Hello", "looked-at-closely");
  await retype(first, CODE);
  await deploy(first, "A message that is rather long, to see where it goes when there is no room for it");
  const app = steady.app("looked-at-closely");
  await until("the app is live", () => curl(`${app}/`).startsWith("hello"));
  await first.locator('.banner[data-name="deployed"]').waitFor();
  for (const path of ["/", "/missing", "/broken", `/a/long/path/${"that-goes-on-and-on/".repeat(8)}`]) curl(`${app}${path}`);
  await retype(first, 'throw new Error("does not start");\n');
  await deploy(first, "Bad");
  await first.locator("#log-body").getByText("does not start").first().waitFor();
  await retype(first, CODE);
  const storageState = await first.context().storageState();
  await first.context().close();

  for (const [width, height, dark] of [[1440, 900, false], [1440, 900, true], [390, 844, false], [390, 844, true]]) {
    const size = { width, height, dark, phone: width < 600 };
    const out = await open(browser, size);
    for (const [name, path] of [["welcome", "/"], ["signin", "/signin"], ["play", "/play"]]) {
      await out.goto(steady.url + path);
      await inspect(out, `look-${name}`, { whole: true });
    }
    await out.context().close();

    const page = await open(browser, { ...size, storageState });
    const project = "/dev/looked-at-closely";
    for (const [name, path] of [
      ["home", "/"], ["new", "/new"], ["account", "/account"], ["trash", "/trash"], ["nowhere", "/no/such/page"], ["app", project], ["deploys", `${project}/deploys`],
      ["logs", `${project}/logs`], ["requests", `${project}/requests`], ["settings", `${project}/settings`],
    ]) {
      await page.goto(steady.url + path);
      await inspect(page, `look-${name}`, { whole: true });
      await check(`${name} at ${width} px: things to touch are large enough`, async () => {
        const small = await page.evaluate(() =>
          [...document.querySelectorAll("button, a, input, select, summary")]
            .map((e) => [e, (e.closest("label") ?? e).getBoundingClientRect()])
            .filter(([e, box]) => box.width > 0 && (box.width < 24 || box.height < 24) && getComputedStyle(e).display !== "inline")
            .map(([e, box]) => `${e.id || e.textContent.trim().slice(0, 20)} ${Math.round(box.width)}x${Math.round(box.height)}`),
        );
        assert(small.length === 0, small.join("\n"));
      });
    }
    await page.goto(`${steady.url}${project}/edit`);
    await ready(page);
    await inspect(page, "look-edit");
    await page.locator("#run").click();
    await page.frameLocator("#stage iframe").getByText("hello /").waitFor();
    await inspect(page, "look-edit-running");
    await page.context().close();
  }
}
