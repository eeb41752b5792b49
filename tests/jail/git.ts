// Code as a hostile push would bring it: links out of the tree, settings for the tools around it.
import fs from "node:fs";
import { check, facts } from "./kit.ts";
export { default } from "./kit.ts";

const home = process.env.HOME!;
const read = (path: string) => fs.readFileSync(path, "utf8");
check("a link in the tree to /etc/shadow", () => read("/app/shadow"), "ENOENT");
check("a link in the tree to a file of the host", () => read("/app/host"), "ENOENT");
check("a link in the tree above the tree", () => read("/app/above"), "ENOENT");
check("a linked folder of the host", () => fs.readdirSync("/app/folder"), "ENOENT");
check("a link to itself", () => read("/app/loop"), "ELOOP");
check("the same links in the home", () => ["shadow", "host", "above", "folder"].map(name => { try { return read(home + "/" + name); } catch (error: any) { return error.code; } }), Array(4).fill("ENOENT"));
check("a tree whose data folder is a link", () => [fs.lstatSync(home + "/data").isDirectory(), fs.readdirSync(home + "/data")], [true, []]);
check("a tree with a .git folder", () => fs.existsSync(home + "/.git"), false);
check("hooks in the tree's .git", () => fs.writeFileSync("/app/.git/hooks/pre-push", "x"), "EROFS");
check("a database that is a link", () => read(home + "/linked.sqlite"), "ENOENT");
check("a name of 255 bytes", () => read(home + "/" + "n".repeat(255)), "long");
check("a name with a line break", () => read(home + "/line\nbreak"), "break");
check("a folder named like the place of the wrapper", () => fs.existsSync("/lib/steady/evil.ts"), false);
// It is the app's own code, and runs as such.
check("a preload in bunfig.toml", () => [(globalThis as any).preloaded ?? "not run", process.getuid!()], ["run", facts.uid]);
check("a .env file does not change where data goes", () => process.env.DATA_DIR, home + "/data");
check("a .env file does not change who it is", () => process.env.STEADY_INSTANCE !== "evil", true);
