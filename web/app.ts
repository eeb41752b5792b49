// Every page: theme, copying, live times, forms that stream their progress, parts that refresh themselves.
import "./parts/logs";
import "./parts/refresh";
import { progressForms } from "./parts/progress";
import { liveTimes } from "./parts/times";

const root = document.documentElement;

function theme() {
  for (const button of document.querySelectorAll<HTMLElement>("[data-theme-toggle]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const chosen = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
      const next = chosen === "dark" ? "light" : "dark";
      root.dataset.theme = next;
      // A cookie, so that the server renders the next page right and nothing flashes.
      document.cookie = `theme=${next}; Path=/; Max-Age=31536000; SameSite=Lax`;
    });
  }
}

/** Copies without `navigator.clipboard` too, which plain http on a LAN does not have. */
async function copyText(text: string) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function copying() {
  document.addEventListener("click", async (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-copy]");
    if (!button) return;
    const text = document.querySelector(button.dataset.copy!)?.textContent ?? "";
    await copyText(text);
    const use = button.querySelector("use");
    const icons = document.querySelector<HTMLMetaElement>('meta[name="icons"]')!.content;
    use?.setAttribute("href", `${icons}#check`);
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      use?.setAttribute("href", `${icons}#copy`);
      button.setAttribute("aria-label", "Copy");
    }, 1600);
  });
}

function filtering() {
  const input = document.querySelector<HTMLInputElement>("[data-filter]");
  if (!input) return;
  const apply = () => {
    const list = document.querySelector(input.dataset.filter!);
    const q = input.value.trim().toLowerCase();
    let shown = 0;
    for (const item of list?.querySelectorAll<HTMLElement>("[data-text]") ?? []) {
      item.hidden = !item.dataset.text!.toLowerCase().includes(q);
      if (!item.hidden) shown++;
    }
    const none = document.getElementById(`${input.dataset.filter!.slice(1)}-none`);
    if (none) none.hidden = shown > 0;
  };
  input.addEventListener("input", apply);
  document.addEventListener("steady:refreshed", apply);
  document.addEventListener("keydown", (event) => {
    const typing = (event.target as Element).closest("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      input.focus();
    }
  });
}

function menus() {
  const shut = (except: Node | null) => {
    for (const menu of document.querySelectorAll<HTMLDetailsElement>("details.menu[open]")) {
      if (except && menu.contains(except)) continue;
      const inside = menu.contains(document.activeElement);
      menu.open = false;
      if (!except && inside) menu.querySelector("summary")?.focus();
    }
  };
  document.addEventListener("click", (event) => shut(event.target as Node));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") shut(null);
  });
}

theme();
copying();
filtering();
menus();
liveTimes();
progressForms();
// `?done=…` is told once; a reload should not tell it again.
if (location.search.includes("done=")) history.replaceState(null, "", location.pathname);
