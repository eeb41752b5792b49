// Panes: resized by pointer or arrows, remembered; one at a time on a phone.
import { $ } from "./dom";

const KEY = "steady:panes";
const sizes: Record<string, number> = (() => {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
})();

function splitter(bar: HTMLElement) {
  const name = bar.dataset.var!;
  const [min, max] = [Number(bar.dataset.min), Number(bar.dataset.max)];
  const vertical = bar.getAttribute("aria-orientation") === "vertical";
  const sign = bar.dataset.from === "end" ? -1 : 1;
  const pane = $(bar.getAttribute("aria-controls")!);
  const size = () => (vertical ? pane.offsetWidth : pane.offsetHeight);
  const set = (value: number, keep = true) => {
    const to = Math.round(Math.min(Math.max(value, min), max));
    document.documentElement.style.setProperty(name, `${to}px`);
    bar.setAttribute("aria-valuenow", String(to));
    if (!keep) return;
    sizes[name] = to;
    localStorage.setItem(KEY, JSON.stringify(sizes));
  };
  bar.setAttribute("aria-valuemin", String(min));
  bar.setAttribute("aria-valuemax", String(max));
  if (sizes[name]) set(sizes[name], false);
  else bar.setAttribute("aria-valuenow", String(Math.min(Math.max(size(), min), max)));
  bar.addEventListener("pointerdown", (down) => {
    const [from, start] = [size(), vertical ? down.clientX : down.clientY];
    bar.setPointerCapture(down.pointerId);
    document.body.classList.add("dragging");
    const move = (e: PointerEvent) => set(from + sign * ((vertical ? e.clientX : e.clientY) - start));
    const up = () => {
      bar.removeEventListener("pointermove", move);
      document.body.classList.remove("dragging");
    };
    bar.addEventListener("pointermove", move);
    bar.addEventListener("lostpointercapture", up, { once: true });
  });
  bar.addEventListener("keydown", (event) => {
    const [less, more] = vertical ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
    const step = (event.shiftKey ? 80 : 20) * sign;
    if (event.key === less) set(size() - step);
    else if (event.key === more) set(size() + step);
    else if (event.key === "Home") set(min);
    else if (event.key === "End") set(max);
    else return;
    event.preventDefault();
  });
  bar.addEventListener("dblclick", () => {
    document.documentElement.style.removeProperty(name);
    delete sizes[name];
    localStorage.setItem(KEY, JSON.stringify(sizes));
  });
}

export type Pane = "files" | "code" | "preview" | "logs";

/** On a phone, the pane that is shown. */
export function showPane(pane: Pane) {
  document.body.dataset.pane = pane;
  for (const button of document.querySelectorAll<HTMLElement>(".bottom [data-pane]")) {
    if (button.dataset.pane === pane) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

const ORDER: [string, string][] = [["files", '[role="treeitem"][tabindex="0"]'], ["code", ".cm-content"], ["logs", ".log"], ["preview", "button:not(:disabled), a"]];

/** F6 goes from pane to pane, Shift+F6 back. */
function cycle(back: boolean) {
  const at = ORDER.findIndex(([id]) => $(id).contains(document.activeElement));
  const [id, inside] = ORDER[(at + (back ? -1 : 1) + ORDER.length) % ORDER.length]!;
  showPane(id as Pane);
  const found = [...$(id).querySelectorAll<HTMLElement>(inside)].find((e) => e.offsetParent) ?? $(id).querySelector<HTMLElement>("button");
  found?.focus();
}

export function panes() {
  for (const bar of document.querySelectorAll<HTMLElement>(".split")) splitter(bar);
  for (const button of document.querySelectorAll<HTMLElement>(".bottom [data-pane]")) {
    button.addEventListener("click", () => showPane(button.dataset.pane as Pane));
  }
  showPane("code");
  addEventListener("keydown", (event) => {
    if (event.key !== "F6") return;
    event.preventDefault();
    cycle(event.shiftKey);
  });
}
