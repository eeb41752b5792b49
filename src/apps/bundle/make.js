// Run by Bun in the jail of builds: `bun make.js ENTRY`. Writes index.js (with .jsc and .map) beside itself, and
// what was made of what to meta.json. Exit 3 and one line: this version cannot be one file.
const entry = process.argv[2];
const outdir = import.meta.dir;
const usual = {
  entrypoints: [entry],
  outdir,
  target: "bun",
  naming: { entry: "index.js" },
  sourcemap: "linked",
  // Names stay: programs look at those of their classes and functions.
  minify: { whitespace: true, syntax: true, identifiers: false },
  // A package that wrongly says it has no side effects works from source.
  ignoreDCEAnnotations: true,
  metafile: true,
  // What is named at run time alone; whether that may be is decided by who reads meta.json.
  allowUnresolved: [""],
  throw: false,
};
const strict = '"use strict";';

const refused = (built) => built.logs.find((log) => log.level === "error");
const build = (more) => Bun.build({ ...usual, ...more });

// Modules are strict and others are not; one file is one or the other.
let how = { format: "cjs", bytecode: true, banner: strict };
let built = await build(how);
if (built.success && Object.values(built.metafile.inputs).some((input) => input.format === "cjs")) {
  how = { format: "cjs", bytecode: true };
  built = await build(how);
}
// Bytecode is of CommonJS alone, which cannot await at its top.
if (!built.success && /await/.test(String(refused(built)?.message))) {
  how = { format: "esm" };
  built = await build(how);
}
if (!built.success) {
  const why = refused(built);
  const at = why?.position ? ` (${why.position.file}:${why.position.line})` : "";
  if (/same output path/.test(String(why?.message))) why.message = "it is more than one file (a page, a style or another asset)";
  console.error(`${String(why?.message ?? "Bun does not say why").split("\n")[0]}${at}`);
  process.exit(3);
}
await Bun.write(`${outdir}/meta.json`, JSON.stringify({ format: how.format, inputs: built.metafile.inputs }));
