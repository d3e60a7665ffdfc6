#!/usr/bin/env bash
# Checks the input of Prometheus and Grafana: the endpoint of a real receiver, the alerts, the dashboard.
#
# The receiver is the one in SHELLY_BIN, or else the debug build. promtool is the PATH's, or else it is unpacked from
# Debian's package `prometheus` into .local, so that no service is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Seconds. A wait longer than this is a failure; a slow machine needs far less.
readonly patience=600

main() {
    find_promtool
    work=$(mktemp -d)
    trap 'stop_receiver; rm -rf "$work"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM

    echo "== Alerts"
    "$promtool" check config --syntax-only ops/prometheus/prometheus.yml
    "$promtool" check rules --lint-fatal ops/prometheus/rules.yml
    "$promtool" test rules ops/prometheus/rules_test.yml
    check_runbook

    echo "== Endpoint"
    start_receiver
    post_some
    expect 401 /metrics
    expect 401 /metrics -H 'X-API-Key: ingest-key'
    scrape
    mv "$work/answer" "$work/metrics"
    grep -qi '^content-type: text/plain; version=0.0.4; charset=utf-8' "$work/headers" || fail "the content type is wrong"
    "$promtool" check metrics <"$work/metrics"
    grep -qx 'shelly_batches_total 2' "$work/metrics" || fail "two batches were posted, but shelly_batches_total is not 2"
    grep -qx 'shelly_refusals_total{reason="unauthorized"} 1' "$work/metrics" || fail "one batch was refused for its key, but shelly_refusals_total does not count it"

    echo "== Dashboard"
    ops/prometheus/check.py "$work/metrics" "$work/dashboard.yml"
    "$promtool" check rules --lint-fatal "$work/dashboard.yml"
}

# Each alert has a heading with its name in the runbook, and a link to that heading. rules_test.yml tests the link's beginning.
check_runbook() {
    local alert page=docs/OPERATIONS.md link
    # Prometheus' template, not the shell's.
    # shellcheck disable=SC2016
    local start='{{ or $externalLabels.shelly_docs "https://shelly-docs-is-not-set.invalid" }}'
    while read -r alert; do
        grep -qx "##* $alert" "$page" || fail "$page has no heading for the alert $alert"
        link="runbook_url: '$start/${page#docs/}#${alert,,}'"
        sed -n "/- alert: $alert\$/,/runbook_url/p" ops/prometheus/rules.yml | grep -qF "$link" || fail "$alert has no line: $link"
    done < <(sed -n 's/.*- alert: //p' ops/prometheus/rules.yml)
}

find_promtool() {
    promtool=$(command -v promtool || true)
    [[ -z $promtool ]] || return 0
    local directory=$PWD/.local/prometheus
    promtool=$directory/usr/bin/promtool
    [[ ! -x $promtool ]] || return 0
    mkdir -p "$directory"
    # Unpacked, not installed: the package's service would be started.
    (
        cd "$directory"
        apt-get download -qq prometheus 2>/dev/null || { apt-get update -qq && apt-get download -qq prometheus; }
    ) || fail "promtool is not on the PATH, and Debian's package prometheus cannot be downloaded; install prometheus or check the network"
    dpkg-deb --fsys-tarfile "$directory"/prometheus_*.deb | tar -x -C "$directory" ./usr/bin/promtool
    rm "$directory"/prometheus_*.deb
}

start_receiver() {
    local bin=${SHELLY_BIN:-}
    [[ -n $bin ]] || bin=$(ops/dev/build.sh debug)
    : >"$work/log"
    # Timeouts so long that this test does not reach them.
    INGEST_API_KEY=ingest-key READ_API_KEY=read-key SPOOL_DIR=$work/spool SPOOL_FILE_SYSTEM=any HOST=127.0.0.1 PORT=0 \
        INGEST_HEAD_SECONDS=3600 INGEST_BODY_SECONDS=3600 INGEST_COMMIT_SECONDS=3600 \
        "$bin/shelly-receiver" 2>"$work/log" &
    receiver=$!
    local deadline=$((SECONDS + patience))
    while ((SECONDS < deadline)); do
        port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/log")
        [[ -z $port ]] || return 0
        kill -0 "$receiver" 2>/dev/null || fail "the receiver ended: $(<"$work/log")"
        sleep 0.1
    done
    fail "the receiver does not listen: $(<"$work/log")"
}

stop_receiver() {
    [[ -n ${receiver:-} ]] || return 0
    kill "$receiver" 2>/dev/null || true
    wait "$receiver" || true
}

# Two batches, one of them with a hostile name, and one without a key.
post_some() {
    local message='{"timestamp":1732320000,"params":{"switch:0":{"apower":8.9}},"src":'
    expect 200 /api/ingest/batch -H 'X-API-Key: ingest-key' -d '{"messages":['"$message"'"plug"}]}'
    expect 200 /api/ingest/batch -H 'X-API-Key: ingest-key' -d '{"messages":['"$message"'"\"} 1 # <b>"}]}'
    expect 401 /api/ingest/batch -d '{"messages":[]}'
}

# Leaves a scrape in answer and headers. The spool was readable in it: other scrapes omit the spool's metrics.
scrape() {
    local deadline=$((SECONDS + patience))
    while ((SECONDS < deadline)); do
        expect 200 /metrics -H 'Authorization: Bearer read-key' -D "$work/headers"
        if grep -qx 'shelly_spool_readable 1' "$work/answer"; then return; fi
        sleep 0.1
    done
    fail "the receiver cannot read its spool: $(<"$work/log")"
}

# expect STATUS PATH CURL-ARGUMENTS…
expect() {
    local wanted=$1 path=$2 status
    shift 2
    status=$(curl -sS -m "$patience" -o "$work/answer" -w '%{http_code}' "http://127.0.0.1:$port$path" "$@")
    [[ $status == "$wanted" ]] || fail "$path: expected status $wanted, got $status"
}

fail() {
    echo "test.sh: $*" >&2
    exit 1
}

main "$@"
