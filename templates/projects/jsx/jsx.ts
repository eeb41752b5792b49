// JSX without a framework: elements become escaped HTML. tsconfig.json names `h` and `Fragment`.
export class Html {
  constructor(readonly text: string) {}
  toString() {
    return this.text;
  }
}

type Child = Html | string | number | boolean | null | undefined | Child[];
type Props = Record<string, unknown> & { children?: Child };
type Component = (props: any) => Html;

const VOID = new Set(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"]);
const escape = (value: unknown) => Bun.escapeHTML(String(value));

const render = (child: Child): string => {
  if (Array.isArray(child)) return child.map(render).join("");
  if (child instanceof Html) return child.text;
  return child == null || typeof child === "boolean" ? "" : escape(child);
};

export function h(tag: string | Component, props: Props | null, ...children: Child[]): Html {
  if (typeof tag === "function") return tag({ ...props, children });
  const attributes = Object.entries(props ?? {})
    .filter(([, value]) => value != null && value !== false)
    .map(([name, value]) => (value === true ? ` ${name}` : ` ${name}="${escape(value)}"`))
    .join("");
  return new Html(`<${tag}${attributes}>${VOID.has(tag) ? "" : `${render(children)}</${tag}>`}`);
}

export const Fragment = ({ children }: { children?: Child }) => new Html(render(children));

declare global {
  namespace JSX {
    type Element = Html;
    interface ElementChildrenAttribute {
      children: unknown;
    }
    interface IntrinsicElements {
      [tag: string]: any;
    }
  }
}
