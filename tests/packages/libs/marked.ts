import { marked } from "marked";

export default () => marked.parse("# Hi\n\n- *a*\n- `b`\n");
