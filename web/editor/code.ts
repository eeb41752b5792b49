// The text pane: one CodeMirror view, one state per open file, marks where logs point.
import { autocompletion, closeBrackets, closeBracketsKeymap, completeAnyWord, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput } from "@codemirror/language";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, type Extension, type Range } from "@codemirror/state";
import { Decoration, EditorView, crosshairCursor, drawSelection, dropCursor, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers, rectangularSelection } from "@codemirror/view";
import { highlighting, language } from "./languages";
import { completeManifest } from "./schema";

const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--ink)", backgroundColor: "transparent", fontSize: "var(--code)" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", fontVariantLigatures: "none" },
  ".cm-content": { padding: "10px 0 40vh", caretColor: "var(--accent)" },
  ".cm-gutters": { backgroundColor: "var(--sheet)", color: "var(--ink-2)", border: "none", paddingRight: "4px" },
  ".cm-lineNumbers .cm-gutterElement": { minWidth: "2.6em" },
  "&.cm-focused": { outline: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--well) 70%, transparent)" },
  ".cm-activeLineGutter": { color: "var(--ink)" },
  ".cm-cursor": { borderLeft: "2px solid var(--accent)" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": { background: "color-mix(in srgb, var(--accent) 22%, transparent)" },
  ".cm-selectionMatch": { backgroundColor: "var(--accent-wash)" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--press)", outline: "1px solid var(--rule-2)" },
  ".cm-foldPlaceholder": { background: "var(--well)", border: "0", color: "var(--ink-2)", padding: "0 6px" },
  ".cm-tooltip": { backgroundColor: "var(--sheet)", color: "var(--ink)", border: "1px solid var(--rule)", borderRadius: "8px", boxShadow: "var(--shadow-2)", overflow: "hidden" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "14em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: "var(--accent)", color: "var(--on-accent)" },
  ".cm-diagnostic": { padding: "6px 10px", borderLeft: "3px solid var(--bad)", fontFamily: "var(--mono)", whiteSpace: "pre-wrap", maxWidth: "min(80vw, 40rem)" },
  ".cm-panels": { backgroundColor: "var(--well)", color: "var(--ink)", border: "none" },
  ".cm-panels-bottom": { borderTop: "1px solid var(--rule)" },
  ".cm-panel.cm-search": { padding: "8px 12px", fontFamily: "var(--sans)" },
  ".cm-panel input, .cm-panel button": { fontSize: "13px", minHeight: "28px" },
  ".cm-textfield": { background: "var(--sheet)", border: "1px solid var(--rule-2)", borderRadius: "5px", width: "auto" },
  ".cm-button": { background: "var(--sheet)", border: "1px solid var(--rule-2)", borderRadius: "5px" },
  ".cm-searchMatch": { backgroundColor: "var(--warn-wash)", outline: "1px solid var(--warn)" },
  ".cm-conflict": { backgroundColor: "var(--warn-wash)" },
});

/**
 * Text typed over a selection is put in by us: Chromium would wrap it in an element with a style of its own,
 * which the Content-Security-Policy refuses and reports.
 */
const overSelection = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { main } = view.state.selection;
    const text = event.data;
    if (event.inputType !== "insertText" || !text || main.empty || view.composing || view.state.readOnly) return false;
    const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
    if (!view.state.facet(EditorView.inputHandler).some((take) => take(view, main.from, main.to, text, insert))) view.dispatch(insert());
    return true;
  },
});

/** Lines between the markers a merge left are shaded until they are settled. */
const conflicts = EditorView.decorations.compute(["doc"], ({ doc }) => {
  const lines: Range<Decoration>[] = [];
  let inside = false;
  for (let n = 1; n <= doc.lines; n++) {
    const { from, text } = doc.line(n);
    if (text.startsWith("<<<<<<< ")) inside = true;
    if (inside) lines.push(Decoration.line({ class: "cm-conflict" }).range(from));
    if (text.startsWith(">>>>>>> ")) inside = false;
  }
  return Decoration.set(lines);
});

export type Mark = { line: number; column: number; message: string };

export class Code {
  readonly view: EditorView;
  current: string | null = null;
  private readonly states = new Map<string, EditorState>();
  private readonly marks = new Map<string, Mark[]>();
  private readonly base: Extension;

