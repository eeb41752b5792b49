// Small helpers for making elements.
export const $ = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;

type Props = Record<string, string | number | boolean | null | ((event: any) => void)>;

/** An element with attributes (`on…` functions become listeners) and children. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: (Node | string)[]) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean" && key.startsWith("aria-")) node.setAttribute(key, String(value));
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null) node.setAttribute(key, String(value));
  }
  node.append(...children);
  return node;
}

const icons = document.querySelector<HTMLMetaElement>('meta[name="icons"]')!.content;

export function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${icons}#${name}`);
  svg.append(use);
  return svg;
}

/** Asks before something that cannot be undone with a key. */
export function ask(title: string, text: string, yes: string): Promise<boolean> {
  const box = $<HTMLDialogElement>("ask");
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-yes").textContent = yes;
  box.returnValue = "";
  box.showModal();
  return new Promise((answer) => {
    box.addEventListener("close", () => answer(box.returnValue === "yes"), { once: true });
  });
}

/** A line above the panes, one per name; no actions make it go by itself. */
export function banner(name: string, text: string, actions: [string, () => void][], kind = "") {
  dropBanner(name);
  const row = el("div", { class: `banner ${kind}`, "data-name": name, role: kind === "bad" ? "alert" : "status" });
  row.append(el("p", {}, text));
  for (const [label, run] of actions) row.append(el("button", { type: "button", onclick: run }, label));
  row.append(el("button", { type: "button", class: "quiet square", "aria-label": "Dismiss", onclick: () => row.remove() }, icon("x")));
  $("banners").append(row);
}

export function dropBanner(name: string) {
  for (const row of $("banners").querySelectorAll<HTMLElement>(".banner")) if (row.dataset.name === name) row.remove();
}
