// Every act on files, by mouse and by keyboard alone.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert, check, focus, inspect, make, owner, saveState, until } from "./lib.mjs";

const BYTES = Buffer.from([0, 1, 2, 255, 254, 0, 10, 13]);
const PIXEL = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", "base64");

export async function files(steady, browser) {
  const page = await owner(steady, browser);
  await make(page, steady, "Hello", "filed");
  const tree = page.locator("#tree");
  const row = (path) => tree.locator(`[data-path="${path}"]`);
  const tool = (name) => page.getByRole("toolbar", { name: "Files" }).getByRole("button", { name });
  const held = async (where) => {
    const now = await focus(page);
    assert(now.includes(where), `the focus is on ${now}, not on ${where}`);
  };

  await check("a file is uploaded by the button; a binary one is shown as such and comes back whole", async () => {
    const path = join(steady.dir, "blob.bin");
    writeFileSync(path, BYTES);
    const chooser = page.waitForEvent("filechooser");
    await tool("Upload files").click();
    await (await chooser).setFiles(path);
    await row("blob.bin").waitFor();
    await page.getByText("Binary file, 8 B").waitFor();
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Download" }).click();
    assert(readFileSync(await (await download).path()).equals(BYTES), "the download has other bytes");
    await inspect(page, "edit-binary");
  });

  const drop = async (onto, list) => {
    const data = await page.evaluateHandle((list) => {
      const data = new DataTransfer();
      for (const [name, base64] of list) data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
      return data;
    }, list.map(([name, bytes]) => [name, bytes.toString("base64")]));
    await onto.dispatchEvent("dragover", { dataTransfer: data });
    await onto.dispatchEvent("drop", { dataTransfer: data });
  };
  await check("files are dropped onto the tree; a picture is seen", async () => {
    await drop(tree, [["dot.png", PIXEL], ["words.txt", Buffer.from("dropped words\n")]]);
    await row("dot.png").waitFor();
    await row("words.txt").waitFor();
    await until("the picture is loaded", () => page.evaluate(() => document.querySelector(".plate img")?.naturalWidth === 1));
  });
  await check("what is open and replaced by an upload is read anew, after a question", async () => {
    await row("words.txt").click();
    await page.locator(".cm-content").getByText("dropped words").waitFor();
    await drop(tree, [["words.txt", Buffer.from("other words\n")]]);
    await page.getByText("Replace words.txt?").waitFor();
    await page.locator("#ask-yes").click();
    await page.locator(".cm-content").getByText("other words").waitFor();
  });

  await check("by mouse: a folder is made, a file moved into it by dragging, the folder renamed and deleted", async () => {
    await row("index.ts").click();
    await tool("New folder").click();
    await page.keyboard.type("parts");
    await page.keyboard.press("Enter");
    await row("parts").waitFor();
    await row("words.txt").dragTo(row("parts"));
    await row("parts/words.txt").waitFor();
    await row("parts").click();
    await tool("Rename or move").click();
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("pieces");
    await page.keyboard.press("Enter");
    await until("the folder has its new name", async () => (await row("pieces").count()) === 1 && (await row("parts").count()) === 0);
    if ((await row("pieces").getAttribute("aria-expanded")) === "false") await row("pieces").click();
    await row("pieces/words.txt").waitFor();
    await row("pieces").click();
    await tool("Delete").click();
    await page.locator("#ask-yes").click();
    await until("the folder is gone", async () => (await row("pieces").count()) === 0 && (await row("pieces/words.txt").count()) === 0);
  });

  await check("by keyboard alone: add, rename, move, delete; the focus stays in the tree", async () => {
    await row("index.ts").focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowUp");
    assert((await focus(page)).startsWith("div"), `the arrows led to ${await focus(page)}`);
    // Shift+Tab leads into the tools.
    for (let i = 0; i < 6 && !(await focus(page)).includes("New folder"); i++) await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await page.keyboard.type("keys");
    await page.keyboard.press("Enter");
    await row("keys").waitFor();
    await held("keys");
    for (let i = 0; i < 6 && !(await focus(page)).includes("New file"); i++) await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await page.keyboard.type("one.ts");
    await page.keyboard.press("Enter");
    await row("keys/one.ts").waitFor();
    await until("the new file is being edited", async () => (await focus(page)).includes("Code of keys/one.ts"));
    await page.keyboard.press("Shift+F6");
    await held("keys/one.ts");
    await page.keyboard.press("F2");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("moved/two.ts");
    await page.keyboard.press("Enter");
    await row("moved/two.ts").waitFor();
    await until("the focus is on the moved file", async () => (await focus(page)).includes("moved/two.ts"));
    await page.keyboard.press("F2");
    await page.keyboard.press("Escape");
    await held("moved/two.ts");
    await page.keyboard.press("Delete");
    await page.keyboard.press("Escape");
    await held("moved/two.ts");
    await page.keyboard.press("Delete");
    await page.locator("#ask-title").waitFor();
    await page.keyboard.press("Tab");
    assert((await focus(page)).includes("ask-yes"), `Tab in the question led to ${await focus(page)}`);
    await page.keyboard.press("Enter");
    await until("the file is gone", async () => (await row("moved/two.ts").count()) === 0);
    assert((await focus(page)).startsWith("div"), `after deleting, the focus is on ${await focus(page)}`);
  });
  await check("nothing is moved onto what is there", async () => {
    await row("README.md").click();
    await row("README.md").focus();
    await page.keyboard.press("F2");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("index.ts");
    await page.keyboard.press("Enter");
    await page.getByText("There is already something at index.ts.").waitFor();
    await row("README.md").waitFor();
    await page.locator('.banner[data-name="move"]').getByRole("button", { name: "Dismiss" }).click();
    assert((await focus(page)) !== "nothing", "the focus is lost");
  });

  await check("tabs by keyboard: arrows, Delete, and the focus goes on", async () => {
    await row("index.ts").click();
    await row("package.json").click();
    const tabs = page.getByRole("tablist", { name: "Open files" });
    await tabs.getByRole("tab", { name: "package.json" }).focus();
    await page.keyboard.press("Home");
    await until("the first tab is shown", async () => (await tabs.locator('[aria-selected="true"]').getAttribute("data-path")) !== "package.json");
    await page.keyboard.press("End");
    await until("the last tab is shown", async () => (await tabs.locator('[aria-selected="true"]').getAttribute("data-path")) === "package.json");
    for (let left = await tabs.getByRole("tab").count(); left > 0; left--) {
      await page.keyboard.press("Delete");
      await until("the tab is closed", async () => (await tabs.getByRole("tab").count()) === left - 1);
      assert((await focus(page)) !== "nothing", "the focus is lost");
    }
    await page.getByText("Choose a file to read it here.").waitFor();
    await inspect(page, "edit-nothing-open");
  });

  await check("Tab indents in the editor; Escape, then Tab leaves it", async () => {
    await row("index.ts").click();
    await page.locator(".cm-content").click();
    const before = await page.locator(".cm-content").innerText();
    await page.keyboard.press("Tab");
    assert((await focus(page)).includes("Code of index.ts"), "Tab left the editor");
    await page.keyboard.press("ControlOrMeta+z");
    assert((await page.locator(".cm-content").innerText()) === before, "undo did not undo");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Tab");
    const out = await focus(page);
    assert(out !== "nothing" && !out.includes("Code of"), `Escape and Tab led to ${out}`);
  });
  await check("typing over all of a text breaks no policy", async () => {
    page.troubles.length = 0;
    await page.locator(".cm-content").click();
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("// typed\nexport default { fetch: () => new Response(1) };");
    await saveState(page, "saved");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.insertText('export default { fetch: () => new Response("two") };\n');
    await saveState(page, "saved");
    const text = await page.locator(".cm-content").innerText();
    assert(text.trim() === 'export default { fetch: () => new Response("two") };', `the text is ${text}`);
    assert(page.troubles.length === 0, page.troubles.join("\n"));
  });

  await check("Tab reaches every act of the page", async () => {
    await page.locator("#run").click();
    await page.locator("#stage iframe").waitFor();
    const wanted = ["#run", "#deploy", "#split-files", "#split-logs", "#split-side", "#log-filter", "#log-clear", "#preview-reload", "#preview-open", "#ask-none"].filter((id) => id !== "#ask-none");
    const seen = new Set();
    await page.evaluate(() => document.activeElement?.blur());
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press(i % 2 ? "Tab" : "Escape");
      const now = await focus(page);
      seen.add(now.split(" ")[0].replace(/^\w+/, ""));
    }
    const missing = wanted.filter((id) => !seen.has(id));
    assert(missing.length === 0, `never reached ${missing.join(", ")}`);
  });
  await page.context().close();
}
