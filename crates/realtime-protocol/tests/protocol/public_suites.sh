#!/bin/sh
# Runs the public protocol test suites against the examples. A suite whose variable is not set is skipped:
#   ENGINEIO_SUITE  a checkout of the engine.io-protocol repository
#   SOCKETIO_SUITE  a checkout of the socket.io-protocol repository
#   WSTEST          the wstest program of autobahntestsuite
# npm installs the suites' dependencies in a temporary folder.
set -eu
cd "$(dirname "$0")/../../../.."

work=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=
    fi
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# start EXAMPLE: runs the example on a free port and sets $port.
start() {
    cargo build --quiet -p realtime-protocol --example "$1"
    # Remove the port of an earlier run.
    : >"$work/$1.log"
    "${CARGO_TARGET_DIR:-target}/debug/examples/$1" 0 >"$work/$1.log" &
    server=$!
    port=
    while [ -z "$port" ]; do
        kill -0 "$server"
        port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$work/$1.log")
    done
}

# mocha NAME CHECKOUT: runs the suite with its fixed port replaced.
mocha() {
    if [ -z "$2" ]; then
        echo "skipped: $1 (its variable is not set)"
        return
    fi
    cp -R "$2/test-suite" "$work/$1"
    start suite_server
    sed "s/localhost:3000/localhost:$port/" "$2/test-suite/test-suite.js" >"$work/$1/test-suite.js"
    (cd "$work/$1" && npm ci --silent --no-audit --no-fund && npx mocha test-suite.js)
    stop
}

mocha ENGINEIO_SUITE "${ENGINEIO_SUITE:-}"
mocha SOCKETIO_SUITE "${SOCKETIO_SUITE:-}"

if [ -z "${WSTEST:-}" ]; then
    echo "skipped: WSTEST (its variable is not set)"
    exit
fi
start websocket_echo
cat >"$work/spec.json" <<JSON
{"outdir": "$work/reports", "servers": [{"agent": "realtime-protocol", "url": "ws://127.0.0.1:$port"}],
 "cases": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"],
 "exclude-cases": [], "exclude-agent-cases": {}}
JSON
"$WSTEST" --mode fuzzingclient --spec "$work/spec.json" >"$work/wstest.log" 2>&1 || {
    cat "$work/wstest.log"
    exit 1
}
stop
node - "$work/reports/index.json" <<'JS'
const cases = Object.entries(require(process.argv[2])["realtime-protocol"]);
const good = new Set(["OK", "NON-STRICT", "INFORMATIONAL"]);
const bad = cases.filter(([, c]) => !good.has(c.behavior) || !good.has(c.behaviorClose));
console.log(`autobahn: ${cases.length} cases, ${bad.length} failed`);
for (const [id, c] of bad) console.log(id, c.behavior, c.behaviorClose);
process.exit(cases.length > 0 && bad.length === 0 ? 0 : 1);
JS
