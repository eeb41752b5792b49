// The editing page, put together. Loaded by editor.ts once the page is seen.
import { Desk } from "./desk";
import { $ } from "./dom";
import { LogPanel } from "./logs";
import { panes } from "./panes";
import { Runs } from "./run";
import type { Boot } from "./types";

async function start() {
  const boot = JSON.parse($("boot").textContent!) as Boot;
  const place = /^#L(\d+)(?::(\d+))?$/.exec(location.hash);
  panes();
  const desk = new Desk(boot);
  await desk.restore();
  $("editor").querySelector("pre.first")?.remove();
  if (place) desk.code.goto(Number(place[1]), Number(place[2] ?? 1));
  const logs = new LogPanel(
    desk.base,
    boot.live,
    (to) => void desk.open(to.path, to.line, to.column),
    (at, message) => desk.code.mark(at.path, { line: at.line, column: at.column, message }),
  );
  if (boot.mayEdit) {
    new Runs(desk.base, logs, () => desk.saver.flush(), () => desk.code.clearMarks(), () => desk.check());
    addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey) || event.shiftKey) return;
      event.preventDefault();
      desk.saver.flush().catch(() => {});
    });
  }
  document.addEventListener("visibilitychange", () => void desk.check());
  // A window beside others is visible all the time: coming back to it is a focus only.
  addEventListener("focus", () => void desk.check());
  setInterval(() => void desk.check(), 20_000);
  performance.mark("editor-ready");
  document.body.dataset.ready = "true";
}

void start();
