// A Steady of its own, a real Chromium, and the checks every page must pass.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, chmodSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const OUT = join(ROOT, "tests/browser/out");
export const PASSWORD = "correct horse battery staple";
const PATIENCE = 60_000;

let passed = 0;
let failed = 0;

/** Runs one check and goes on whatever happens, so that one run shows all that is wrong. */
export async function check(name, act) {
  try {
    await act();
    passed += 1;
    console.log(`ok   ${name}`);
    return true;
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}\n     ${String(error?.message ?? error).split("\n").slice(0, 12).join("\n     ")}`);
    return false;
  }
}

export function summary() {
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

/** Polls until `look` gives something true. */
export async function until(what, look) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

export class Steady {
  /** `settings` are environment variables: STEADY_GUESTS=true. */
  static async start(settings = {}) {
    const steady = new Steady();
    // An ordinary user's walls may be too weak for strangers; here all code is the journeys' own.
    const own = process.getuid() === 0 ? {} : { STEADY_SANDBOX: "single-tenant" };
    steady.settings = { ...own, ...settings };
    steady.dir = mkdtempSync(join(tmpdir(), "steady-browser-"));
    chmodSync(steady.dir, 0o711);
    steady.data = join(steady.dir, "data");
    steady.log = join(steady.dir, "server.log");
    steady.port = await freePort();
    steady.url = `http://localhost:${steady.port}`;
    steady.spawn();
    steady.setup = await until("the set-up link is printed", () => {
      steady.alive();
      return steady.said().split(/\s+/).find((word) => word.startsWith(steady.url) && word.includes("setup"));
    });
    return steady;
  }

  spawn() {
    const log = openSync(this.log, "a");
    const program = process.env.STEADY_BIN ?? join(ROOT, "target/debug/steady");
    assert(existsSync(program), `${program} is missing: run ./dev build`);
    const flags = ["serve", "--data", this.data, "--listen", `127.0.0.1:${this.port}`, "--domain", "localhost"];
    this.exit = undefined;
    this.child = spawn(program, flags, { stdio: ["ignore", log, log], env: { ...process.env, ...this.settings } });
    this.child.once("exit", (code) => (this.exit = code ?? "a signal"));
  }

  alive() {
    if (this.exit !== undefined) throw new Error(`the server ended with ${this.exit}:\n${this.said()}`);
  }

  said() {
    return readFileSync(this.log, "utf8");
  }

  app(label) {
    return `http://${label}.localhost:${this.port}`;
  }

  /** Stops the server; its data stays. */
  async halt() {
    if (this.exit !== undefined) return;
    this.child.kill("SIGTERM");
    await until("the server stops", () => this.exit !== undefined).catch(() => this.child.kill("SIGKILL"));
  }

  /** Starts it again, on the same data and port. */
  async again() {
    this.spawn();
    await until("the server answers", () => {
      this.alive();
      try {
        return curl(`${this.url}/signin`);
      } catch {
        return false;
      }
    });
  }

  async stop() {
    await this.halt();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** What a visitor gets; curl resolves `*.localhost` itself. */
export const curl = (...args) =>
  execFileSync("curl", ["-sS", "--max-time", "30", "--noproxy", "*", ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });

/** A page that remembers what went wrong in it. */
export async function open(browser, { width, height, dark = false, phone = false, storageState }) {
  const context = await browser.newContext({
    storageState,
    viewport: { width, height },
    colorScheme: dark ? "dark" : "light",
    reducedMotion: "reduce",
    isMobile: phone,
    hasTouch: phone,
  });
  const page = await context.newPage();
  page.dark = dark;
  page.setDefaultTimeout(PATIENCE);
  page.troubles = [];
  page.on("pageerror", (error) => page.troubles.push(`script: ${error.message}`));
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) page.troubles.push(`CSP: ${message.text()}`);
  });
  page.on("response", (response) => {
    const { hostname } = new URL(response.url());
    if (response.status() >= 500 && hostname === "localhost") page.troubles.push(`${response.status()} ${response.url()}`);
    if (hostname !== "localhost" && !hostname.endsWith(".localhost")) page.troubles.push(`third party: ${response.url()}`);
  });
  return page;
}

