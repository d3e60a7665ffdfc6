#!/usr/bin/env bash
# Builds everything, starts it beside a private PostgreSQL cluster, and shows it with real device frames: it takes a batch,
# recognises the same batch, takes another one while the database is stopped, and loses no reading.
#
#   run.sh          keeps its spool and database in .local, and stays up until Ctrl-C
#   run.sh --demo   takes a fresh spool and database in .local/demo, and removes them when all went well
#
# SHELLY_BIN=DIR takes the two programs from DIR instead of building them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Seconds. A wait longer than this is a failure; a slow machine needs far less.
readonly here=$PWD/ops/dev patience=300 patience_at_the_end=120
demo=
case ${1:-} in
    '') ;;
    --demo) demo=yes ;;
    *)
        echo "usage: ops/dev/run.sh [--demo]" >&2
        exit 64
        ;;
esac

state=$PWD/.local${demo:+/demo}
cluster=$state/postgres
receiver='' loader='' serving='' finished=''

# Settings for another server in the caller's environment must not affect this one.
for name in "${!PG@}"; do unset "$name"; done
# A checkout may lie in memory or in a container's layer; losing these samples does no harm.
export PGTZ=UTC SPOOL_DIR=$state/spool SPOOL_FILE_SYSTEM=any

# The tour, from top to bottom.
main() {
    "$here/packages.sh" build run
    only_one_at_a_time
    trap clean_up EXIT
    trap 'interrupted 129' HUP
    trap 'interrupted 130' INT
    trap 'interrupted 143' TERM

    build
    start
    send_and_send_again
    send_while_the_database_is_away
    look_at_the_result

    if [[ -z $demo ]]; then serve; fi
    finished=yes
}

build() {
    bin=${SHELLY_BIN:-}
    if [[ -z $bin ]]; then
        section "Build"
        bin=$("$here/build.sh" debug)
    fi
}

