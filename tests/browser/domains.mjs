// The domains of a project: given, explained, proved, taken away; and the page of certificates.
import { createSocket } from "node:dgram";
import { assert, check, focus, inspect, make, open, owner } from "./lib.mjs";

export async function domains(steady, browser) {
  const page = await owner(steady, browser);
  await make(page, steady, "Hello", "homely");
  const path = `${steady.url}/dev/homely/settings`;
  const storageState = await page.context().storageState();
  const dark = await open(browser, { width: 1440, height: 900, dark: true, storageState });
  const phone = await open(browser, { width: 390, height: 844, phone: true, storageState });
  const night = await open(browser, { width: 390, height: 844, phone: true, dark: true, storageState });
  const panel = page.getByRole("region", { name: "Domains", exact: true });

  await check("a domain is added by keyboard, and the page says what to set", async () => {
    await page.goto(path);
    await panel.getByLabel("Domain").focus();
    await page.keyboard.type("shop.example.com");
    await page.keyboard.press("Tab");
    assert((await focus(page)).startsWith("input"), `the box for www has the focus, not ${await focus(page)}`);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByText("Added. Set the DNS records below").waitFor();
    await panel.getByText("waiting for DNS", { exact: true }).waitFor();
    await panel.getByRole("cell", { name: "homely.localhost", exact: true }).waitFor();
    await panel.getByRole("cell", { name: "_steady-challenge.shop.example.com" }).waitFor();
  });
  for (const view of [page, dark, phone, night]) {
    await view.goto(path);
    await inspect(view, "settings-domains", { whole: true });
  }
  await check("what cannot be a domain is refused with a sentence", async () => {
    await page.goto(path);
    await panel.getByLabel("Domain").fill("homely.localhost");
    await panel.getByRole("button", { name: "Add domain" }).click();
    await page.getByText("is no name of the public DNS").waitFor();
    await inspect(page, "settings-domains-refused", { whole: true });
  });
  await check("once DNS leads here the page says so", async () => {
    await page.goto(path);
    steady.names.alias("shop.example.com", "homely.localhost");
    await new Promise((resolve) => setTimeout(resolve, 2100));
    await panel.getByRole("button", { name: "Check now: shop.example.com" }).click();
    await page.getByText("This is what DNS says now.").waitFor();
    await panel.getByText("Visitors come here.").waitFor();
  });
  for (const view of [page, night]) {
    await view.goto(path);
    await view.getByText("What to set in DNS").click();
    await inspect(view, "settings-domains-live", { whole: true });
  }
  await check("it is taken away", async () => {
    await page.goto(path);
    await panel.getByRole("button", { name: "Remove shop.example.com" }).click();
    await page.getByText("It leads to no app any more").waitFor();
    assert((await panel.getByText("shop.example.com").count()) === 0, "it is still there");
  });
  await check("the page of certificates", async () => {
    await page.goto(`${steady.url}/certificates`);
    await page.getByText("Steady speaks no TLS of its own").waitFor();
  });
  for (const view of [page, night]) {
    await view.goto(`${steady.url}/certificates`);
    await inspect(view, "certificates");
  }
  for (const view of [dark, phone, night, page]) await view.context().close();
}

/** A name server that knows the aliases it is told, and nothing else. */
export async function names() {
  const aliases = new Map();
  const socket = createSocket("udp4");
  socket.on("message", (packet, from) => {
    let at = 12;
    const labels = [];
    while (packet[at] > 0) {
      labels.push(packet.subarray(at + 1, at + 1 + packet[at]).toString("ascii").toLowerCase());
      at += 1 + packet[at];
    }
    const question = packet.subarray(12, at + 5);
    const to = packet.readUInt16BE(at + 1) === 5 ? aliases.get(labels.join(".")) : undefined;
    const data = to && Buffer.concat([...to.split(".").map((label) => Buffer.from([label.length, ...Buffer.from(label)])), Buffer.from([0])]);
    const head = Buffer.from([packet[0], packet[1], 0x81, 0x80, 0, 1, 0, data ? 1 : 0, 0, 0, 0, 0]);
    // A pointer to the name asked for, CNAME, IN, 30 seconds.
    const record = data ? Buffer.concat([Buffer.from([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 30, 0, data.length]), data]) : Buffer.alloc(0);
    socket.send(Buffer.concat([head, question, record]), from.port, from.address);
  });
  await new Promise((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return { address: `127.0.0.1:${socket.address().port}`, alias: (name, to) => aliases.set(name, to), close: () => socket.close() };
}
