#!/usr/bin/env bash
# Runs the image that build.sh has made, as root with podman, read-only, without capabilities: the demo, kill -9 and a new container on
# the same volume, a stop, and writes that the image must refuse. PostgreSQL is a private cluster on this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Seconds. A wait longer than this is a failure; a slow machine needs far less.
readonly patience=600
readonly state=$PWD/.local/image/test cluster=$PWD/.local/image/test/postgres
readonly podman=$PWD/ops/container/podman.sh image=localhost/shelly-collector:latest key=0123456789abcdef0123456789abcdef
receiver=shelly-test-receiver-$$ volume=shelly-test-spool-$$ finished=''

main() {
    if ((EUID != 0)); then
        echo "image test: skipped, it takes root"
        exit 0
    fi
    ops/dev/packages.sh run image
    "$podman" image exists "$image" || fail "there is no image: make image"
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    rm -rf "$state"
    mkdir -p "$state/bin"
    unset "${!PG@}"
    # No container may have more open files and processes than this process, nor does it need as many.
    limits=(--ulimit "nofile=$(least "$(ulimit -Hn)" 16384)" --ulimit "nproc=$(least "$(ulimit -Hu)" 4096)")

    say_what_it_is
    refuse_memory
    run_the_demo
    lose_nothing_when_killed
    stop_in_time
    finished=yes
    good "all of it in $SECONDS s"
}

say_what_it_is() {
    section "What the image says of itself"
    expect "$(of_image .Config.User)" 10001:10001
    expect "$(of_image .Config.Volumes)" 'map[/spool:{}]'
    expect "$(of_image .Config.Healthcheck.Test)" '[CMD shelly-receiver --ready]'
    local program
    for program in shelly-receiver shelly-loader; do
        good "$(contain --rm "$image" "$program" --version)"
    done
    # Without dash's message, whose language varies.
    ! contain --rm "$image" sh -c 'true >/usr/local/bin/new' 2>/dev/null || fail "its root can be written"
    expect "$(contain --rm "$image" sh -c 'id -u; grep CapEff /proc/self/status | cut -f2; echo $$' | tr '\n' ' ')" \
        "10001 0000000000000000 1 "
    good "user 10001 without capabilities, a root that cannot be written, process 1"
}

refuse_memory() {
    section "A spool in memory"
    local status=0
    contain --rm --tmpfs /spool:mode=0777 --env "INGEST_API_KEY=$key" "$image" >"$state/memory.log" 2>&1 || status=$?
    expect "$status" 1
    grep -q 'tmpfs lies in memory' "$state/memory.log" || fail_with "$state/memory.log" "the reason is missing"
    good "refused"
}

# The programs of the demo are containers of the image.
run_the_demo() {
    section "make demo, its programs in containers"
    local program
    for program in shelly-receiver shelly-loader; do
        cat >"$state/bin/$program" <<END
#!/usr/bin/env bash
chown -R 10001:10001 "\$SPOOL_DIR"
exec "$podman" run --rm --read-only --cap-drop all --security-opt no-new-privileges --network host ${limits[*]} \\
    --env INGEST_API_KEY --env HOST --env PORT --env DATABASE_URL --env SPOOL_FILE_SYSTEM \\
    --volume "\$SPOOL_DIR:/spool" "$image" "$program" "\$@"
END
        chmod +x "$state/bin/$program"
    done
    SHELLY_BIN=$state/bin ops/dev/run.sh --demo >"$state/demo.log" 2>&1 || fail_with "$state/demo.log" "the demo failed"
    sed -n 's/^.*✓/  ✓/p' "$state/demo.log"
}