const AXE = readFileSync(join(ROOT, "node_modules/axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** The page as it stands: accessible, no wider than the window, nothing blocked or broken. Keeps a picture. */
export async function inspect(page, name, { whole = false } = {}) {
  const size = page.viewportSize();
  const scheme = page.dark ? "dark" : "light";
  const label = `${name} at ${size.width} px, ${scheme}`;
  mkdirSync(OUT, { recursive: true });
  await page.screenshot({ path: join(OUT, `${name}-${size.width}-${scheme}.png`), fullPage: whole });
  await check(`${label}: no accessibility violation`, async () => {
    await page.evaluate(AXE);
    const violations = await page.evaluate(async (tags) => {
      // The preview is the user's own page.
      const context = { exclude: [["#stage iframe"]] };
      const { violations } = await window.axe.run(context, { runOnly: { type: "tag", values: tags }, iframes: false });
      return violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary?.split("\n")[1] ?? ""}`).join("; ")}`);
    }, TAGS);
    assert(violations.length === 0, violations.join("\n"));
  });
  await check(`${label}: nothing sticks out sideways`, async () => {
    const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    assert(over <= 0, `the page is ${over} px wider than the window`);
  });
  await check(`${label}: nothing blocked, nothing broken`, () => {
    const troubles = page.troubles.splice(0);
    assert(troubles.length === 0, troubles.join("\n"));
  });
}

/** Replaces all that the code pane holds, and waits until the server has it. */
export async function retype(page, text) {
  await page.locator(".cm-content").click();
  await page.keyboard.press("ControlOrMeta+a");
  // Text put over a selection would make Chromium wrap it in a styled element of its own.
  await page.keyboard.press("Delete");
  const sent = page.waitForResponse((r) => r.request().method() === "POST" && r.url().endsWith("/files"));
  await page.keyboard.insertText(text);
  const reply = await sent;
  assert(reply.ok(), `the save was answered ${reply.status()}: ${await reply.text()}`);
  await saved(page);
}

export const saved = (page) =>
  until("the page says it is saved", async () => (await page.locator("#save-state").getAttribute("data-s")) === "saved");

export const template = (path) => readFileSync(join(ROOT, "templates/projects", path), "utf8");

/** A page of the server's owner, who is made when there is none yet. */
export async function owner(steady, browser, size = { width: 1440, height: 900 }) {
  const page = await open(browser, size);
  if (steady.owned) {
    await signIn(page, steady, "dev", PASSWORD);
  } else {
    await page.goto(steady.setup);
    await page.getByLabel("User name").fill("dev");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Create owner" }).click();
    await page.getByRole("heading", { name: "Projects" }).waitFor();
    steady.owned = true;
  }
  return page;
}

export async function signIn(page, steady, name, password) {
  await page.goto(`${steady.url}/signin`);
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Projects" }).waitFor();
}

/** A project from a template's card, open in the editor. */
export async function make(page, steady, card, name) {
  await page.goto(`${steady.url}/new`);
  await page.getByText(card, { exact: true }).click();
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Create and edit" }).click();
  await page.waitForURL(`**/${name}/edit*`);
  await ready(page);
}

/** The editing page's scripts have begun. */
export const ready = (page) => page.locator("body[data-ready=true]").waitFor();

export const saveState = (page, state) =>
  until(`the page says ${state}`, async () => (await page.locator("#save-state").getAttribute("data-s")) === state);

/** A token of the account that is signed in. */
export async function token(page, steady, name) {
  await page.goto(`${steady.url}/account`);
  const form = page.locator("form[action='/account/tokens']");
  await form.getByLabel("Name").fill(name);
  await form.getByRole("button", { name: "Create token" }).click();
  return page.locator("#fresh").innerText();
}

/** Presses the Deploy button and its dialog's. */
export async function deploy(page, message = "") {
  await page.locator("#deploy").click();
  await page.getByLabel("What changed?").fill(message);
  await page.locator("#deploy-box").getByRole("button", { name: "Deploy" }).click();
}

/** What has the focus, in words. */
export const focus = (page) =>
  page.evaluate(() => {
    const e = document.activeElement;
    return e === document.body || !e ? "nothing" : `${e.tagName.toLowerCase()}${e.id ? `#${e.id}` : ""} ${e.getAttribute("data-path") ?? e.getAttribute("aria-label") ?? e.textContent.trim().slice(0, 40)}`;
  });
