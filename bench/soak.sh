#!/usr/bin/env bash
# Hours of mixed use of one server, with its memory, descriptors and failures written down every round. Not for CI.
#
#   ./dev bench soak [HOURS]      8 unless named; Ctrl-C ends it early, with the summary
#
# STEADY_BIN names the program; without it the release build is made. A round: requests over HTTP/1.1 and HTTP/2,
# uploads, clients that leave in the middle, clients that send nonsense, a deploy, and a pause in which the app sleeps.
# What must hold: no failed request, and memory and descriptors of the last rounds as in the first ones.
set -euo pipefail
cd "$(dirname "$0")/.."
hours=${1:-8}

die() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }
for pair in curl=curl git=git h2load=nghttp2-client; do
  command -v "${pair%%=*}" >/dev/null || die "missing: ${pair#*=}" "sudo apt-get install ${pair#*=}"
done
if [ -z "${STEADY_BIN:-}" ]; then
  ./dev release
  STEADY_BIN=$PWD/target/release/steady
fi
steady=$(realpath "$STEADY_BIN")

folder=$(mktemp -d)
chmod 711 "$folder"
port=$((20000 + $$ % 10000))
server=
finish() {
  [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null && wait "$server" || true; }
  summary
  rm -rf "$folder"
}
summary() {
  [ -s "$folder/rounds" ] || return 0
  awk 'NR > 3 && NR <= 8 { first += $3; early++; files += $4 } { rss[NR] = $3; fd[NR] = $4; failed += $6; asked += $5 }
    END {
      n = NR < 5 ? NR : 5
      for (i = NR - n + 1; i <= NR; i++) { last += rss[i]; lastfd += fd[i] }
      printf "%d rounds, %d requests, %d failed\n", NR, asked, failed
      if (early) printf "memory of the last rounds to the first: %.2f; descriptors: %.2f\n", last / n / (first / early), lastfd / n / (files / early)
    }' "$folder/rounds"
}
trap finish EXIT
trap 'exit 130' INT TERM

run() { "$steady" --data "$folder/data" "$@"; }
printf 'correct horse battery staple\n' | run user add dev --password-stdin --admin >/dev/null
token=$(run token add dev --name soak)
STEADY_LISTEN=127.0.0.1:$port STEADY_DOMAIN=localhost "$steady" serve --data "$folder/data" >"$folder/log" 2>&1 &
server=$!

mkdir "$folder/app"
cat >"$folder/app/index.ts" <<'TS'
export default { async fetch(request: Request) {
  if (request.method === "POST") return new Response(String((await request.arrayBuffer()).byteLength));
  if (new URL(request.url).pathname === "/big") return new Response("x".repeat(1 << 20));
  return new Response("hello");
} };
TS
echo '{ "idle_seconds": 5 }' >"$folder/app/steady.json"
head -c 3000000 /dev/urandom >"$folder/upload"
git_app() { HOME=$folder GIT_CONFIG_NOSYSTEM=1 git -C "$folder/app" -c user.name=soak -c user.email=soak@example.com "$@"; }
git_app init -qb main
deploy() {
  date +%s%N >"$folder/app/round"
  git_app add -A && git_app commit -qm Round
  git_app push -q "http://dev:$token@localhost:$port/dev/soak.git" main 2>>"$folder/pushes"
}
url=http://soak.localhost:$port
for _ in $(seq 200); do curl -s -o /dev/null "http://localhost:$port/" && break; sleep 0.1; done
deploy

asked=0 failed=0
# load FLAGS…: what h2load counts.
load() {
  local said
  said=$(h2load "$@" "--connect-to=127.0.0.1:$port" "$url/" "$url/big" | sed -nE 's/^requests: ([0-9]+) total.* ([0-9]+) succeeded.*/\1 \2/p')
  asked=$((asked + ${said% *})) failed=$((failed + ${said% *} - ${said#* }))
}
end=$(($(date +%s) + hours * 3600))
printf 'time round KiB descriptors requests failed\n'
for ((round = 1; $(date +%s) < end; round++)); do
  asked=0 failed=0
  load -n 4000 -c 32 --h1
  load -n 4000 -c 8 -m 16
  for version in --http1.1 --http2-prior-knowledge; do
    asked=$((asked + 1))
    [ "$(curl -s "$version" --data-binary "@$folder/upload" "$url/")" = 3000000 ] || failed=$((failed + 1))
  done
  # Those who leave, and those who talk nonsense, are nobody's failure.
  for _ in $(seq 20); do
    timeout 0.05 curl -s -o /dev/null --limit-rate 10k "$url/big" || true
    timeout 0.05 curl -s -o /dev/null --limit-rate 10k --http2-prior-knowledge "$url/big" || true
    { exec 3<>"/dev/tcp/127.0.0.1/$port" && head -c 300 /dev/urandom >&3 && exec 3>&-; } 2>/dev/null || true
  done
  deploy || failed=$((failed + 1))
  sleep 12
  kill -0 "$server" 2>/dev/null || die "the server died in round $round" "see $folder/log"
  printf '%s %d %d %d %d %d\n' "$(date +%H:%M:%S)" "$round" "$(awk '/VmRSS/ { print $2 }' "/proc/$server/status")" \
    "$(find "/proc/$server/fd" -mindepth 1 | wc -l)" "$asked" "$failed" | tee -a "$folder/rounds"
done
