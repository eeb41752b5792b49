// The files as a tree: arrows move, Enter opens, F2 renames, Delete deletes; files can be dropped on it.
import { $, el, icon } from "./dom";
import { dropped } from "./drop";
import type { FileEntry } from "./types";

export type Node = { path: string; name: string; folder: boolean; level: number };

export type Acts = {
  open(path: string): void;
  create(path: string): void;
  folder(path: string): void;
  move(from: string, to: string): void;
  /** Whether it was removed: somebody was asked first. */
  remove(node: Node): Promise<boolean>;
  upload(files: [path: string, file: File][], folder: string): void;
};

const parent = (path: string) => path.slice(0, Math.max(path.lastIndexOf("/"), 0));
const join = (folder: string, name: string) => (folder ? `${folder}/${name}` : name);

export class Tree {
  private readonly host = $("tree");
  private readonly closed = new Set<string>();
  /** Folders made here that hold nothing yet: git knows only files. */
  private readonly made = new Set<string>();
  private files: FileEntry[] = [];
  private conflicts = new Set<string>();
  private shown: Node[] = [];
  private at = "";
  /** What the tree stands on as soon as the server has it: the new name of something moved. */
  private want: string | null = null;
  private current: string | null = null;

  constructor(private readonly acts: Acts, private readonly writable: boolean) {
    this.host.role = "tree";
    this.host.setAttribute("aria-label", "Files of the project");
    this.host.addEventListener("keydown", (event) => this.key(event));
    this.host.addEventListener("click", (event) => this.click(event));
    if (writable) this.editing();
  }

  render(files: FileEntry[], conflicts: string[] = []) {
    this.files = files;
    this.conflicts = new Set(conflicts);
    this.draw();
  }

  /** The file in the text pane. */
  open(path: string | null) {
    this.current = path;
    if (path) {
      for (let up = parent(path); up; up = parent(up)) this.closed.delete(up);
      this.at = path;
    }
    this.draw();
  }

  private nodes(): Node[] {
    const folders = new Set<string>(this.made);
    for (const { path } of this.files) for (let up = parent(path); up; up = parent(up)) folders.add(up);
    for (const path of this.made) for (let up = parent(path); up; up = parent(up)) folders.add(up);
    const all = [...[...folders].map((path) => ({ path, folder: true })), ...this.files.map(({ path }) => ({ path, folder: false }))];
    const out: Node[] = [];
    const walk = (folder: string, level: number) => {
      const here = all.filter((n) => parent(n.path) === folder);
      here.sort((a, b) => Number(b.folder) - Number(a.folder) || a.path.localeCompare(b.path));
      for (const n of here) {
        out.push({ ...n, name: n.path.slice(folder ? folder.length + 1 : 0), level });
        if (n.folder && !this.closed.has(n.path)) walk(n.path, level + 1);
      }
    };
    walk("", 1);
    return out;
  }

  private draw() {
    // Somebody writes a name just now: drawn when that is over.
    if (this.host.querySelector("input")) return;
    const focused = this.host.contains(document.activeElement);
    const before = this.shown.findIndex((n) => n.path === this.at);
    this.shown = this.nodes();
    if (this.want !== null && this.shown.some((n) => n.path === this.want)) [this.at, this.want] = [this.want, null];
    // What was stood on is gone: its neighbour is next.
    if (!this.shown.some((n) => n.path === this.at)) this.at = (this.shown[Math.min(before, this.shown.length - 1)] ?? this.shown[0])?.path ?? "";
    this.host.replaceChildren(...this.shown.map((n) => this.row(n)));
    if (focused) this.focus();
  }

  private row(n: Node): HTMLElement {
    const row = el("div", {
      role: "treeitem",
      "data-path": n.path,
      "aria-level": n.level,
      "aria-selected": n.path === this.current,
      "aria-expanded": n.folder ? !this.closed.has(n.path) : null,
      tabindex: n.path === this.at ? 0 : -1,
      draggable: this.writable ? "true" : null,
      class: this.conflicts.has(n.path) ? "conflict" : "",
    });
    row.style.setProperty("--level", String(n.level));
    row.append(icon(n.folder ? "chevron" : "file"), el("span", { class: "label" }, n.name));
    if (this.conflicts.has(n.path)) row.append(el("span", { class: "badge" }, "conflict"));
    return row;
  }

  private node(path = this.at): Node | undefined {
    return this.shown.find((n) => n.path === path);
  }
  private element(path: string): HTMLElement | undefined {
    return [...this.host.querySelectorAll<HTMLElement>("[data-path]")].find((e) => e.dataset.path === path);
  }
  private focus(path = this.at) {
    this.element(this.at)?.setAttribute("tabindex", "-1");
    this.at = path;
    const row = this.element(path);
    row?.setAttribute("tabindex", "0");
    row?.focus();
  }
  private toggle(n: Node, open: boolean) {
    if (open) this.closed.delete(n.path);
    else this.closed.add(n.path);
    this.draw();
  }

  private click(event: Event) {
    const row = (event.target as Element).closest<HTMLElement>("[data-path]");
    const n = row && !(event.target as Element).closest("input") && this.node(row.dataset.path);
    if (!n) return;
    this.focus(n.path);
    if (n.folder) this.toggle(n, this.closed.has(n.path));
    else this.acts.open(n.path);
  }

