// Parts of a page marked `data-refresh="SECONDS"` are fetched anew with the page they stand on. What somebody
// is using (focus or a selection inside) is left alone.
import { showTimes } from "./times";

const parts = [...document.querySelectorAll<HTMLElement>("[data-refresh][id]")];
const seconds = Math.min(...parts.map((part) => Number(part.dataset.refresh)));

function inUse(part: Element): boolean {
  const selection = getSelection();
  return part.contains(document.activeElement) || (!!selection && !selection.isCollapsed && part.contains(selection.anchorNode));
}

// What the server sent last, to change nothing when nothing changed.
const last = new Map<string, string>();

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  let changed = false;
  for (const { id } of parts) {
    const now = document.getElementById(id);
    const fresh = page.getElementById(id);
    if (!now || !fresh || inUse(now) || last.get(id) === fresh.innerHTML) continue;
    last.set(id, fresh.innerHTML);
    const scrolled = [...now.querySelectorAll(".scroll, .why")].map((e) => [e.scrollLeft, e.scrollTop] as const);
    now.replaceChildren(...fresh.childNodes);
    [...now.querySelectorAll(".scroll, .why")].forEach((e, i) => {
      [e.scrollLeft, e.scrollTop] = scrolled[i] ?? [0, 0];
    });
    showTimes(now);
    changed = true;
  }
  if (changed) document.dispatchEvent(new Event("steady:refreshed"));
}

async function loop() {
  for (let wait = seconds; ; ) {
    await new Promise((go) => setTimeout(go, wait * 1000));
    if (document.hidden) continue;
    try {
      await refresh();
      wait = seconds;
    } catch {
      wait = Math.min(wait * 2, 60);
    }
  }
}

if (parts.length > 0) void loop();
