#!/usr/bin/env bash
# The figures of the first milestone, each beside its peer, in one run. Nothing here decides a test.
#
#   ./dev bench first-light [--full] [--rounds N] [--apps N]
#
# --full also times a clean clone until its first page (many minutes: it compiles everything).
# STEADY_BIN names the program to measure; without it the release build is made and measured.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${STEADY_BIN:-}" ]; then
  ./dev release
  STEADY_BIN=$PWD/target/release/steady
fi
export STEADY_BIN
exec node bench/first-light.mjs "$@"
