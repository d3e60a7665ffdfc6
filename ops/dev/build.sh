#!/usr/bin/env bash
# Builds both programs and prints the directory they are in:
#
#   build.sh debug      in a minute or two, for `make run`, `make demo` and all tests alike
#   build.sh release    as they are shipped, optimized and with Swift's libraries in them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

case ${1:-} in
    debug) flags=() ;;
    release)
        # Without the path of this directory in them, nor a digest of symbols that hold it, so that the same commit gives the same
        # programs in any directory.
        map=$(pwd -P)=.
        flags=(-c release --static-swift-stdlib --scratch-path .build-deb
            -Xcc "-ffile-prefix-map=$map" -Xcxx "-ffile-prefix-map=$map" -Xswiftc -file-prefix-map -Xswiftc "$map" -Xlinker --build-id=none)
        # Swift's driver takes gold. Debian 13 has none among its binutils, and ld.bfd in its place makes no RELRO of Swift's sections.
        command -v ld.gold >/dev/null || flags+=(-Xswiftc -use-ld=lld)
        ;;
    *)
        echo "usage: ops/dev/build.sh debug|release" >&2
        exit 64
        ;;
esac
export SHELLY_COMMIT=${SHELLY_COMMIT-$(ops/dev/commit.sh)}
swift build "${flags[@]}" >&2
swift build "${flags[@]}" --show-bin-path
