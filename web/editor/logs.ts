// The panel under the code: progress of the last act, the draft's log, the live app's. Places in error lines
// become marks in the gutter.
import { type LogLine, StLogs } from "../parts/logs";
import { type Place, places, plain } from "../parts/text";
import { $ } from "./dom";
import { showPane } from "./panes";

export type Which = "run" | "draft" | "live";

/** Finds in a run of lines which place an error is about: the first own frame below its heading. */
export class ErrorReader {
  private heading = "";
  private told = false;

  constructor(private readonly found: (place: Place, message: string) => void) {}

  line(raw: string) {
    const text = plain(raw);
    const here = places(text).filter((p) => !p.path.includes("node_modules"));
    if (!/^\s*at /.test(text) && /error|exception|cannot|unexpected|not found|fail/i.test(text)) {
      this.heading = text.trim();
      this.told = false;
    }
    if (here[0] && this.heading && !this.told) {
      this.told = true;
      this.found(here[0], this.heading);
    }
  }
}

export class LogPanel {
  private readonly panels: Record<Which, StLogs>;
  private readonly base: string;
  /** Lines older than the last run are of older code: they make no marks. */
  private since: number | null = null;
  private newest = 0;

  constructor(base: string, live: boolean, goTo: (place: Place) => void, private readonly marked: (place: Place, message: string) => void) {
    this.base = base;
    const reader = new ErrorReader(marked);
    this.panels = { run: this.panel("run", "Progress"), draft: this.panel("draft", "Log of the draft"), live: this.panel("live", "Log of the live app") };
    this.panels.draft.setAttribute("src", `${base}/draft/logs`);
    this.panels.draft.heard = (line: LogLine) => {
      if (this.since !== null && line.at > this.since) reader.line(line.text);
      this.newest = Math.max(this.newest, line.at);
    };
    $("log-body").append(...Object.values(this.panels));
    for (const button of this.buttons()) button.addEventListener("click", () => this.show(button.dataset.log as Which));
    $<HTMLInputElement>("log-filter").addEventListener("input", (event) => {
      for (const panel of Object.values(this.panels)) panel.query = (event.target as HTMLInputElement).value;
    });
    $("log-clear").addEventListener("click", () => this.panels[this.which].clear());
    $("log-body").addEventListener("click", (event) => {
      const link = (event.target as Element).closest<HTMLElement>("[data-place]");
      if (!link || (event as MouseEvent).ctrlKey || (event as MouseEvent).metaKey) return;
      event.preventDefault();
      showPane("code");
      goTo(JSON.parse(link.dataset.place!) as Place);
    });
    document.querySelector<HTMLElement>('[data-log="live"]')!.hidden = !live;
    this.show("draft");
  }

  private which: Which = "draft";

  show(which: Which) {
    this.which = which;
    for (const [name, panel] of Object.entries(this.panels)) panel.hidden = name !== which;
    for (const button of this.buttons()) button.setAttribute("aria-pressed", String(button.dataset.log === which));
    const panel = this.panels[which];
    if (which === "live" && !panel.hasAttribute("src")) {
      panel.setAttribute("src", `${this.base}/logs/stream`);
      panel.connect();
    }
    panel.query = $<HTMLInputElement>("log-filter").value;
  }

  /** An act begins: its progress is shown. */
  begin() {
    document.querySelector<HTMLElement>('[data-log="run"]')!.hidden = false;
    this.panels.run.clear();
    this.show("run");
  }
  say(kind: string, text: string) {
    this.panels.run.add(kind, text);
  }
  /** Text that explains a failure: shown line by line, its places marked. */
  explain(text: string) {
    const reader = new ErrorReader(this.marked);
    for (const line of text.split("\n")) {
      this.say("err", line);
      reader.line(line);
    }
  }
  /** A draft was started: its log is read anew. */
  draft(reused: boolean) {
    this.since = this.newest;
    if (!reused) this.panels.draft.again();
    else this.panels.draft.connect();
    this.show("draft");
  }
  live() {
    document.querySelector<HTMLElement>('[data-log="live"]')!.hidden = false;
  }

  private buttons(): HTMLElement[] {
    return [...document.querySelectorAll<HTMLElement>("#logs [data-log]")];
  }
  private panel(name: Which, label: string): StLogs {
    const panel = document.createElement("st-logs") as StLogs;
    panel.dataset.log = name;
    panel.setAttribute("label", label);
    panel.setAttribute("edit", `${this.base}/edit`);
    return panel;
  }
}
