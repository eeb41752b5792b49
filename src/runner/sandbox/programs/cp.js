#!/bin/bun
// `cp [-rRafpnvT] FROM… TO`
import { cpSync, statSync } from "node:fs";
import { basename, join } from "node:path";

const given = process.argv.slice(2);
const options = given.filter(word => /^-./.test(word)).join("");
const paths = given.filter(word => !/^-./.test(word));
const has = (letters, word) => new RegExp(`[${letters}]`).test(options.replace(/--[a-z-]+/g, "")) || options.includes(`--${word}`);
const fail = text => {
  console.error(`cp: ${text}`);
  process.exit(1);
};
const isFolder = path => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

const to = paths.pop();
if (paths.length === 0) fail("usage: cp [-r] FROM… TO");
const into = isFolder(to) && !has("T", "no-target-directory");
if (paths.length > 1 && !into) fail(`${to} is not a folder`);
const recursive = has("rRa", "recursive");
for (const from of paths) {
  if (isFolder(from) && !recursive) fail(`${from} is a folder: -r copies it with all inside`);
  // `folder/.` is what is in the folder.
  const target = into ? join(to, basename(from) === "." ? "" : basename(from)) : to;
  try {
    cpSync(from, target, {
      recursive,
      force: !has("n", "no-clobber"),
      preserveTimestamps: has("pa", "preserve"),
      dereference: !recursive,
      verbatimSymlinks: recursive,
    });
    if (has("v", "verbose")) console.log(`'${from}' -> '${target}'`);
  } catch (error) {
    fail(error.message);
  }
}
