// Autosave onto the draft: one request at a time, in order, until the server has it.
import { Refused, getJson, postJson } from "../parts/fetch";
import type { Journal } from "./journal";
import type { Change, Workspace } from "./types";

export type SaveState = "saved" | "dirty" | "saving" | "offline" | "stale" | "failed";

/** Milliseconds of quiet typing before a save. */
const QUIET = 600;

export class Saver {
  /** The commit the server last told us of. */
  commit: string;
  state: SaveState = "saved";
  private readonly typed = new Map<string, string>();
  private readonly acts: Change[] = [];
  private sending: Promise<void> | null = null;
  private timer = 0;
  private wait = 1000;

  constructor(
    private readonly base: string,
    workspace: Workspace,
    private readonly journal: Journal,
    /** The blob a path had at `commit`. */
    private readonly blob: (path: string) => string | null,
    private readonly changed: (workspace: Workspace) => void,
    private readonly told: (state: SaveState, why?: string) => void,
  ) {
    this.commit = workspace.commit;
    addEventListener("online", () => void this.flush());
    addEventListener("pagehide", () => this.last());
  }

  get idle(): boolean {
    return this.typed.size === 0 && this.acts.length === 0 && !this.sending;
  }

  /** A file's new text: saved after a moment, journaled at once. */
  type(path: string, text: string) {
    this.typed.set(path, text);
    this.journal.put(path, text, this.blob(path));
    if (this.state === "stale") return;
    this.tell("dirty");
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.flush(), QUIET);
  }

  /** Adds, moves, removals: saved now, after what was typed before them. */
  act(changes: Change[]): Promise<void> {
    this.acts.push(...this.takeTyped(), ...changes);
    return this.flush();
  }

  /** Resolves when the server has everything; rejects when it refuses. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    while (!this.idle) {
      if (this.state === "stale") throw new Error("This project was changed in another tab.");
      this.sending ??= this.send().finally(() => (this.sending = null));
      await this.sending;
    }
  }

  /** Forgets what is unsaved and stands on another workspace. */
  reset(workspace: Workspace) {
    this.typed.clear();
    this.acts.length = 0;
    this.commit = workspace.commit;
    this.tell("saved");
  }

  pending(path: string): boolean {
    return this.typed.has(path);
  }

  private takeTyped(): Change[] {
    const changes = [...this.typed].map(([path, text]): Change => ({ op: "write", path, text }));
    this.typed.clear();
    return changes;
  }

  private async send() {
    this.acts.push(...this.takeTyped());
    const batch = this.acts.slice();
    if (batch.length === 0) return;
    this.tell("saving");
    try {
      const workspace = await postJson<Workspace>(`${this.base}/files`, { on: this.commit, changes: batch });
      this.took(batch, workspace);
    } catch (e) {
      await this.failed(e, batch);
    }
  }

  private took(batch: Change[], workspace: Workspace) {
    this.acts.splice(0, batch.length);
    this.commit = workspace.commit;
    this.wait = 1000;
    for (const change of batch) {
      if (change.op === "write" && !this.typed.has(change.path)) this.journal.drop(change.path);
      if (change.op === "remove") this.journal.drop(change.path);
    }
    this.changed(workspace);
    // What was typed meanwhile stands on the file as it is now.
    for (const [path, text] of this.typed) this.journal.put(path, text, this.blob(path));
    this.tell(this.typed.size > 0 ? "dirty" : "saved");
  }

  private async failed(e: unknown, batch: Change[]) {
    if (e instanceof Refused && e.problem.kind.toLowerCase() === "conflict" && (await this.moved())) {
      this.tell("stale");
      throw e;
    }
    if (e instanceof Refused && e.status < 500 && e.status !== 429 && e.status !== 408) {
      // Refused for what it is: keep the texts as typed, drop acts that can never work.
      this.acts.splice(0, batch.length);
      this.tell("failed", e.problem.hint ? `${e.message} ${e.problem.hint}` : e.message);
      throw e;
    }
    this.tell("offline");
    await new Promise((go) => {
      const timer = setTimeout(go, this.wait);
      addEventListener("online", () => (clearTimeout(timer), go(null)), { once: true });
    });
    this.wait = Math.min(this.wait * 2, 15_000);
  }

  /** Whether the draft really stands elsewhere: an answer that was lost on the way also looks like a conflict. */
  private async moved(): Promise<boolean> {
    try {
      return (await getJson<Workspace>(`${this.base}/files`)).commit !== this.commit;
    } catch {
      return true;
    }
  }

  /** The page goes: what is small enough is sent along; the journal has it in any case. */
  private last() {
    const changes = [...this.acts, ...this.takeTyped()];
    if (changes.length === 0 || this.sending || this.state === "stale") return;
    if (JSON.stringify(changes).length > 60_000) return;
    void postJson(`${this.base}/files`, { on: this.commit, changes }, true).catch(() => {});
  }

  private tell(state: SaveState, why?: string) {
    this.state = state;
    this.told(state, why);
  }
}
