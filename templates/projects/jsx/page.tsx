import { h } from "./jsx";

const style = `
  :root { color-scheme: light dark; --line: light-dark(#e4e4e7, #33333a); --dim: light-dark(#5f5f68, #a5a5af); }
  body { margin: 0 auto; max-width: 38rem; padding: 12vh 1.5rem; font: 1.0625rem/1.6 system-ui, sans-serif;
         color: light-dark(#18181b, #f4f4f5); background: light-dark(#fcfcfd, #131316); }
  h1 { font-size: 2.25rem; line-height: 1.15; letter-spacing: -0.02em; margin: 0 0 .5rem; }
  p { color: var(--dim); margin: 0 0 2rem; }
  ul { list-style: none; margin: 0; padding: 0; border-top: 1px solid var(--line); }
  li { display: flex; justify-content: space-between; gap: 1rem; padding: .75rem 0; border-bottom: 1px solid var(--line); }
  li span { color: var(--dim); font-variant-numeric: tabular-nums; }
`;

export const Page = ({ title, children }: { title: string; children?: unknown }) => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <title>{title}</title>
      <style>{style}</style>
    </head>
    <body>
      <main>{children}</main>
    </body>
  </html>
);
