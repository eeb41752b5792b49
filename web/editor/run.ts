// Run and Deploy: their progress, the preview beside the code, and where errors point.
import { type ProgressEvent, Refused, postStream } from "../parts/fetch";
import { $, banner, dropBanner, el } from "./dom";
import type { LogPanel } from "./logs";
import { showPane } from "./panes";

type Draft = { url: string; commit: string; reused: boolean };
type Deploy = { url: string; version: string | null; state: string; error: string | null; commit: string };

export class Runs {
  private busy = false;
  private frame: HTMLIFrameElement | null = null;
  private url = "";

  constructor(
    private readonly base: string,
    private readonly logs: LogPanel,
    private readonly saved: () => Promise<void>,
    private readonly clear: () => void,
    private readonly deployed: () => Promise<void>,
  ) {
    $("run").addEventListener("click", () => void this.run());
    $("deploy").addEventListener("click", () => this.ask());
    $("preview-reload").addEventListener("click", () => this.load());
    const box = $<HTMLDialogElement>("deploy-box");
    box.addEventListener("close", () => {
      if (box.returnValue === "deploy") void this.deploy($<HTMLInputElement>("deploy-message").value);
    });
    // Enter in the message field deploys: the first button of a form would else be taken, and that is Cancel.
    $("deploy-message").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      box.close("deploy");
    });
    addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      if (box.open) box.close("deploy");
      else if (event.shiftKey) this.ask();
      else void this.run();
    });
  }

  async run() {
    await this.act("run", async () => {
      this.wait();
      const draft = await postStream<Draft>(`${this.base}/run`, new URLSearchParams(), (e) => this.heard(e));
      this.url = draft.url;
      this.logs.draft(draft.reused);
      this.load();
      showPane("preview");
    });
  }

  private ask() {
    const box = $<HTMLDialogElement>("deploy-box");
    if (this.busy || box.open) return;
    box.returnValue = "";
    box.showModal();
    $("deploy-message").focus();
  }

  private async deploy(message: string) {
    await this.act("deploy", async () => {
      showPane("logs");
      const deploy = await postStream<Deploy>(`${this.base}/deploy`, new URLSearchParams({ message }), (e) => this.heard(e));
      if (deploy.error) throw new Refused(500, { kind: "App", message: deploy.error });
      $<HTMLInputElement>("deploy-message").value = "";
      this.logs.say("good", `${deploy.version ?? "It"} is live at ${deploy.url}`);
      this.logs.live();
      banner("deployed", `${deploy.version ?? "It"} is live.`, [["Open", () => window.open(deploy.url, "_blank", "noopener")]], "good");
      await this.deployed();
    });
  }

  /** One act at a time: saved first, its failure explained in the panel. */
  private async act(name: "run" | "deploy", work: () => Promise<void>) {
    if (this.busy) return;
    this.busy = true;
    const button = $<HTMLButtonElement>(name);
    button.setAttribute("aria-busy", "true");
    this.clear();
    dropBanner("deployed");
    this.logs.begin();
    try {
      await this.saved();
      await work();
    } catch (e) {
      this.logs.explain(e instanceof Error && !(e instanceof TypeError) ? e.message : "The server cannot be reached.");
      const hint = e instanceof Refused ? e.problem.hint : null;
      // A failed start brings the app's last lines along; a word of advice is one line.
      if (hint?.includes("\n") || hint?.includes("/app/")) this.logs.explain(hint);
      else if (hint) this.logs.say("steady", hint);
      if (e instanceof Refused && e.problem.kind === "unapproved") banner("deployed", "An owner has to approve what this asks for.", [["Look and approve", () => location.assign(`${this.base}/deploys`)]]);
      this.logs.show("run");
      showPane("logs");
      const waiting = $("stage").querySelector('[aria-busy="true"]');
      if (waiting) waiting.replaceWith(el("div", { class: "empty" }, el("p", {}, "It did not start."), el("p", { class: "dim" }, "The log says why.")));
    } finally {
      this.busy = false;
      button.removeAttribute("aria-busy");
    }
  }

  private heard(event: ProgressEvent) {
    if (event.type === "stage") {
      this.logs.say("stage", event.name);
      const step = document.getElementById("run-step");
      if (step) step.textContent = event.name;
    } else if (event.type === "done") this.logs.say("steady", `${event.name}: ${event.ms} ms`);
    else this.logs.say("out", event.text);
  }

  /** Before the first run there is nothing to look at: the stage says how far it is. */
  private wait() {
    if (this.frame) return;
    $("stage").replaceChildren(el("div", { class: "empty", "aria-busy": true }, el("p", {}, "Starting…"), el("p", { class: "dim", id: "run-step" }, "")));
  }

  private load() {
    if (!this.url) return;
    if (!this.frame) {
      this.frame = el("iframe", { title: "The running draft", sandbox: "allow-scripts allow-forms allow-same-origin allow-popups allow-popups-to-escape-sandbox" });
      $("stage").replaceChildren(this.frame);
    }
    this.frame.src = this.url;
    $("preview-url").textContent = this.url.replace(/^https?:\/\//, "");
    $("preview-url").classList.remove("dim");
    $<HTMLButtonElement>("preview-reload").disabled = false;
    const open = $<HTMLAnchorElement>("preview-open");
    open.href = this.url;
    open.hidden = false;
  }
}
