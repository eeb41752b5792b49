// Text of an app's: `/app/FILE:LINE:COL` becomes a link to that place in the editor.
const PLACE = /\/app\/([\w@.+\-/[\]()]+?\.\w+):(\d+)(?::(\d+))?/g;

export type Place = { path: string; line: number; column: number };

export function places(text: string): (Place & { start: number; end: number })[] {
  return [...text.matchAll(PLACE)].map((m) => ({
    path: m[1]!,
    line: Number(m[2]),
    column: Number(m[3] ?? 1),
    start: m.index,
    end: m.index + m[0].length,
  }));
}

// Colours an app meant for a terminal are left out.
export const plain = (text: string): string => text.replace(/\u001b\[[\d;]*[A-Za-z]/g, "");

/** Fills `into` with `text`, places made links below `edit` (the address of the editing page). */
export function fill(into: Element, text: string, edit: string | null) {
  text = plain(text);
  const nodes: (Node | string)[] = [];
  let from = 0;
  for (const place of edit ? places(text) : []) {
    nodes.push(text.slice(from, place.start));
    const link = document.createElement("a");
    link.href = `${edit}?file=${encodeURIComponent(place.path)}#L${place.line}:${place.column}`;
    link.textContent = text.slice(place.start, place.end);
    link.dataset.place = JSON.stringify({ path: place.path, line: place.line, column: place.column });
    nodes.push(link);
    from = place.end;
  }
  nodes.push(text.slice(from));
  into.replaceChildren(...nodes);
}

class StText extends HTMLElement {
  connectedCallback() {
    fill(this, this.textContent ?? "", this.getAttribute("edit"));
  }
}
customElements.define("st-text", StText);
