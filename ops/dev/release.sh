#!/usr/bin/env bash
# Builds the release programs as they are shipped, with Swift's libraries in them, and prints the directory they are in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for product in shelly-receiver shelly-loader; do
    swift build -c release --static-swift-stdlib --scratch-path .build-deb --product "$product" >&2
done
swift build -c release --static-swift-stdlib --scratch-path .build-deb --show-bin-path
