// Completion in steady.json, by the schema that the server publishes: keys, and values where they are few.
import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { syntaxTree } from "@codemirror/language";
import type { EditorState } from "@codemirror/state";
import { getJson } from "../parts/fetch";

type Schema = { type?: string; description?: string; properties?: Record<string, Schema>; enum?: string[]; oneOf?: Schema[] };

let schema: Promise<Schema> | undefined;

/** Where the cursor is: the keys above it, and whether a key or a value is being typed. */
function place(state: EditorState, pos: number) {
  const names: string[] = [];
  let kind: "key" | "value" | undefined;
  // White space after a colon belongs to the value that is to come.
  const typed = state.sliceDoc(0, pos).trimEnd();
  const inner = syntaxTree(state).resolveInner(typed.endsWith(":") ? typed.length : pos, -1);
  for (let node: typeof inner | null = inner; node; node = node.parent) {
    if (node.name === "Object") kind ??= "key";
    if (node.name === "Array") kind ??= "value";
    if (node.name !== "Property") continue;
    const name = node.getChild("PropertyName");
    if (!name || (kind === undefined && pos <= name.to)) continue;
    kind ??= "value";
    names.unshift(state.sliceDoc(name.from + 1, name.to - 1));
  }
  return { names, kind, inner };
}

function values(at: Schema): string[] {
  if (at.type === "boolean") return ["true", "false"];
  return [...(at.enum ?? []).map((word) => JSON.stringify(word)), ...(at.oneOf ?? []).flatMap(values)];
}

/** What follows a key: the beginning of its value. */
const opening = (of: Schema) => (of.type === "object" ? "{}" : of.type === "array" ? "[]" : "");

export async function completeManifest(context: CompletionContext): Promise<CompletionResult | null> {
  const { names, kind, inner } = place(context.state, context.pos);
  const word = context.matchBefore(/"?[\w$]*/);
  if (!kind || (!context.explicit && (!word || word.from === word.to))) return null;
  schema ??= getJson<Schema>("/schema/steady.json");
  const root = await schema.catch(() => {
    schema = undefined;
    return {} as Schema;
  });
  let at: Schema | undefined = root;
  for (const name of names) at = at?.properties?.[name];
  if (!at) return null;
  const quoted = inner.name === "PropertyName" || inner.name === "String";
  const from = quoted ? inner.from : (word?.from ?? context.pos);
  // A closing quote that the editor put there is replaced, not doubled.
  const to = quoted ? Math.max(inner.to, context.pos) : context.pos;
  const follows = /^\s*:/.test(context.state.sliceDoc(to, to + 20));
  const options: Completion[] =
    kind === "value"
      ? values(at).map((text) => ({ label: text, type: "enum" }))
      : Object.entries(at.properties ?? {}).map(([name, of]) => ({
          label: JSON.stringify(name),
          displayLabel: name,
          type: "property",
          info: of.description,
          apply: JSON.stringify(name) + (follows ? "" : `: ${opening(of)}`),
        }));
  return options.length > 0 ? { from, to, options, filter: true } : null;
}
