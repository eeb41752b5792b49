// The desk: the workspace as it is, which files are open, and every act on them.
import { Refused, getJson, postJson } from "../parts/fetch";
import { Code } from "./code";
import { $, ask, banner, dropBanner, el } from "./dom";
import { Journal } from "./journal";
import { type SaveState, Saver } from "./save";
import { Tabs } from "./tabs";
import { Tree, type Node } from "./tree";
import type { Boot, Change, FileView, Workspace } from "./types";

const size = (n: number) => (n < 1024 ? `${n} B` : n < 1048576 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / 1048576).toFixed(1)} MiB`);
const WORDS: Record<SaveState, string> = {
  saved: "Saved", dirty: "Unsaved", saving: "Saving…", offline: "Offline, retrying", stale: "Changed in another tab", failed: "Not saved",
};

export class Desk {
  readonly base: string;
  readonly code: Code;
  readonly saver: Saver;
  private readonly tree: Tree;
  private readonly tabs: Tabs;
  private readonly journal: Journal;
  private workspace: Workspace;
  /** Files that are not text, as the panel shows them. */
  private readonly views = new Map<string, FileView>();
  private wanted = "";
  /** The new name of something the server has not moved yet. */
  private moving: string | null = null;

  constructor(private readonly boot: Boot) {
    this.base = `/${boot.project}`;
    this.workspace = boot.workspace;
    this.journal = new Journal(boot.project);
    const blob = (path: string) => this.workspace.files.find((f) => f.path === path)?.blob ?? null;
    this.saver = new Saver(this.base, boot.workspace, this.journal, blob, (w) => this.adopt(w), (s, why) => this.tell(s, why));
    this.code = new Code($("editor"), boot.mayEdit, (path, text) => boot.mayEdit && this.saver.type(path, text));
    this.tabs = new Tabs((path) => void this.open(path), (path) => this.close(path));
    this.tree = new Tree(
      {
        open: (path) => void this.open(path),
        create: (path) => void this.create(path),
        folder: () => this.tree.render(this.workspace.files, this.workspace.conflicts),
        move: (from, to) => void this.move(from, to),
        remove: (node) => this.remove(node),
        upload: (files, folder) => void this.upload(files, folder),
      },
      boot.mayEdit,
    );
    this.adopt(boot.workspace);
  }

  /** What was typed and not saved before this page began: put back where the file is as it was, else offered. */
  async restore() {
    const { open, mayEdit } = this.boot;
    for (const [path, entry] of mayEdit ? this.journal.entries() : []) {
      const file = this.workspace.files.find((f) => f.path === path);
      if ((file?.blob ?? null) === entry.blob) {
        this.saver.type(path, entry.text);
        if (open?.path === path) open.text = entry.text;
        continue;
      }
      const now = file && (await this.fetch(path).catch(() => null));
      if (now && now.text === entry.text) this.journal.drop(path);
      else this.offer(path, entry.text);
    }
    if (open) {
      await this.loaded(open);
      await this.open(open.path);
    } else this.nothing();
  }

  private offer(path: string, text: string) {
    const name = `journal ${path}`;
    const put = async () => {
      dropBanner(name);
      if (!this.workspace.files.some((f) => f.path === path)) return this.create(path, text);
      await this.open(path);
      this.code.replace(text);
    };
    const drop = () => (dropBanner(name), this.journal.drop(path));
    banner(name, `Text of ${path} was typed here and never saved; the file has changed since.`, [["Put it in", () => void put()], ["Throw away", drop]]);
  }

  async open(path: string, line?: number, column = 1) {
    this.wanted = path;
    if (!this.code.has(path) && !this.views.has(path)) {
      try {
        if (this.saver.pending(path)) await this.saver.flush();
        await this.read(path);
      } catch (e) {
        return banner("open", e instanceof Refused ? `${path}: ${e.message}` : `${path} cannot be read: the server cannot be reached.`, [], "bad");
      }
    }
    // Another file was asked for meanwhile.
    if (this.wanted !== path) return;
    dropBanner("open");
    const view = this.views.get(path);
    this.code.show(view ? null : path);
    this.plate(view);
    this.tabs.select(path);
    this.tree.open(path);
    history.replaceState(null, "", `${this.base}/edit?file=${encodeURIComponent(path)}`);
    if (line && !view) this.code.goto(line, column);
  }

  /** A tab was closed; the next one, if any, is opened by the tabs. */
  private close(path: string) {
    this.code.close(path);
    this.views.delete(path);
    if (this.wanted !== path) return;
    this.wanted = "";
    this.plate(undefined);
    if (this.tabs.open.length === 0) this.nothing();
  }

  private nothing() {
    this.tree.open(null);
    history.replaceState(null, "", `${this.base}/edit`);
    const text = this.workspace.files.length ? "Choose a file to read it here." : "No files yet. Add an index.ts to begin.";
    $("editor").append(el("div", { class: "plate" }, el("p", {}, text)));
  }

  private async loaded(file: FileView) {
    if (file.text !== null) {
      this.views.delete(file.path);
      return this.code.load(file.path, file.text);
    }
    this.views.set(file.path, file);
  }

  /** Reads a file as it is now: when the workspace moved on while the answer was under way, once more. */
  private async read(path: string) {
    for (let left = 3; ; left--) {
      const on = this.saver.commit;
      const file = await this.fetch(path);
      if (on === this.saver.commit || left === 0) return this.loaded(file);
    }
  }

  private fetch(path: string): Promise<FileView> {
    return getJson(`${this.base}/file?${new URLSearchParams({ commit: this.saver.commit, path })}`);
  }

  /** In place of the text: a picture, or what a binary file is. */
  private plate(view: FileView | undefined) {
    $("editor").querySelector(".plate")?.remove();
    if (!view) return;
    const raw = `${this.base}/raw?${new URLSearchParams({ commit: this.saver.commit, path: view.path })}`;
    const plate = el("div", { class: "plate" });
    if (/\.(png|jpe?g|gif|webp|ico)$/i.test(view.path)) plate.append(el("img", { src: raw, alt: view.path }));
    plate.append(
      el("p", {}, `${view.binary ? "Binary file" : "Too large to edit here"}, ${size(view.size)}`),
      el("a", { class: "button", href: raw, download: view.path.split("/").at(-1)! }, "Download"),
    );
    $("editor").append(plate);
  }

  // acts

  private async act(changes: Change[]): Promise<boolean> {
    try {
      await this.saver.act(changes);
      return true;
    } catch {
      return false;
    }
  }
  private async create(path: string, text = "") {
    if (this.workspace.files.some((f) => f.path === path)) return this.open(path);
    if (!(await this.act([{ op: "write", path, text }]))) return;
    await this.open(path);
    this.code.view.focus();
  }
  private async move(from: string, to: string) {
    if (this.workspace.files.some((f) => f.path === to || f.path.startsWith(`${to}/`))) {
      return banner("move", `There is already something at ${to}.`, [], "bad");
    }
    dropBanner("move");
    this.renamed(from, to);
    this.moving = to;
    const done = await this.act([{ op: "move", from, to }]);
    this.moving = null;
    if (!done) return this.renamed(to, from);
    const now = this.wanted;
    if (now === to || now.startsWith(`${to}/`)) await this.open(now);
  }
  /** Open files go along before the server has moved them, so that what is typed meanwhile is theirs. */
  private renamed(from: string, to: string) {
    for (const path of [...this.tabs.open]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      const now = to + path.slice(from.length);
      this.views.delete(path);
      this.code.rename(path, now);
      this.tabs.rename(path, now);
      if (this.wanted === path) this.wanted = now;
    }
  }
  private async remove(node: Node): Promise<boolean> {
    const inside = this.workspace.files.filter((f) => f.path.startsWith(`${node.path}/`)).length;
    const what = node.folder ? `The folder and the ${inside} files in it are removed from the draft.` : "It is removed from the draft; git keeps what was deployed.";
    if (!(await ask(`Delete ${node.name}?`, what, "Delete"))) return false;
    return this.act([{ op: "remove", path: node.path }]);
  }
  private async upload(files: [path: string, file: File][], folder: string) {
    const total = files.reduce((n, [, f]) => n + f.size, 0);
    if (total > 32 << 20) return banner("upload", `${size(total)} is more than can be uploaded at once (32 MiB).`, [], "bad");
    dropBanner("upload");
    const placed = files.map(([path, file]) => [folder ? `${folder}/${path}` : path, file] as const);
    const there = placed.filter(([path]) => this.workspace.files.some((f) => f.path === path)).map(([path]) => path);
    if (there.length && !(await ask(`Replace ${there.length === 1 ? there[0] : `${there.length} files`}?`, `The draft has ${there.slice(0, 5).join(", ")}${there.length > 5 ? ", …" : ""} already.`, "Replace"))) return;
    const changes: Change[] = [];
    try {
      for (const [path, file] of placed) changes.push({ op: "write", path, base64: await base64(file) });
    } catch {
      return banner("upload", "What was chosen cannot be read. Folders can be dropped onto the files, or pushed with git.", [], "bad");
    }
    if (!changes.length || !(await this.act(changes))) return;
    // What is open and was replaced is read anew.
    for (const [path] of placed) if (this.tabs.open.includes(path)) await this.loaded(await this.fetch(path));
    await this.open(placed[0]![0]);
  }

  // the world moves

  /** Takes what the server says the files are; texts whose blob is another one now are read anew. */
  private adopt(workspace: Workspace) {
    this.workspace = workspace;
    this.tree.render(workspace.files, workspace.conflicts);
    const marked = workspace.conflicts;
    const there = new Set(workspace.files.map((f) => f.path));
    const underway = (path: string) => this.moving !== null && (path === this.moving || path.startsWith(`${this.moving}/`));
    for (const path of [...this.tabs.open]) if (!there.has(path) && !this.saver.pending(path) && !underway(path)) this.tabs.close(path);
    this.tabs.mark(marked);
    this.moved();
    if (marked.length) {
      banner("conflicts", `Both sides changed the same lines in ${marked.join(", ")}. Settle what stands between <<<<<<< and >>>>>>>.`, [["Show", () => void this.open(marked[0]!)]], "bad");
    } else dropBanner("conflicts");
  }

  private moved() {
    const { moved, is_draft } = this.workspace;
    if (!moved || !this.boot.mayEdit) return dropBanner("moved");
    const both = moved.both.length ? `, ${moved.both.length} of them changed by you too` : "";
    const text = `${moved.author} moved main: “${moved.summary}” (${moved.paths.length} ${moved.paths.length === 1 ? "file" : "files"}${both}).`;
    const acts: [string, () => void][] = [["Merge in", () => void this.update("merge")]];
    if (is_draft) acts.push(["Discard my draft", () => void this.update("discard")]);
    banner("moved", text, acts);
  }

  private async update(how: "merge" | "discard") {
    if (how === "discard" && !(await ask("Discard the draft?", "All that was edited here and not deployed is thrown away.", "Discard"))) return;
    try {
      await this.saver.flush();
      this.stand(await postJson<Workspace>(`${this.base}/draft/update`, { how }));
    } catch (e) {
      banner("update", e instanceof Refused ? e.message : "The server cannot be reached.", [], "bad");
    }
  }

  /** Asks the server how things are. Files are only read anew when the draft is another one and all is saved. */
  async check() {
    if (!this.saver.idle || document.hidden) return;
    const on = this.saver.commit;
    const workspace = await getJson<Workspace>(`${this.base}/files`).catch(() => null);
    // A save meanwhile: this answer is older than what is known.
    if (!workspace || !this.saver.idle || this.saver.commit !== on) return;
    if (workspace.commit !== on || workspace.is_draft !== this.workspace.is_draft) return this.stand(workspace);
    if (workspace.moved?.to === this.workspace.moved?.to) return;
    this.workspace.moved = workspace.moved;
    this.moved();
  }

  /** Stands on another workspace: another tab saved, main was merged, the draft was deployed. */
  private stand(workspace: Workspace) {
    const before = new Map(this.workspace.files.map((f) => [f.path, f.blob]));
    this.saver.reset(workspace);
    this.adopt(workspace);
    for (const { path, blob } of workspace.files) {
      if (before.get(path) === blob || !this.tabs.open.includes(path)) continue;
      void this.fetch(path).then(async (file) => {
        if (this.saver.pending(path)) return;
        await this.loaded(file);
        if (this.wanted === path) await this.open(path);
      });
    }
  }

  private tell(state: SaveState, why?: string) {
    const label = $("save-state");
    label.textContent = WORDS[state];
    label.dataset.s = state;
    const button = $<HTMLButtonElement>("save-act");
    button.hidden = state !== "stale";
    button.onclick = () => location.reload();
    if (state === "failed") banner("failed", why ?? "The server did not take this change.", [], "bad");
    else if (state === "saved") dropBanner("failed");
  }
}

function base64(file: File): Promise<string> {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done((reader.result as string).replace(/^[^,]*,/, ""));
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });
}
