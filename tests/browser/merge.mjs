// Two tabs on one draft, and a push that moves main under it.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert, check, curl, deploy, focus, inspect, make, owner, ready, retype, saveState, token, until } from "./lib.mjs";

const CODE = (word, port = 'port: 3000,\n  ') => `export default {\n  ${port}fetch() {\n    return new Response("${word}");\n  },\n};\n`;

export async function merge(steady, browser) {
  const page = await owner(steady, browser);
  const secret = await token(page, steady, "pushes");
  await make(page, steady, "Hello", "merged");
  await retype(page, CODE("first"));
  await deploy(page, "Begin");
  await until("the app is live", () => curl(`${steady.app("merged")}/`) === "first");
  await page.locator('.banner[data-name="deployed"]').waitFor();

  const dir = mkdtempSync(join(steady.dir, "clone-"));
  const git = (...args) => execFileSync("git", ["-C", dir, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const remote = `http://dev:${secret}@localhost:${steady.port}/dev/merged.git`;
  git("-c", "init.defaultBranch=main", "init", "-q");
  git("config", "user.name", "Robin");
  git("config", "user.email", "robin@example.org");
  /** Somebody else's push. */
  const push = (file, text, message) => {
    git("fetch", "-q", remote, "main");
    git("checkout", "-q", "-B", "main", "FETCH_HEAD");
    writeFileSync(join(dir, file), text);
    git("add", ".");
    git("commit", "-q", "-m", message);
    git("push", "-q", remote, "main");
  };
  const moved = page.locator('.banner[data-name="moved"]');
  /** The page looks when it is looked at again. */
  const look = () => page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));

  await check("another tab's save is told, and nothing typed is lost", async () => {
    const other = await page.context().newPage();
    other.setDefaultTimeout(20_000);
    other.troubles = page.troubles;
    await other.goto(`${steady.url}/dev/merged/edit?file=README.md`);
    await ready(other);
    await page.bringToFront();
    await retype(page, CODE("from the first tab"));
    await other.bringToFront();
    // The other tab has not looked yet: it stands on the state before.
    await other.locator(".cm-content").click();
    await other.keyboard.press("ControlOrMeta+End");
    await other.keyboard.type("\nTyped in the second tab.");
    await saveState(other, "stale");
    assert((await other.locator("#save-state").innerText()) === "Changed in another tab", "the words are others");
    await other.getByRole("button", { name: "Reload", exact: true }).click();
    await ready(other);
    await saveState(other, "saved");
    assert((await other.locator(".cm-content").innerText()).includes("Typed in the second tab."), "the text typed is gone");
    await other.close();
    await page.bringToFront();
    await look();
    await page.locator("#tree").getByText("README.md").click();
    await page.locator(".cm-content").getByText("Typed in the second tab.").waitFor();
    await page.locator("#tree").getByText("index.ts").click();
    await page.locator(".cm-content").getByText("from the first tab").waitFor();
  });

  await check("a push beside the draft is told, and merges clean", async () => {
    push("pushed.txt", "by git\n", "Add a file with git");
    await page.evaluate(() => dispatchEvent(new Event("focus")));
    await moved.getByText("Add a file with git").waitFor();
    assert(/Robin|dev/.test(await moved.innerText()), "the banner does not say who");
    await inspect(page, "edit-moved");
    await moved.getByRole("button", { name: "Merge in" }).click();
    await page.locator("#tree").getByText("pushed.txt").waitFor();
    await moved.waitFor({ state: "detached" });
    assert((await focus(page)) !== "nothing", "the focus is lost");
    await page.locator(".cm-content").getByText("from the first tab").waitFor();
  });

  await check("Deploy is refused while main has moved", async () => {
    push("index.ts", CODE("pushed over it"), "Say something else");
    await look();
    await moved.getByText("Say something else").waitFor();
    await deploy(page);
    await page.locator("#log-body").getByText("Main has moved since your draft began").waitFor();
  });

  await check("a conflict is shown, marked, and settled", async () => {
    await moved.getByRole("button", { name: "Merge in" }).click();
    await page.locator('.banner[data-name="conflicts"]').getByText("index.ts").waitFor();
    await page.locator("#tree [data-path='index.ts']").getByText("conflict", { exact: true }).waitFor();
    await page.locator(".cm-content").getByText("<<<<<<<").waitFor();
    await inspect(page, "edit-conflict");
    await deploy(page);
    await page.locator("#log-body").getByText("Conflict markers are left in index.ts").waitFor();
    assert(curl(`${steady.app("merged")}/`) === "pushed over it", "the live app is not main's");
    await retype(page, CODE("settled"));
    await page.locator('.banner[data-name="conflicts"]').waitFor({ state: "detached" });
    await deploy(page, "Settle");
    await until("the settled version is live", () => curl(`${steady.app("merged")}/`) === "settled");
  });

  await check("a draft is discarded for main's files", async () => {
    await page.locator('.banner[data-name="deployed"]').waitFor();
    await retype(page, CODE("never wanted"));
    push("index.ts", CODE("from git again"), "Back to git");
    await look();
    await moved.getByRole("button", { name: "Discard my draft" }).click();
    await page.locator("#ask-yes").click();
    await page.locator(".cm-content").getByText("from git again").waitFor();
    await moved.waitFor({ state: "detached" });
    assert((await focus(page)) !== "nothing", "the focus is lost");
    git("fetch", "-q", remote, "main");
    assert(readFileSync(join(dir, "index.ts"), "utf8").includes("from git again"), "the push is gone");
  });
  rmSync(dir, { recursive: true, force: true });
  await page.context().close();
}
