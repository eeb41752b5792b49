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

let asked = 0;

/** Asks before something that cannot be undone with a key. */
export function ask(title: string, text: string, yes: string): Promise<boolean> {
  const box = $<HTMLDialogElement>("ask");
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-yes").textContent = yes;
  box.returnValue = "";
  box.showModal();
  const turn = ++asked;
  return new Promise((answer) => {
    const closed = () => {
      // The event of the question before comes late: this one may be open already.
      if (turn === asked && box.open) return;
      box.removeEventListener("close", closed);
      answer(turn === asked && box.returnValue === "yes");
    };
    box.addEventListener("close", closed);
  });
}

const rows = (name: string) => [...$("banners").querySelectorAll<HTMLElement>(".banner")].filter((row) => row.dataset.name === name);

/** A line above the panes, one per name. The same line said again stays as it is. */
export function banner(name: string, text: string, actions: [string, () => void][], kind = "") {
  const same = rows(name)[0];
  if (same && same.firstElementChild!.textContent === text && same.dataset.kind === kind) return;
  const row = el("div", { class: `banner ${kind}`, "data-name": name, "data-kind": kind, role: kind === "bad" ? "alert" : "status" });
  row.append(el("p", {}, text));
  for (const [label, run] of actions) row.append(el("button", { type: "button", onclick: run }, label));
  row.append(el("button", { type: "button", class: "quiet square", "aria-label": "Dismiss", onclick: () => gone(row) }, icon("x")));
  if (same) gone(same, row);
  else $("banners").append(row);
}

export function dropBanner(name: string) {
  for (const row of rows(name)) gone(row);
}

/** Takes a line away; the focus that was in it goes on to a place beside the work. */
function gone(row: HTMLElement, next?: HTMLElement) {
  const focused = row.contains(document.activeElement);
  if (next) row.replaceWith(next);
  else row.remove();
  if (!focused) return;
  const to = next?.querySelector("button") ?? document.querySelector<HTMLElement>('#tabs [aria-selected="true"]') ?? document.querySelector<HTMLElement>('#tree [tabindex="0"]');
  to?.focus();
}
