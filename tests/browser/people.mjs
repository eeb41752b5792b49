// More than one person: invitations, members, forks, tokens, passwords.
import { PASSWORD, Steady, assert, check, curl, inspect, make, open, owner, ready, signIn, token, until } from "./lib.mjs";

const OTHER = "another long sentence here";
const CHANGED = "and a third one after that";

export async function people(steady, browser) {
  const page = await owner(steady, browser);
  const guestOf = await open(browser, { width: 1440, height: 900 });
  let link;

  await check("an invitation's link makes an account, once", async () => {
    await page.goto(`${steady.url}/account`);
    await page.getByLabel("For whom").fill("Robin");
    await page.getByRole("button", { name: "Create link" }).click();
    link = await page.locator("#fresh").innerText();
    await inspect(page, "account-invited");
    await guestOf.goto(link);
    await inspect(guestOf, "join");
    await guestOf.getByLabel("User name").fill("Not A Name");
    await guestOf.getByLabel("Password").fill(OTHER);
    await guestOf.getByRole("button", { name: "Join" }).click();
    await guestOf.getByRole("alert").waitFor();
    await guestOf.getByLabel("User name").fill("robin");
    await guestOf.getByLabel("Password").fill(OTHER);
    await guestOf.getByRole("button", { name: "Join" }).click();
    await guestOf.getByRole("heading", { name: "Projects" }).waitFor();
    const again = await open(browser, { width: 1440, height: 900 });
    await again.goto(link);
    if (await again.getByLabel("User name").isVisible()) {
      await again.getByLabel("User name").fill("second");
      await again.getByLabel("Password").fill(OTHER);
      await again.getByRole("button", { name: "Join" }).click();
      await again.getByText(/not valid|used|invitation/i).first().waitFor();
    }
    await again.context().close();
  });

  await make(page, steady, "Hello", "shared");
  const path = `${steady.url}/dev/shared`;
  await check("strangers see nothing of a private project", async () => {
    await guestOf.goto(path);
    await guestOf.getByText(/no such project|not found|may not see/i).first().waitFor();
  });
  await check("a viewer sees, and cannot edit", async () => {
    await page.goto(`${path}/settings`);
    const members = page.getByRole("region", { name: "Members" });
    await members.getByLabel("User").fill("robin");
    await members.getByRole("button", { name: "Add" }).click();
    await page.getByText("Members were changed").waitFor();
    await guestOf.goto(path);
    await guestOf.getByRole("heading", { name: "shared" }).waitFor();
    for (const name of ["Pause", "Restart", "Deploy"]) assert((await guestOf.getByRole("button", { name }).count()) === 0, `there is a button ${name}`);
    await inspect(guestOf, "app-viewer");
    await guestOf.goto(`${path}/settings`);
    assert((await guestOf.getByRole("button", { name: "Delete project" }).count()) === 0, "there is a delete button");
    await inspect(guestOf, "settings-viewer");
    await guestOf.goto(`${path}/edit`);
    await ready(guestOf);
    assert((await guestOf.locator("#run, #deploy").count()) === 0, "there is Run or Deploy");
    assert((await guestOf.getByRole("button", { name: "New file" }).count()) === 0, "there is New file");
    await guestOf.locator(".cm-content").click();
    await guestOf.keyboard.type("x");
    await inspect(guestOf, "edit-viewer");
    const refused = await guestOf.evaluate(async () => {
      const csrf = document.querySelector('meta[name="csrf"]').content;
      const out = [];
      for (const act of ["files", "run", "deploy", "rollback", "draft/update", "pause", "restart", "settings/env", "settings/delete", "settings/members"]) {
        const body = act === "files" ? JSON.stringify({ on: "", changes: [{ op: "write", path: "x", text: "x" }] }) : act === "draft/update" ? JSON.stringify({ how: "discard" }) : "name=X&value=y&confirm=shared&user=robin&role=owner";
        const type = body.startsWith("{") ? "application/json" : "application/x-www-form-urlencoded";
        const answer = await fetch(`/dev/shared/${act}`, { method: "POST", headers: { "x-csrf-token": csrf, "content-type": type, accept: "application/json" }, body });
        out.push(`${act} ${answer.status}`);
      }
      const raw = await fetch("/dev/shared/export");
      out.push(`export ${raw.status}`);
      return out;
    });
    const wrong = refused.filter((line) => !/ (403|404)$/.test(line));
    assert(wrong.length === 0, `not refused: ${wrong.join(", ")}`);
  });
  await check("public code is forked by somebody else, without its members' rights", async () => {
    await page.goto(`${path}/settings`);
    // Owners can be removed too, all but the one whose project it is.
    const members = page.getByRole("region", { name: "Members" });
    await members.getByLabel("User").fill("robin");
    await members.getByLabel("As").selectOption("owner");
    await members.getByRole("button", { name: "Add" }).click();
    await page.getByText("Members were changed").waitFor();
    assert((await page.getByRole("button", { name: "Remove dev" }).count()) === 0, "the project's own owner can be removed");
    await page.getByRole("button", { name: "Remove robin" }).click();
    await page.getByText("Members were changed").waitFor();
    await page.getByRole("button", { name: "Make public" }).click();
    await page.getByText("Anybody may read and fork the code now").waitFor();
    await guestOf.goto(path);
    await guestOf.getByRole("button", { name: "Fork" }).click();
    await guestOf.waitForURL("**/robin/*/edit*");
    await ready(guestOf);
    await guestOf.locator("#run").click();
    await guestOf.locator("#stage iframe").waitFor();
  });

  await check("a token works until it is revoked", async () => {
    const secret = await token(guestOf, steady, "laptop");
    await inspect(guestOf, "account-token");
    const asked = () => curl("-o", "/dev/null", "-w", "%{http_code}", "-H", `Authorization: Bearer ${secret}`, `${steady.url}/api/v1/projects`);
    assert(asked() === "200", `it is answered ${asked()}`);
    await guestOf.getByRole("button", { name: "Revoke laptop" }).click();
    await guestOf.getByText("Revoked.").waitFor();
    assert(asked() === "401", `a revoked one is answered ${asked()}`);
  });
  await check("a password is changed; the old one is refused in words", async () => {
    await guestOf.goto(`${steady.url}/account`);
    await guestOf.getByLabel("Now", { exact: true }).fill("wrong wrong wrong");
    await guestOf.getByLabel("New", { exact: true }).fill(CHANGED);
    await guestOf.getByRole("button", { name: "Change password" }).click();
    await guestOf.getByRole("alert").waitFor();
    await guestOf.getByLabel("Now", { exact: true }).fill(OTHER);
    await guestOf.getByLabel("New", { exact: true }).fill(CHANGED);
    await guestOf.getByRole("button", { name: "Change password" }).click();
    await guestOf.getByText("Your password was changed").waitFor();
  });
  await check("Sign out everywhere ends the other session too", async () => {
    const second = await open(browser, { width: 1440, height: 900 });
    await signIn(second, steady, "robin", CHANGED);
    await second.goto(`${steady.url}/account`);
    await second.getByRole("button", { name: "Sign out everywhere" }).click();
    await second.getByText("You are signed out everywhere").waitFor();
    await guestOf.goto(`${steady.url}/account`);
    await guestOf.getByLabel("User name").waitFor();
    await second.context().close();
  });
  await guestOf.context().close();
  await page.context().close();

  await check("wrong passwords: said in words, then slowed down", async () => {
    // On a server of its own: being slowed down would hold up the other journeys.
    const alone = await Steady.start();
    try {
      const first = await owner(alone, browser);
      await first.context().close();
      const stranger = await open(browser, { width: 1440, height: 900 });
      await stranger.goto(`${alone.url}/signin`);
      const attempt = async (password) => {
        await stranger.getByLabel("User name").fill("dev");
        await stranger.getByLabel("Password").fill(password);
        const answer = stranger.waitForResponse((r) => r.request().method() === "POST");
        await stranger.getByRole("button", { name: "Sign in" }).click();
        return (await answer).status();
      };
      await attempt("wrong wrong wrong");
      await stranger.getByRole("alert").waitFor();
      await inspect(stranger, "signin-wrong");
      await until("tries are slowed", async () => (await attempt("wrong wrong wrong")) === 429);
      await stranger.getByRole("alert").getByText(/wait|try again|seconds/i).first().waitFor();
      await inspect(stranger, "signin-slowed");
      await stranger.context().close();
    } finally {
      await alone.stop();
    }
  });
}
