#!/usr/bin/env bash
# Puts both programs, without their symbols, into a directory, as the image and the Debian package have them:
#
#   programs.sh DIRECTORY
#
# SHELLY_BIN=DIR takes the two programs from DIR instead of building them.
set -euo pipefail
mkdir -p "$1"
directory=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

binaries=${SHELLY_BIN:-}
if [[ -z $binaries ]]; then binaries=$(ops/dev/build.sh release); fi
toolchain=$(dirname "$(readlink -f "$(command -v swift)")")
for program in shelly-receiver shelly-loader; do
    install -m 755 "$binaries/$program" "$directory/$program"
    # The toolchain's own, since Debian's strip drops RELRO with a section that is loaded. That section has digests for incremental
    # builds, which differ from one build to the next; all else is the same.
    "$toolchain/llvm-objcopy" --strip-all --remove-section=.comment --remove-section=.swift_modhash "$directory/$program"
done
