#!/usr/bin/env bash
# Counts requests that fail while versions and servers change hands under constant load, and how long the slowest waited.
#
#   ./dev bench handover [--deploys N] [--rollbacks N] [--restarts N] [--clients N]
#
# 20 deploys, 20 rollbacks and 3 new servers unless named. STEADY_BIN names the program; without it the release build is
# made. A request fails when its answer is not the app's 200, or when its connection breaks after it was sent.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${STEADY_BIN:-}" ]; then
  ./dev release
  STEADY_BIN=$PWD/target/release/steady
fi
export STEADY_BIN
exec node bench/handover/main.mjs "$@"
