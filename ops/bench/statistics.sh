#!/usr/bin/env bash
# Measures GET /api/stats/queue over the size of the table: rows of 24 hours from so many four-channel devices (5,760 rows
# each), in a private PostgreSQL that is removed at the end. It takes 6 GB of disk and about six minutes.
#
#   ops/bench/statistics.sh [DEVICES...]      174 868 3472, which are 1, 5 and 20 million rows
#
# BINARIES names a directory with built programs; without it they are built for release.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
readonly work
# The server's own user must get in.
chmod 755 "$work"
receiver=''
trap '[[ -z $receiver ]] || kill "$receiver"; ops/dev/postgres.sh destroy "$work/postgres"; rm -rf "$work"' EXIT

main() {
    binaries=${BINARIES:-}
    if [[ -z $binaries ]]; then
        swift build -c release --product shelly-receiver
        swift build -c release --product shelly-loader
        binaries=$(swift build -c release --show-bin-path)
    fi
    DATABASE_URL=$(ops/dev/postgres.sh start "$work/postgres")
    export DATABASE_URL SPOOL_DIR=$work/spool SPOOL_FILE_SYSTEM=any INGEST_API_KEY=key 
    sql "ALTER SYSTEM SET max_wal_size = '8GB'"
    ops/dev/postgres.sh restart "$work/postgres" >/dev/null
    "$binaries/shelly-loader" migrate >/dev/null
    local devices had=0
    for devices in "$@"; do
        fill "$had" "$devices"
        had=$devices
        measure
    done
}

sql() { ops/dev/postgres.sh psql "$work/postgres" -qAtc "$1"; }

# The devices from $1 to $2.
fill() {
    sql 'DROP INDEX idx_power_logs_idempotency, idx_power_logs_timestamp'
    sql "
        INSERT INTO power_logs (device_id, channel, power, voltage, current, timestamp, idempotency_key)
        SELECT name, channel, random() * 2000, 230, random() * 9, to_timestamp(minute * 60 + 7),
            name || '_' || channel || '_' || minute
        FROM generate_series((extract(epoch FROM now()) / 60)::int - 1439, (extract(epoch FROM now()) / 60)::int) AS minute,
            generate_series($1, $2 - 1) AS device, generate_series(0, 3) AS channel,
            LATERAL (SELECT 'shellypro4pm-' || lpad(to_hex(device), 12, '0') AS name) AS named"
    "$binaries/shelly-loader" migrate >/dev/null
    sql 'VACUUM ANALYZE power_logs'
    sql CHECKPOINT
}

measure() {
    PORT=0 "$binaries/shelly-receiver" 2>"$work/log" &
    receiver=$!
    local port='' request
    until port=$(grep -oE 'listening on [^ "]+:[0-9]+' "$work/log" | grep -oE '[0-9]+$'); do sleep 0.1; done
    echo "$(sql 'SELECT count(*) FROM power_logs') rows; loader's statistics: $({ TIMEFORMAT=%R && time "$binaries/shelly-loader" stats >/dev/null; } 2>&1) s"
    for request in {1..12}; do
        curl -s -o "$work/answer" -D "$work/headers" -w "  request $request: %{http_code} in %{time_total} s, " \
            "127.0.0.1:$port/api/stats/queue"
        grep -i '^age:' "$work/headers" || echo 'no Age'
        sleep 1
    done
    curl -s -o "$work/answer" -w '  page: %{http_code} in %{time_total} s\n' "127.0.0.1:$port/"
    kill "$receiver"
    wait "$receiver" || true
    receiver=''
}

if (($# == 0)); then set -- 174 868 3472; fi
main "$@"
