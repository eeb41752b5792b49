import { createElement, Suspense, use } from "react";
import { renderToReadableStream } from "react-dom/server";
import { renderToStaticMarkup } from "react-dom/server";

export default async () => {
  const slow = Bun.sleep(5).then(() => "later");
  const Late = () => createElement("b", null, use(slow));
  const page = createElement("main", null, createElement(Suspense, { fallback: "…" }, createElement(Late)));
  const stream = await renderToReadableStream(page);
  await stream.allReady;
  const text = await new Response(stream).text();
  return [renderToStaticMarkup(createElement("p", { className: "a" }, "1 < 2")), text.includes("<b>later</b>")];
};