start() {
    section "Start PostgreSQL, the receiver and the loader"
    if [[ -n $demo ]]; then
        "$here/postgres.sh" destroy "$cluster"
        rm -rf "$SPOOL_DIR" "$state"/*.log
    fi
    mkdir -p "$SPOOL_DIR"
    DATABASE_URL=$("$here/postgres.sh" start "$cluster")
    export DATABASE_URL
    "$bin/shelly-loader" migrate >"$state/migrate.log" 2>&1 || fail "shelly-loader migrate failed"

    key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    start_receiver
    # A session of its own, like the receiver, so that Ctrl-C reaches this script alone, which then stops things in order.
    setsid "$bin/shelly-loader" drain --follow </dev/null >"$state/loader.log" 2>&1 {lock}>&- &
    loader=$!
    note "database  $DATABASE_URL"
    note "receiver  $url"
    note "spool     ${SPOOL_DIR#"$PWD"/}"
    note "logs      ${state#"$PWD"/}/{receiver,loader}.log"
}

start_receiver() {
    local port=8080 deadline
    if [[ -n $demo ]]; then port=$((20000 + RANDOM % 10000)); fi

    while true; do
        while port_answers "$port"; do port=$((port + 1)); done
        url=http://127.0.0.1:$port
        INGEST_API_KEY=$key HOST=127.0.0.1 PORT=$port \
            setsid "$bin/shelly-receiver" </dev/null >"$state/receiver.log" 2>&1 {lock}>&- &
        receiver=$!

        deadline=$((SECONDS + patience))
        until [[ $(curl -s -o /dev/null -m 5 -w '%{http_code}' "$url/readyz") == 200 ]]; do
            if ! kill -0 "$receiver" 2>/dev/null; then
                # Another process may have taken the port since it was found free.
                if grep -qi 'address already in use' "$state/receiver.log"; then
                    port=$((port + 1))
                    continue 2
                fi
                still_running
            fi
            ((SECONDS < deadline)) || fail "the receiver is not ready after $patience s: GET $url/readyz is not 200"
            sleep 0.1
        done
        return
    done
}

send_and_send_again() {
    section "Send a batch of device frames, and the same batch again"
    now=$(date +%s)
    first=$(batch 0)
    first_keys=$(keys "$first")
    post "$first"
    acknowledged=$(field inserted)
    expect "$(field inserted) + $(field duplicates)" "$(count "$first_keys")" "readings in the batch, new and known"
    note "$(field total_messages) messages of $(field devices) devices contain $(count "$first_keys") readings of $(measuring_devices "$first_keys") devices;"
    note "the other messages have no power, or power that the default settings ignore, which \"untaken\" counts"

    post "$first"
    expect "$(field inserted)" 0 "new readings in the repeated batch"
    expect "$(field duplicates)" "$(count "$first_keys")" "duplicates in the repeated batch"

    wait_until "the loader has not loaded the batch" loaded "$first_keys"
    good "$(count "$first_keys") readings acknowledged, $(rows "$first_keys") rows in the database"
}

send_while_the_database_is_away() {
    section "Stop the database, and send another batch"
    "$here/postgres.sh" stop "$cluster"
    # Other minutes than those of the first batch.
    second=$(batch 20)
    second_keys=$(keys "$second")
    post "$second"
    acknowledged=$((acknowledged + $(field inserted)))
    expect "$(field inserted) + $(field duplicates)" "$(count "$second_keys")" "readings in the second batch"
    good "acknowledged and durable in the spool while the database is stopped"
    show GET /api/stats/spool

    section "Start the database again"
    "$here/postgres.sh" start "$cluster" >/dev/null
    wait_until "the loader has not caught up" loaded "$second_keys"
    good "the loader caught up: $(count "$second_keys") readings acknowledged, $(rows "$second_keys") rows in the database"
}

look_at_the_result() {
    section "The newest 12 rows in power_logs"
    query <<<'SELECT device_id, channel, power, voltage, current, "timestamp" FROM power_logs
              ORDER BY "timestamp" DESC, device_id, channel LIMIT 12' | indented

    if [[ -n $demo ]]; then
        # The demo is the only writer, so the rows are exactly the acknowledged readings.
        local all
        all=$(query -At <<<'SELECT count(*) FROM power_logs')
        expect "$all" "$acknowledged" "rows in power_logs for readings acknowledged"
        good "$acknowledged readings acknowledged, $all rows in power_logs"
        # The answer may be a second or two old.
        wait_until "GET /api/stats/queue does not count $all rows" statistics_count "$all"
    fi
    show GET /api/stats/queue
    show GET /api/stats/spool

    section "shelly-loader verify --database"
    "$bin/shelly-loader" verify --database >"$state/verify.log" 2>&1 || fail "verify found problems (status $?), see verify.log"
    indented <"$state/verify.log"
    if [[ -n $demo ]]; then
        note "The spool has all three batches. The second repeats the first, so $((acknowledged + $(count "$first_keys"))) readings give $acknowledged rows."
    else
        note "Each run adds three batches to the spool. The second repeats the first, and a repeated reading gives no second row,"
        note "so of these three batches $(($(count "$first_keys") * 2 + $(count "$second_keys"))) readings give $(($(count "$first_keys") + $(count "$second_keys"))) rows."
    fi
}

serve() {
    section "Up, until Ctrl-C"
    note "status page   $url/"
    note "statistics    $url/api/stats/queue and $url/api/stats/spool"
    note "database      ops/dev/postgres.sh psql"
    note "a reading of your own:"
    printf '\n%s\n' "curl -sS $url/api/ingest/batch -H 'Content-Type: application/json' \\
  -H 'X-API-Key: $key' \\
  -d '{\"messages\": [{\"src\": \"my-plug\", \"timestamp\": '\$(date +%s)',
       \"params\": {\"switch:0\": {\"apower\": 8.9}}}]}'"
    serving=yes
    wait -n "$receiver" "$loader" || true
    still_running
}

# One message for each frame, as the consumer Worker makes them, but with times of today: each frame gets a minute of its
# own in the recent past. Before a device's clock is set its `ts` is its uptime; the Worker then takes the queue's time.
batch() {
    jq -sc --argjson newest "$((now - 60 * $1))" '{
        messages: [to_entries[] | .key as $index | .value.frame | {
            src,
            timestamp: (if .params.ts < 1e9 then $newest else $newest - 60 * ($index + 1) end),
            params
        }]
    }' "$here/frames.ndjson"
}

# The idempotency keys of the readings in a batch, worked out here a second time, independently of the product.
keys() {
    jq -r '
        .messages[] | . as $message | range(4) as $channel
        | .params["switch:\($channel)"] | select(type == "object" and .apower != null)
        | "\($message.src)_\($channel)_\($message.timestamp / 60 | floor)"
    ' <<<"$1" | sort -u
}

count() {
    wc -l <<<"$1"
}

# The number of devices in these keys.
measuring_devices() {
    sed -E 's/_[0-9]+_[0-9]+$//' <<<"$1" | sort -u | wc -l
}

# The number of these keys that have a row.
rows() {
    query -At -v keys="$1" <<<"SELECT count(*) FROM power_logs
                               WHERE idempotency_key = ANY (string_to_array(:'keys', E'\n'))"
}

loaded() {
    (($(rows "$1") == $(count "$1")))
}

statistics_count() {
    (($(curl -sS -m "$patience" "$url/api/stats/queue" | jq '.total_logs // 0') == $1))
}

query() {
    "$here/postgres.sh" psql "$cluster" -q -v ON_ERROR_STOP=1 -P pager=off "$@"
}

# Posts a batch and keeps the receiver's answer in $answer.
post() {
    still_running
    local status
    answer=$(curl -sS -m "$patience" -w '\n%{http_code}' "$url/api/ingest/batch" -H "X-API-Key: $key" \
        -H 'Content-Type: application/json' --data-binary @- <<<"$1") || fail "POST /api/ingest/batch: no answer"
    status=${answer##*$'\n'}
    answer=${answer%$'\n'*}
    show_answer "POST /api/ingest/batch" "$status" "$answer"
    [[ $status == 200 ]] || fail "POST /api/ingest/batch answered $status"
}

field() {
    jq ".$1" <<<"$answer"
}

# GETs a path and prints the answer, without checking it.
show() {
    local answer
    still_running
    answer=$(curl -sS -m "$patience" -w '\n%{http_code}' -X "$1" "$url$2") || fail "$1 $2: no answer"
    show_answer "$1 $2" "${answer##*$'\n'}" "${answer%$'\n'*}"
}

show_answer() {
    printf '  %s%s → %s%s\n' "$dim" "$1" "$2" "$plain"
    # Spaces only so that a long line can be folded.
    { jq -c . <<<"$3" 2>/dev/null || echo "$3"; } | sed 's/,"/, "/g' | fold -s -w 94 | sed 's/^/    /'
}

# expect ACTUAL EXPECTED WHAT: numbers or sums of numbers.
expect() {
    (($1 == $2)) || fail "expected $2 $3, but got $1"
}

# wait_until COMPLAINT COMMAND...: waits at most some minutes.
wait_until() {
    local complaint=$1 deadline=$((SECONDS + patience))
    shift
    until "$@"; do
        still_running
        ((SECONDS < deadline)) || fail "$complaint after $patience s"
        sleep 0.2
    done
}

port_answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

still_running() {
    local name status
    for name in receiver loader; do
        if [[ -n ${!name} ]] && ! kill -0 "${!name}" 2>/dev/null; then
            status=0
            wait "${!name}" || status=$?
            printf -v "$name" ''
            fail "the $name exited unexpectedly (status $status)"
        fi
    done
}

# Two runs would stop each other's cluster at the end.
only_one_at_a_time() {
    mkdir -p "$state"
    exec {lock}>"$state/run.lock"
    flock -n "$lock" || fail "another run.sh ${demo:+--demo }is running in this checkout"
}

interrupted() {
    # Ctrl-C is how one leaves `make run`, not a failure.
    if [[ -n $serving ]]; then
        finished=yes
        exit 0
    fi
    exit "$1"
}

clean_up() {
    local status=$?
    trap - EXIT
    # A second Ctrl-C must not leave anything behind.
    trap '' HUP INT TERM

    section "Stop"
    end receiver || status=1
    end loader || status=1
    if [[ -n $finished && $status == 0 ]]; then
        if [[ -n $demo ]]; then
            "$here/postgres.sh" destroy "$cluster"
            rm -rf "$state"
        else
            "$here/postgres.sh" stop "$cluster"
        fi
        good "receiver, loader and PostgreSQL are stopped${demo:+, and ${state#"$PWD"/} is removed}"
    else
        "$here/postgres.sh" stop "$cluster" || true
        show_logs
        echo "run.sh: failed or interrupted (status $status); spool and logs are in $state" >&2
        if ((status == 0)); then status=1; fi
    fi
    exit "$status"
}

# Stops the process in the variable of this name, by SIGTERM, and by SIGKILL if it does not end.
end() {
    local name=$1 process=${!1} deadline=$((SECONDS + patience_at_the_end)) status=0
    [[ -n $process ]] || return 0
    kill -TERM "$process" 2>/dev/null || true
    while kill -0 "$process" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            bad "the $name did not end within $patience_at_the_end s of SIGTERM: killed"
            kill -KILL "$process" 2>/dev/null || true
            wait "$process" 2>/dev/null || true
            return 1
        fi
        sleep 0.1
    done
    wait "$process" || status=$?
    if ((status != 0)); then
        bad "the $name ended with status $status after SIGTERM"
        return 1
    fi
}

show_logs() {
    local log
    for log in "$state"/{migrate,receiver,loader,verify}.log; do
        [[ -s $log ]] || continue
        printf '\n--- the end of %s\n' "${log#"$PWD"/}" >&2
        tail -n 20 "$log" >&2
    done
    echo >&2
}

bold='' dim='' green='' red='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

section() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '  %s\n' "$*"; }
good() { printf '  %s✓ %s%s\n' "$green" "$*" "$plain"; }
bad() { printf '  %s✗ %s%s\n' "$red" "$*" "$plain" >&2; }
indented() { sed 's/^/  /; s/ *$//'; }

fail() {
    bad "$*"
    exit 1
}

main
