#!/bin/bun
// `sh -c TEXT` is Bun's own shell.
const at = process.argv.indexOf('-c');
const run = Bun.spawnSync(['/bin/bun', 'exec', process.argv[at + 1] ?? ''], { stdio: ['inherit', 'inherit', 'inherit'] });
process.exit(run.exitCode ?? 1);
