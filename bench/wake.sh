#!/usr/bin/env bash
# How soon a sleeping app answers, beside the same program started by hand, and beside workerd and deno with the same
# hello. Nothing here decides a test.
#
#   ./dev bench wake [--rounds 30] [--only hello,hono,elysia]
#
# STEADY_BIN names the program to measure; without it the release build is made and measured. Needs Python 3.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${STEADY_BIN:-}" ]; then
  ./dev release
  STEADY_BIN=$PWD/target/release/steady
fi
export STEADY_BIN
exec python3 bench/wake.py "$@"
