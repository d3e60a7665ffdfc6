#!/usr/bin/env bash
# Checks the types of the Cloudflare Worker in ops/cloudflare, and tests it beside the real receiver, loader and a
# private PostgreSQL. Arguments go to `node --test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

ops/dev/packages.sh build run worker

# Two of these would take each other's cluster down.
mkdir -p .local
exec {lock}>.local/test-worker.lock
flock -n "$lock" || {
    echo "test-worker.sh: another one is running in this checkout" >&2
    exit 1
}

tsc --project ops/cloudflare/jsconfig.json

SHELLY_TEST_BIN=$(ops/dev/build.sh debug {lock}>&-)
export SHELLY_TEST_BIN

SHELLY_BIN=$SHELLY_TEST_BIN ops/dev/families.py --check

take_down() {
    local status=$?
    trap '' HUP INT TERM
    ops/dev/postgres.sh destroy .local/worker-postgres || status=1
    exit "$status"
}
trap take_down EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
node --test "$@" ops/cloudflare/test/*.test.js {lock}>&-
