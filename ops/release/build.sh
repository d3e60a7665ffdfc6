#!/usr/bin/env bash
# Makes a release in .local/release: the Debian package, the container image, a bill of materials and the checksums of all. The same
# commit is to give the same files in any directory, as long as Swift, Debian's packages and the packages of Package.swift are the same.
#
#   build.sh
#
# As root, as the image needs. SHELLY_BIN=DIR takes the two programs from DIR instead of building them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly output=$PWD/.local/release

[[ -z $(git status --porcelain) ]] || {
    echo "release: files differ from the commit: $(git status --porcelain | head -n 3)" >&2
    exit 1
}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
SHELLY_COMMIT=$(ops/dev/commit.sh)
export SOURCE_DATE_EPOCH SHELLY_COMMIT
SHELLY_BIN=${SHELLY_BIN:-$(ops/dev/build.sh release)}
export SHELLY_BIN

rm -rf "$output" .local/image/base.tar
mkdir -p "$output"
ops/deb/build.sh >&2
ops/container/build.sh >&2
cp .local/deb/*.deb "$output"
gzip -9n <"$(echo .local/image/*-image.tar)" >"$output/$(basename .local/image/*-image.tar).gz"
line=$("$SHELLY_BIN/shelly-receiver" --version)
# dpkg-query expands the format.
# shellcheck disable=SC2016
# The limits are lower than podman's own, which not every machine allows.
ops/container/podman.sh run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 localhost/shelly-collector:latest \
    dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n' >.local/image/packages
swift=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -n 1)
ops/release/sbom.py "${line%% *}" "$SOURCE_DATE_EPOCH" "$swift" Package.resolved .local/image/packages \
    >"$output/shelly-collector-${line%% *}.cdx.json"
cd "$output"
sha256sum -- * >SHA256SUMS
cat SHA256SUMS
