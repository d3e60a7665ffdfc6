#!/usr/bin/env bash
# Builds the Debian package in .local/deb (package.sh) and checks it (check.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

ops/dev/packages.sh build package lint
rm -f .local/deb/*.deb
ops/deb/package.sh >&2
ops/deb/check.sh .local/deb/*.deb
echo "$PWD"/.local/deb/*.deb
