#!/bin/bun
// `cat [FILE…]`; `-` is standard input.
const paths = process.argv.slice(2);
for (const path of paths.length > 0 ? paths : ["-"]) {
  try {
    const out = Bun.stdout.writer();
    for await (const piece of path === "-" ? Bun.stdin.stream() : Bun.file(path).stream()) {
      out.write(piece);
      await out.flush();
    }
  } catch (error) {
    console.error(`cat: ${path}: ${error.message}`);
    process.exitCode = 1;
  }
}
