// Forms marked `data-progress` (deploy, roll back) show their stages instead of loading for a while.
import { Refused, postStream } from "./fetch";
import type { StLogs } from "./logs";

type Deploy = { url: string; version: string | null; state: string; error: string | null };

function panelFor(form: HTMLFormElement): StLogs {
  const old = document.querySelector<StLogs>("st-logs.progress");
  old?.remove();
  const panel = document.createElement("st-logs") as StLogs;
  panel.className = "progress";
  panel.setAttribute("label", "Progress");
  panel.setAttribute("edit", `${form.getAttribute("action")!.replace(/\/[^/]+$/, "")}/edit`);
  (form.closest("[data-refresh]") ?? form).insertAdjacentElement(form.closest("[data-refresh]") ? "beforebegin" : "afterend", panel);
  return panel;
}

async function send(form: HTMLFormElement) {
  const panel = panelFor(form);
  // The buttons are about to be disabled, and the list they are in is drawn anew when it is over.
  panel.querySelector<HTMLElement>(".log")?.focus();
  const buttons = document.querySelectorAll<HTMLButtonElement>("form[data-progress] button");
  for (const button of buttons) button.disabled = true;
  try {
    const fields = new URLSearchParams([...new FormData(form)].map(([k, v]) => [k, String(v)]));
    const deploy = await postStream<Deploy>(form.action, fields, (event) => {
      if (event.type === "stage") panel.add("stage", event.name);
      else if (event.type === "done") panel.add("steady", `${event.name}: ${event.ms} ms`);
      else panel.add("out", event.text);
    });
    if (deploy.error) panel.add("err", deploy.error);
    else panel.add("good", `${deploy.version ?? ""} is live at ${deploy.url}`);
  } catch (e) {
    panel.add("err", e instanceof Refused ? e.message : "The server cannot be reached.");
    if (e instanceof Refused && e.problem.hint) panel.add("steady", e.problem.hint);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

export function progressForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    if (!form.matches("[data-progress]")) return;
    event.preventDefault();
    void send(form);
  });
}