  constructor(host: HTMLElement, writable: boolean, typed: (path: string, text: string) => void) {
    const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')!.content;
    this.base = [
      EditorView.cspNonce.of(nonce),
      lineNumbers(), highlightActiveLineGutter(), highlightSpecialChars(), history(), foldGutter(), drawSelection(), dropCursor(),
      EditorState.allowMultipleSelections.of(true), indentOnInput(), bracketMatching(), closeBrackets(), rectangularSelection(),
      crosshairCursor(), highlightActiveLine(), highlightSelectionMatches(), lintGutter(), autocompletion(),
      EditorState.languageData.of(() => [{ autocomplete: this.current === "steady.json" ? completeManifest : completeAnyWord }]),
      highlighting, theme, overSelection, conflicts, EditorState.tabSize.of(2), EditorState.readOnly.of(!writable),
      keymap.of([...closeBracketsKeymap, ...defaultKeymap.filter((b) => b.key !== "Mod-Enter"), ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap, indentWithTab]),
      EditorView.updateListener.of((update) => {
        if (update.docChanged && this.current) typed(this.current, update.state.doc.toString());
      }),
    ];
    this.view = new EditorView({ parent: host, state: EditorState.create({ extensions: this.base }) });
    this.view.dom.hidden = true;
  }

  has(path: string): boolean {
    return this.states.has(path) || this.current === path;
  }

  text(path: string): string | null {
    const state = path === this.current ? this.view.state : this.states.get(path);
    return state?.doc.toString() ?? null;
  }

  /** Makes (or makes anew) the state of a file. */
  async load(path: string, text: string) {
    const grammar = await language(path);
    const label = `Code of ${path}. Escape, then Tab leaves the editor.`;
    const state = EditorState.create({
      doc: text,
      extensions: [this.base, grammar, EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" })],
    });
    if (path === this.current) {
      const at = Math.min(this.view.state.selection.main.head, state.doc.length);
      this.view.setState(state);
      this.view.dispatch({ selection: { anchor: at } });
      this.lint();
    } else this.states.set(path, state);
  }

  show(path: string | null) {
    if (this.current) this.states.set(this.current, this.view.state);
    this.current = path;
    const state = path ? this.states.get(path) : undefined;
    this.view.dom.hidden = !state;
    if (state) {
      this.view.setState(state);
      this.lint();
    }
  }

  /** Replaces a text as if typed, so that it can be undone and is saved. */
  replace(text: string) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
  }

  close(path: string) {
    if (path === this.current) this.show(null);
    this.states.delete(path);
  }

  rename(from: string, to: string) {
    const state = from === this.current ? this.view.state : this.states.get(from);
    if (!state) return;
    this.states.delete(from);
    if (this.current === from) this.current = to;
    else this.states.set(to, state);
    const marks = this.marks.get(from);
    if (marks) this.marks.set(to, marks);
  }

  goto(line: number, column: number) {
    const doc = this.view.state.doc;
    const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
    const anchor = Math.min(at.from + Math.max(column - 1, 0), at.to);
    this.view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "center" }) });
    this.view.focus();
  }

  mark(path: string, mark: Mark) {
    const all = this.marks.get(path) ?? [];
    if (all.some((m) => m.line === mark.line && m.message === mark.message) || all.length >= 50) return;
    this.marks.set(path, [...all.filter((m) => m.line !== mark.line), mark]);
    if (path === this.current) this.lint();
  }

  clearMarks() {
    this.marks.clear();
    if (this.current) this.lint();
  }

  private lint() {
    const doc = this.view.state.doc;
    const found = (this.marks.get(this.current!) ?? []).filter((m) => m.line <= doc.lines);
    const diagnostics = found.map((m): Diagnostic => {
      const line = doc.line(m.line);
      const from = Math.min(line.from + Math.max(m.column - 1, 0), line.to);
      const word = /^[\w$]+/.exec(doc.sliceString(from, line.to))?.[0].length ?? 1;
      return { from, to: Math.min(from + word, line.to), severity: "error", message: m.message };
    });
    this.view.dispatch(setDiagnostics(this.view.state, diagnostics));
  }
}