  private key(event: KeyboardEvent) {
    const n = this.node();
    if (!n || (event.target as Element).matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const i = this.shown.indexOf(n);
    const to = (node: Node | undefined) => node && this.focus(node.path);
    switch (event.key) {
      case "ArrowDown": to(this.shown[i + 1]); break;
      case "ArrowUp": to(this.shown[i - 1]); break;
      case "Home": to(this.shown[0]); break;
      case "End": to(this.shown.at(-1)); break;
      case "ArrowRight":
        if (n.folder && this.closed.has(n.path)) this.toggle(n, true);
        else if (n.folder) to(this.shown[i + 1]);
        break;
      case "ArrowLeft":
        if (n.folder && !this.closed.has(n.path)) this.toggle(n, false);
        else to(this.node(parent(n.path)));
        break;
      case "Enter":
      case " ":
        if (n.folder) this.toggle(n, this.closed.has(n.path));
        else this.acts.open(n.path);
        break;
      case "F2": if (this.writable) this.rename(); break;
      case "Delete": if (this.writable) void this.remove(n); break;
      default: {
        if (event.key.length !== 1) return;
        const rest = [...this.shown.slice(i + 1), ...this.shown.slice(0, i + 1)];
        to(rest.find((m) => m.name.toLowerCase().startsWith(event.key.toLowerCase())));
      }
    }
    event.preventDefault();
  }

  /** The folder new things go into: the one at hand, or that of the file at hand. */
  private folder(): string {
    const n = this.node();
    return !n ? "" : n.folder ? n.path : parent(n.path);
  }

  private rename() {
    const n = this.node();
    const row = n && this.element(n.path);
    if (!n || !row) return;
    this.field(row, n.path, (path) => path !== n.path && this.move(n, path), n.path.length - n.name.length);
  }

  private empty(n: Node): boolean {
    return n.folder && !this.files.some((f) => f.path.startsWith(`${n.path}/`));
  }

  private move(n: Node, to: string) {
    this.want = to;
    for (let up = parent(to); up; up = parent(up)) this.closed.delete(up);
    // Empty folders are known here only.
    for (const path of [...this.made]) {
      if (path !== n.path && !path.startsWith(`${n.path}/`)) continue;
      this.made.delete(path);
      this.made.add(to + path.slice(n.path.length));
    }
    if (this.empty(n)) this.draw();
    else this.acts.move(n.path, to);
  }

  private async remove(n: Node) {
    if (!this.empty(n) && !(await this.acts.remove(n))) return;
    for (const path of [...this.made]) if (path === n.path || path.startsWith(`${n.path}/`)) this.made.delete(path);
    this.draw();
  }

  private add(folder: boolean) {
    const into = this.folder();
    if (into) this.closed.delete(into);
    this.draw();
    const row = el("div", { class: "making", role: "none" }, icon(folder ? "folder" : "file"), el("span", { class: "label" }));
    const after = this.element(into);
    if (after) after.after(row);
    else this.host.prepend(row);
    this.field(row, into ? `${into}/` : "", (path) => {
      if (!folder) return this.acts.create(path);
      this.made.add(path);
      this.want = path;
      this.acts.folder(path);
    });
  }

  /** A field in place of a row's name; holds the whole path, so that a rename can also be a move. */
  private field(row: HTMLElement, value: string, took: (path: string) => void, from = value.length) {
    const input = el("input", { value, "aria-label": "Path", spellcheck: "false", autocapitalize: "none" });
    let over = false;
    const done = (take: boolean, stay: boolean) => {
      // Taking the field away also blurs it.
      if (over) return;
      over = true;
      const path = input.value.trim().replace(/^\/+|\/+$/g, "");
      input.remove();
      this.draw();
      if (stay) this.focus();
      if (take && path) took(path);
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" && !event.isComposing) done(true, true);
      if (event.key === "Escape") done(false, true);
    });
    input.addEventListener("blur", () => done(input.value !== value, false));
    row.querySelector(".label")!.replaceChildren(input);
    input.focus();
    const dot = value.lastIndexOf(".");
    input.setSelectionRange(from, dot > from ? dot : value.length);
  }

  private editing() {
    const picker = $<HTMLInputElement>("upload");
    const tools: Record<string, () => void> = {
      file: () => this.add(false),
      folder: () => this.add(true),
      upload: () => picker.click(),
      rename: () => this.rename(),
      remove: () => { const n = this.node(); if (n) void this.remove(n); },
    };
    for (const [name, run] of Object.entries(tools)) {
      document.querySelector(`#files [data-do="${name}"]`)!.addEventListener("click", run);
    }
    picker.addEventListener("change", () => {
      this.acts.upload([...picker.files!].map((file) => [file.name, file]), this.folder());
      picker.value = "";
    });
    const target = (event: DragEvent): string => {
      const n = this.node((event.target as Element).closest<HTMLElement>("[data-path]")?.dataset.path ?? "");
      return !n ? "" : n.folder ? n.path : parent(n.path);
    };
    const files = $("files");
    this.host.addEventListener("dragstart", (event) => {
      event.dataTransfer!.setData("text/x-steady", (event.target as HTMLElement).dataset.path!);
    });
    const over = (at: HTMLElement | null) => {
      for (const e of files.querySelectorAll(".over")) e.classList.remove("over");
      files.classList.toggle("over", at === files);
      at?.classList.add("over");
    };
    files.addEventListener("dragover", (event) => {
      event.preventDefault();
      over(this.element(target(event)) ?? files);
    });
    files.addEventListener("dragleave", (event) => {
      if (!files.contains(event.relatedTarget as globalThis.Node | null)) over(null);
    });
    files.addEventListener("drop", async (event) => {
      event.preventDefault();
      over(null);
      const [folder, data] = [target(event), event.dataTransfer!];
      const n = this.node(data.getData("text/x-steady"));
      if (!n) return this.acts.upload(await dropped(data), folder);
      const to = join(folder, n.name);
      if (to !== n.path && !to.startsWith(`${n.path}/`)) this.move(n, to);
    });
  }
}
