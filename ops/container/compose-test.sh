#!/usr/bin/env bash
# Starts compose.yaml as a newcomer does, as root with podman-compose on the image that build.sh has made: a batch before and while
# the database is away, `down`, `up`, and every acknowledged reading must be a row. Debian's PostgreSQL stands in for the official
# image, which takes a registry.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Seconds. A wait longer than this is a failure; a slow machine needs far less.
readonly patience=600
readonly podman=$PWD/ops/container/podman.sh environment=$PWD/.local/compose wanted=podman-compose==1.5.0
readonly state=$PWD/.local/image/compose
finished='' key=''

main() {
    if ((EUID != 0)); then
        echo "compose test: skipped, it takes root"
        exit 0
    fi
    ops/dev/packages.sh run image
    "$podman" image exists localhost/shelly-collector:latest || fail "there is no image: make image"
    install_compose
    "$podman" build --quiet --isolation chroot --pull-never --tag docker.io/library/postgres:15-bookworm \
        ops/container/database >/dev/null 2>&1 || fail "the stand-in for PostgreSQL cannot be built"
    rm -rf "$state"
    mkdir -p "$state"
    # A project of its own, so that no other project's volumes are used. The image exists, so the build section is removed.
    sed '/^  build:/,/^    dockerfile:/d; s/^name: .*/name: shelly-compose-test/' compose.yaml >"$state/compose.yaml"
    # podman's default limit of open files may be higher than this machine allows.
    limits=("--podman-run-args=--ulimit=nofile=$(ulimit -n):$(ulimit -n)" "--podman-run-args=--ulimit=nproc=4096:4096")
    PORT=$(free_port)
    export PORT
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM

    start
    expect "$(post 1)" '200 "inserted":1'
    wait_until "the loader has not loaded it" rows_are 1
    expect "$(curl -s -o /dev/null -m "$patience" -w '%{http_code}' "$url/")" 401
    expect "$(curl -s -o /dev/null -m "$patience" -w '%{http_code}' -u "any:$(key_in read.key)" "$url/")" 200
    good "up: a batch is a row, the page requires its key"

    "$podman" stop --time 60 shelly-compose-test_database_1 >/dev/null
    expect "$(post 2)" '200 "inserted":1'
    compose down
    [[ -z $("$podman" ps --all --quiet --filter label=io.podman.compose.project=shelly-compose-test) ]] || fail "down left containers"
    local key_before=$key
    start
    expect "$key" "$key_before"
    expect "$(post 2)" '200 "inserted":0'
    expect "$(post 3)" '200 "inserted":1'
    wait_until "not every acknowledged reading is a row" rows_are 3
    good "down with the database away, and up: 3 readings acknowledged, 3 rows, the same key"
    finished=yes
}

start() {
    compose up --detach
    url=http://127.0.0.1:$PORT
    wait_until "the receiver is not ready" curl -sf -m "$patience" -o /dev/null "$url/readyz"
    key=$(key_in ingest.key)
}

compose() {
    "$environment/bin/podman-compose" --podman-path "$podman" "${limits[@]}" --file "$state/compose.yaml" "$@" \
        >>"$state/compose.log" 2>&1 || fail "podman-compose $* failed"
}

install_compose() {
    [[ $(cat "$environment/installed" 2>/dev/null) != "$wanted" ]] || return 0
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check "$wanted"
    echo "$wanted" >"$environment/installed"
}

key_in() {
    "$podman" exec shelly-compose-test_receiver_1 cat "/keys/$1"
}

# post MINUTE: a batch of one reading; prints the status and the count of new ones.
post() {
    local answer
    answer=$(curl -sS -m "$patience" -w '\n%{http_code}' "$url/api/ingest/batch" -H "X-API-Key: $key" \
        -d '{"messages":[{"src":"plug","timestamp":'$((1700000000 + 60 * $1))',"params":{"switch:0":{"apower":1}}}]}')
    printf '%s %s' "${answer##*$'\n'}" "$(grep -o '"inserted":[0-9]*' <<<"$answer")"
}

rows_are() {
    [[ $("$podman" exec shelly-compose-test_database_1 psql -qAt --username shelly shelly \
        --command 'SELECT count(*) FROM power_logs' 2>/dev/null) == "$1" ]]
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_until() {
    local complaint=$1 deadline=$((SECONDS + patience))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || fail "$complaint after $patience s"
        sleep 0.2
    done
}

clean_up() {
    local status=$? name
    trap - EXIT
    trap '' INT TERM
    if [[ -z $finished ]]; then
        tail -n 20 "$state/compose.log" >&2
        for name in keys database receiver loader; do
            printf -- '--- %s\n' "$name" >&2
            "$podman" logs --tail 20 "shelly-compose-test_${name}_1" >&2 || true
        done
    fi
    "$environment/bin/podman-compose" --podman-path "$podman" --file "$state/compose.yaml" down --volumes >/dev/null 2>&1 || status=1
    exit "$status"
}

good() { printf '  ✓ %s\n' "$*"; }

expect() {
    [[ $1 == "$2" ]] || fail "expected $2, but got $1"
}

fail() {
    printf '  ✗ %s\n' "$*" >&2
    exit 1
}

main "$@"