lose_nothing_when_killed() {
    section "kill -9 and a new container, again and again"
    database=$(ops/dev/postgres.sh start "$cluster")
    load migrate
    local acknowledged=0 round
    for round in 1 2 3; do
        start_receiver
        for minute in 1 2 3 4 5 6 7 8 9 10; do
            expect "$(post "round-$round" "$minute")" '200 "inserted":1'
            acknowledged=$((acknowledged + 1))
        done
        "$podman" kill --signal KILL "$receiver" >/dev/null
        "$podman" rm --force "$receiver" >/dev/null
    done
    # The variables that Kubernetes sets for a Service named `ingest`.
    start_receiver --env INGEST_SERVICE_HOST=10.0.0.1 --env INGEST_PORT=tcp://10.0.0.1:8080 \
        --env INGEST_PORT_8080_TCP=tcp://10.0.0.1:8080 --env SPOOL_SERVICE_PORT=80
    expect "$(post round-1 1)" '200 "inserted":0'
    load drain
    expect "$(ops/dev/postgres.sh psql "$cluster" -At -c 'SELECT count(*) FROM power_logs')" "$acknowledged"
    load verify --database
    good "$acknowledged readings acknowledged, as many rows; a repeated one is a duplicate"
}

stop_in_time() {
    section "podman stop"
    "$podman" healthcheck run "$receiver" >/dev/null || fail "it is not healthy"
    "$podman" stop --time 60 "$receiver" >/dev/null
    # The status would be 137 if SIGKILL had ended the container after the timeout.
    expect "$("$podman" inspect --format '{{.State.ExitCode}}' "$receiver")" 0
    "$podman" logs "$receiver" 2>&1 | grep -q 'the segment is sealed' || fail "it did not seal its segment"
    good "healthy before, status 0 and a sealed segment after"
}

# contain ARGUMENTS...: `podman run` as the documents recommend.
contain() {
    "$podman" run --read-only --cap-drop all --security-opt no-new-privileges "${limits[@]}" "$@"
}

# start_receiver ARGUMENTS...: as a container on the volume, with the address of its own that podman gives it.
start_receiver() {
    contain --detach --name "$receiver" --volume "$volume:/spool" --env "INGEST_API_KEY=$key" --env SPOOL_FILE_SYSTEM=any \
        "$@" "$image" >/dev/null
    url=http://$("$podman" inspect --format '{{.NetworkSettings.IPAddress}}' "$receiver"):8080
    wait_until "the receiver is not ready" curl -sf -m "$patience" -o /dev/null "$url/readyz"
}

# post DEVICE MINUTE: a batch of one reading; prints the status and the count of new ones.
post() {
    local answer
    answer=$(curl -sS -m "$patience" -w '\n%{http_code}' "$url/api/ingest/batch" -H "X-API-Key: $key" \
        -d '{"messages":[{"src":"'"$1"'","timestamp":'$((1700000000 + 60 * $2))',"params":{"switch:0":{"apower":1}}}]}')
    printf '%s %s' "${answer##*$'\n'}" "$(grep -o '"inserted":[0-9]*' <<<"$answer")"
}

load() {
    contain --rm --network host --volume "$volume:/spool" --env "DATABASE_URL=$database" "$image" shelly-loader "$@" >"$state/loader.log" 2>&1 ||
        fail_with "$state/loader.log" "shelly-loader $* failed"
}

of_image() {
    "$podman" image inspect --format "{{$1}}" "$image"
}

least() {
    if [[ $1 == unlimited ]] || (($1 > $2)); then echo "$2:$2"; else echo "$1:$1"; fi
}

wait_until() {
    local complaint=$1 deadline=$((SECONDS + patience))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || fail "$complaint after $patience s"
        sleep 0.1
    done
}

clean_up() {
    local status=$?
    trap - EXIT
    trap '' INT TERM
    if [[ -z $finished ]]; then "$podman" logs "$receiver" >&2 2>/dev/null || true; fi
    "$podman" rm --force --ignore "$receiver" >/dev/null 2>&1 || true
    "$podman" volume rm --force "$volume" >/dev/null 2>&1 || true
    ops/dev/postgres.sh destroy "$cluster" || status=1
    exit "$status"
}

section() { printf '\n%s\n' "$*"; }
good() { printf '  ✓ %s\n' "$*"; }

expect() {
    [[ $1 == "$2" ]] || fail "expected $2, but got $1"
}

fail_with() {
    tail -n 30 "$1" >&2
    fail "$2"
}

fail() {
    printf '  ✗ %s\n' "$*" >&2
    exit 1
}

main "$@"
