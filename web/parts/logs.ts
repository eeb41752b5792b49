// <st-logs src edit>: a log that goes on. The server renders its newest lines; an EventSource brings the rest.
import { fill } from "./text";
import { clockText } from "./times";

export type LogLine = { seq: number; at: number; stream: "out" | "err" | "steady"; version: string; text: string };

/** Rows kept on the page. */
const ROWS = 2000;

export class StLogs extends HTMLElement {
  /** Called for each line that arrives. */
  heard: ((line: LogLine) => void) | null = null;
  private source: EventSource | null = null;
  private list!: HTMLElement;
  private last = -1;
  private filter = "";
  private newest!: HTMLButtonElement;

  connectedCallback() {
    this.list = this.querySelector<HTMLElement>(".log") ?? this.made();
    for (const row of this.list.querySelectorAll<HTMLElement>("p[data-seq]")) {
      this.last = Math.max(this.last, Number(row.dataset.seq));
      const text = row.querySelector("span")!;
      fill(text, text.textContent ?? "", this.getAttribute("edit"));
    }
    this.newest = document.createElement("button");
    this.newest.type = "button";
    this.newest.className = "newest";
    this.newest.textContent = "Newest";
    this.newest.hidden = true;
    this.newest.onclick = () => this.toEnd();
    this.append(this.newest);
    this.list.addEventListener("scroll", () => {
      if (this.atEnd()) this.newest.hidden = true;
    });
    this.toEnd();
    this.connect();
  }

  disconnectedCallback() {
    this.source?.close();
  }

  /** Begins (again) to follow; after a draft was started, say. */
  connect() {
    this.source?.close();
    const src = this.getAttribute("src");
    if (!src) return;
    this.source = new EventSource(src);
    this.source.onmessage = (event) => {
      const line = JSON.parse(event.data) as LogLine;
      // A new run's log begins from zero again.
      if (line.seq <= this.last) return;
      this.last = line.seq;
      this.add(line.stream, line.text, line.at);
      this.heard?.(line);
    };
  }

  add(kind: string, text: string, at = Date.now()) {
    const follow = this.atEnd();
    const row = document.createElement("p");
    row.className = kind;
    const time = document.createElement("time");
    time.textContent = clockText(at);
    time.dateTime = new Date(at).toISOString();
    time.dataset.clock = "";
    const span = document.createElement("span");
    fill(span, text, this.getAttribute("edit"));
    row.append(time, span);
    this.mark(row);
    this.list.append(row);
    while (this.list.childElementCount > ROWS) this.list.firstElementChild!.remove();
    if (follow) this.toEnd();
    else this.newest.hidden = false;
  }

  /** Follows from the beginning: another run writes another log. */
  again() {
    this.clear();
    this.last = -1;
    this.connect();
  }

  clear() {
    this.list.replaceChildren();
  }

  set query(q: string) {
    this.filter = q.trim().toLowerCase();
    for (const row of this.list.children) this.mark(row);
    this.toEnd();
  }

  private mark(row: Element) {
    row.classList.toggle("off", !!this.filter && !row.lastElementChild!.textContent!.toLowerCase().includes(this.filter));
  }
  private atEnd(): boolean {
    return this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
  }
  private toEnd() {
    this.list.scrollTop = this.list.scrollHeight;
    this.newest.hidden = true;
  }
  private made(): HTMLElement {
    const list = document.createElement("div");
    list.className = "log";
    list.role = "log";
    list.tabIndex = 0;
    list.setAttribute("aria-label", this.getAttribute("label") ?? "Log");
    this.append(list);
    return list;
  }
}
customElements.define("st-logs", StLogs);
