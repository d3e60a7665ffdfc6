#!/usr/bin/env bash
# Runs a property-based client, schemathesis, against the real programs and a private PostgreSQL: every answer must conform to
# /openapi.json. It runs twice, without a read key and with one.
#
#   schemathesis.sh [SEED]
#
# SHELLY_BIN=DIR takes the two programs from DIR instead of building them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly here=$PWD/ops/dev state=$PWD/.local/schemathesis seed=${1:-1}
readonly tools=$state/venv/bin cluster=$state/postgres limit_seconds=110
receiver='' loader=''

# Settings for another server in the caller's environment must not leak into this one.
for name in "${!PG@}"; do unset "$name"; done

main() {
    "$here/packages.sh" build run schemathesis
    mkdir -p "$state"
    exec {lock}>"$state/lock"
    flock -n "$lock" || fail "another one is running in this checkout"
    trap take_down EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM

    install_tools
    build
    start_database
    export INGEST_API_KEY=ingest-key-of-this-test READ_API_KEY=''
    run open
    export READ_API_KEY=read-key-of-this-test STATS_ACCESS=key
    run key
    echo "schemathesis: no failure, seed $seed"
}

install_tools() {
    cmp -s "$here/schemathesis/requirements.txt" "$state/installed.txt" && return
    rm -rf "$state/venv"
    python3 -m venv "$state/venv"
    "$tools/pip" install --quiet --disable-pip-version-check -r "$here/schemathesis/requirements.txt"
    cp "$here/schemathesis/requirements.txt" "$state/installed.txt"
}

build() {
    bin=${SHELLY_BIN:-}
    [[ -z $bin ]] || return 0
    bin=$("$here/build.sh" debug {lock}>&-)
}

start_database() {
    "$here/postgres.sh" destroy "$cluster"
    rm -rf "$state/spool"
    DATABASE_URL=$("$here/postgres.sh" start "$cluster")
    export DATABASE_URL SPOOL_DIR=$state/spool SPOOL_FILE_SYSTEM=any LOG_LEVEL=warning
    "$bin/shelly-loader" migrate >/dev/null
}

# Starts one receiver with the settings $1 and runs the client against it.
run() {
    echo "== schemathesis, read access: $1"
    PORT=0 LOG_LEVEL=info setsid "$bin/shelly-receiver" </dev/null >"$state/receiver-$1.log" 2>&1 {lock}>&- &
    receiver=$!
    setsid "$bin/shelly-loader" drain --follow </dev/null >"$state/loader-$1.log" 2>&1 {lock}>&- &
    loader=$!
    local port='' deadline=$((SECONDS + 30))
    until [[ -n $port ]]; do
        if ((SECONDS >= deadline)) || ! kill -0 "$receiver"; then
            fail "the receiver does not listen, see $state/receiver-$1.log"
        fi
        sleep 0.1
        port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$state/receiver-$1.log" | head -n 1)
    done
    local url=http://127.0.0.1:$port
    send_readings "$url"

    curl -sS -m 10 -o "$state/openapi.json" "$url/openapi.json"
    "$tools/openapi-spec-validator" "$state/openapi.json"
    # schemathesis writes its notes into its working directory.
    (
        cd "$state"
        export DEVICE=$device READ_ACCESS=$1 SCHEMATHESIS_HOOKS=hooks PYTHONPATH=$here/schemathesis PYTHONDONTWRITEBYTECODE=1
        timeout "$limit_seconds" "$tools/st" --config-file "$here/schemathesis/schemathesis.toml" run openapi.json \
            --url "$url" --seed "$seed" --checks all --max-response-time 5 --no-color
    )
    curl -sS -m 10 -o /dev/null -f "$url/readyz"
    stop
}

# Sends readings for the pages and the statistics.
send_readings() {
    local now
    now=$(date +%s)
    device='Küche / "plug" 1'
    jq -n --arg device "$device" --argjson now "$now" '{messages: [range(50) | {src: $device, timestamp: ($now - 60 * .),
        params: {"switch:0": {apower: (. / 4), voltage: 230}, "switch:1": {apower: -1}}}]}' |
        curl -sS -m 10 -f -o /dev/null -H "X-API-Key: $INGEST_API_KEY" --data-binary @- "$1/api/ingest/batch"
}

stop() {
    local process
    for process in "$receiver" "$loader"; do
        [[ -n $process ]] || continue
        kill -TERM "$process" 2>/dev/null || true
        timeout 30 tail -s 0.1 --pid "$process" -f /dev/null || kill -KILL "$process" 2>/dev/null || true
    done
    receiver='' loader=''
}

take_down() {
    local status=$?
    trap '' HUP INT TERM
    stop
    "$here/postgres.sh" destroy "$cluster" || status=1
    exit "$status"
}

fail() {
    echo "schemathesis: $*" >&2
    exit 1
}

main "$@"
