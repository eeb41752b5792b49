import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { sum } from "./sum";

createRoot(document.getElementById("app")!).render(createElement("b", { className: "underline" }, `the answer is ${sum(40, 2)}`));
