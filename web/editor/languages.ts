// Which grammar a file gets. All but TypeScript are fetched when first needed.
import { javascript } from "@codemirror/lang-javascript";
import { HighlightStyle, LanguageDescription, syntaxHighlighting } from "@codemirror/language";
import type { Extension } from "@codemirror/state";
import { tags as t } from "@lezer/highlight";

const LATER = [
  LanguageDescription.of({ name: "json", extensions: ["json", "jsonc"], load: () => import("@codemirror/lang-json").then((m) => m.json()) }),
  LanguageDescription.of({ name: "css", extensions: ["css"], load: () => import("@codemirror/lang-css").then((m) => m.css()) }),
  LanguageDescription.of({ name: "html", extensions: ["html", "htm", "svg"], load: () => import("@codemirror/lang-html").then((m) => m.html()) }),
  LanguageDescription.of({ name: "markdown", extensions: ["md"], load: () => import("@codemirror/lang-markdown").then((m) => m.markdown()) }),
];

export async function language(path: string): Promise<Extension> {
  const script = /\.[cm]?([jt])s(x?)$/.exec(path);
  if (script) return javascript({ typescript: script[1] === "t", jsx: script[2] === "x" || script[1] === "j" });
  try {
    return (await LanguageDescription.matchFilename(LATER, path)?.load()) ?? [];
  } catch {
    return [];
  }
}

// Every colour is a custom property, so dark and light need no script.
export const highlighting = syntaxHighlighting(
  HighlightStyle.define([
    { tag: [t.keyword, t.operatorKeyword, t.modifier, t.tagName], color: "var(--syn-kw)" },
    { tag: [t.string, t.special(t.string), t.regexp], color: "var(--syn-str)" },
    { tag: t.comment, color: "var(--syn-com)", fontStyle: "italic" },
    { tag: [t.number, t.bool, t.null, t.atom], color: "var(--syn-num)" },
    { tag: [t.function(t.variableName), t.function(t.propertyName)], color: "var(--syn-fn)" },
    { tag: [t.typeName, t.className], color: "var(--syn-ty)" },
    { tag: [t.propertyName, t.attributeName], color: "var(--syn-prop)" },
    { tag: t.heading, color: "var(--syn-kw)", fontWeight: "600" },
    { tag: t.link, color: "var(--syn-fn)", textDecoration: "underline" },
    { tag: t.strong, fontWeight: "600" },
    { tag: t.emphasis, fontStyle: "italic" },
  ]),
);
