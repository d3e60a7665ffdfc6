#!/usr/bin/env bash
# Stops the private clusters of this checkout and deletes .local: their data, the spools of run.sh, and all logs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# A script that holds one of these locks has processes in .local.
mkdir -p .local/demo .local/bench .local/schemathesis
for lock in .local/run.lock .local/demo/run.lock .local/test.lock .local/test-worker.lock .local/schemathesis/lock \
    .local/bench/lock; do
    exec {descriptor}>"$lock"
    flock -n "$descriptor" || {
        echo "clean.sh: make run, demo, test or bench is busy in this checkout: stop it first" >&2
        exit 1
    }
done

for cluster in .local/postgres .local/demo/postgres .local/test-postgres .local/worker-postgres .local/bench/postgres \
    .local/schemathesis/postgres; do
    ops/dev/postgres.sh destroy "$cluster"
done
rm -rf .local
