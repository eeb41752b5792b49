// Open files as tabs: arrows move, Delete or a middle click closes.
import { $, el, icon } from "./dom";

export class Tabs {
  private readonly host = $("tabs");
  private paths: string[] = [];
  private current: string | null = null;
  private marked = new Set<string>();

  constructor(private readonly show: (path: string) => void, private readonly closing: (path: string) => void) {
    this.host.role = "tablist";
    this.host.setAttribute("aria-label", "Open files");
    this.host.addEventListener("click", (event) => {
      const target = event.target as Element;
      const path = target.closest<HTMLElement>("[data-path]")?.dataset.path;
      if (path && target.closest(".close")) this.close(path);
      else if (path) this.show(path);
    });
    this.host.addEventListener("auxclick", (event) => {
      const path = (event.target as Element).closest<HTMLElement>("[data-path]")?.dataset.path;
      if (path && event.button === 1) this.close(path);
    });
    this.host.addEventListener("keydown", (event) => this.key(event));
  }

  get open(): readonly string[] {
    return this.paths;
  }

  select(path: string | null) {
    if (path && !this.paths.includes(path)) this.paths.push(path);
    this.current = path;
    this.draw();
    this.host.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** Tabs with a conflict or an error are told apart. */
  mark(paths: Iterable<string>) {
    this.marked = new Set(paths);
    this.draw();
  }

  close(path: string) {
    const i = this.paths.indexOf(path);
    if (i < 0) return;
    this.paths.splice(i, 1);
    this.closing(path);
    const next = this.paths[Math.min(i, this.paths.length - 1)];
    const focused = this.host.contains(document.activeElement);
    if (path === this.current && next) this.show(next);
    else if (path === this.current) this.select(null);
    else this.draw();
    if (focused && !next) document.querySelector<HTMLElement>('#tree [tabindex="0"]')?.focus();
  }

  rename(from: string, to: string) {
    this.paths = this.paths.map((p) => (p === from ? to : p));
    if (this.current === from) this.current = to;
    this.draw();
  }

  private draw() {
    const focused = this.host.contains(document.activeElement);
    const names = this.paths.map((p) => p.split("/").at(-1)!);
    this.host.replaceChildren(
      ...this.paths.map((path, i) => {
        const twice = names.indexOf(names[i]!) !== names.lastIndexOf(names[i]!);
        const label = twice ? path : names[i]!;
        const selected = path === this.current;
        const tab = el("button", {
          type: "button", role: "tab", "data-path": path, title: path, "aria-selected": selected, "aria-controls": "editor",
          tabindex: selected ? 0 : -1, class: this.marked.has(path) ? "marked" : "", "aria-description": "Delete closes",
        });
        const close = el("span", { class: "close", "aria-hidden": "true" }, icon("x"));
        tab.append(label, close);
        return tab;
      }),
    );
    this.host.hidden = this.paths.length === 0;
    if (focused) this.host.querySelector<HTMLElement>("[aria-selected=true]")?.focus();
  }

  private key(event: KeyboardEvent) {
    const i = this.current ? this.paths.indexOf(this.current) : -1;
    const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: this.paths.length - 1 }[event.key];
    if (to !== undefined) {
      const path = this.paths[(to + this.paths.length) % this.paths.length];
      if (path) this.show(path);
    } else if (event.key === "Delete" && this.current) this.close(this.current);
    else return;
    event.preventDefault();
  }
}
