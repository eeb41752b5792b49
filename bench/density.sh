#!/usr/bin/env bash
# How many apps a server holds, asleep and awake, and what one costs. Nothing here decides a test.
#
#   ./dev bench density [--apps 10000] [--awake 300] [--rounds 7]
#                       [--server-price 5] [--memory-gib 1] [--awake-share 0.1] [--sold 0.5] [--os-mib 150] [--net-mib 0.2]
#
# Run as root: the groups of the awake apps are read, and the last part puts the server under a limit of
# --memory-gib. STEADY_BIN names the program to measure; without it the release build is made and measured.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${STEADY_BIN:-}" ]; then
  ./dev release
  STEADY_BIN=$PWD/target/release/steady
fi
export STEADY_BIN
exec node bench/density/main.mjs "$@"
