#!/usr/bin/env bash
# Lints and builds everything, then runs the tests beside a private PostgreSQL cluster. Arguments go to `swift test`:
#
#   test.sh --filter SpoolTests
#
# The tests find the cluster in SHELLY_TEST_DATABASE_URL, the built programs in SHELLY_TEST_BIN and a PgBouncer in
# SHELLY_TEST_PGBOUNCER.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cluster=$PWD/.local/test-postgres

# Settings for another server in the caller's environment must not leak into the tests.
for name in "${!PG@}"; do unset "$name"; done
# The tests' spools lie where this machine has its temporary files; a test about file systems sets its own.
export SPOOL_FILE_SYSTEM=any

ops/dev/packages.sh build run test
SHELLY_TEST_PGBOUNCER=$(ops/dev/pgbouncer.sh)
export SHELLY_TEST_PGBOUNCER SHELLY_COMMIT=${SHELLY_COMMIT-$(ops/dev/commit.sh)}

# Two of these would take each other's cluster down at the end.
mkdir -p .local
exec {lock}>.local/test.lock
flock -n "$lock" || {
    echo "test.sh: another one is running in this checkout" >&2
    exit 1
}

echo "== Lint"
mapfile -t scripts < <(find ops -name '*.sh' | sort)
shellcheck "${scripts[@]}" .ci/run
ops/dev/docs.py --check
ops/dev/links.py .
ops/dev/layers.py
swift format lint --strict --recursive --parallel Package.swift Sources Tests ops/bench/Sources

echo "== Build"
# -warnings-as-errors would reach the dependencies too, whose warnings SwiftPM suppresses, and the compiler refuses the
# two flags together. So in CI, where everything is compiled, the output is searched for warnings in our own files.
if [[ -n ${CI:-} ]]; then
    swift build --build-tests 2>&1 {lock}>&- | tee .local/build.log
    # The compiler names files by their absolute path.
    if awk -v ours="^$PWD/(Sources|Tests)/[^:]+:[0-9]+:[0-9]+: warning:" '$0 ~ ours { print; n++ } END { exit !n }' \
        .local/build.log; then
        echo "test.sh: the compiler warns about the lines above; in CI that is an error" >&2
        exit 1
    fi
else
    swift build --build-tests {lock}>&-
fi
SHELLY_TEST_BIN=$(swift build --show-bin-path)

# The programs are of this commit, not of a cached one.
[[ $("$SHELLY_TEST_BIN/shelly-loader" --version) == *"${SHELLY_COMMIT:+($SHELLY_COMMIT)}" ]] || {
    echo "test.sh: shelly-loader --version does not name the commit $SHELLY_COMMIT" >&2
    exit 1
}

echo "== Test"
take_down() {
    local status=$?
    trap '' HUP INT TERM
    ops/dev/postgres.sh destroy "$cluster" || status=1
    exit "$status"
}
trap take_down EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# A run that was killed may have left its cluster.
ops/dev/postgres.sh destroy "$cluster"
# Most end-to-end tests have a cluster of their own. It is a copy of this one, because initdb takes longer than many tests.
ops/dev/postgres.sh start "$cluster" >/dev/null
ops/dev/postgres.sh stop "$cluster"
SHELLY_POSTGRES_TEMPLATE=$PWD/.local/test-template
rm -rf "$SHELLY_POSTGRES_TEMPLATE"
cp -a "$(realpath "$cluster/data")" "$SHELLY_POSTGRES_TEMPLATE"
SHELLY_TEST_DATABASE_URL=$(ops/dev/postgres.sh start "$cluster")
export SHELLY_TEST_BIN SHELLY_TEST_DATABASE_URL SHELLY_POSTGRES_TEMPLATE
swift test "$@" {lock}>&- | tee .local/test.log
if grep -q 'Test run with 0 tests' .local/test.log; then
    echo "test.sh: no test matches $*" >&2
    exit 1
fi
