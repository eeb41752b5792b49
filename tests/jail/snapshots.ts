// An app that is given another's copied home sees data, and it is its own.
import fs from "node:fs";
import { check, facts, open } from "./kit.ts";
export { default } from "./kit.ts";

const home = process.env.HOME!;
check("a copy belongs to whom it was given", () => fs.statSync(home + "/suid").uid, facts.uid);
check("a copy can be written", () => (fs.writeFileSync(home + "/suid", "new"), fs.readFileSync(home + "/suid", "utf8")), "new");
check("a copy has no way to a device", () => open(home + "/disk"), "ENOENT");
