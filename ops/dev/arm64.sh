#!/usr/bin/env bash
# Compiles the C and C++ parts for arm64 with the compiler that SwiftPM takes for them, against Debian 12's and 13's own libraries for
# arm64, and runs them in QEMU as three processors of the Raspberry Pi. Their results must be those of this machine. Swift itself is
# not compiled for arm64: its toolchain for amd64 has no standard library for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly state=$PWD/.local/arm64
readonly parts=(Sources/Shared/CCrc32c/CCrc32c.c Sources/Shared/CSimdjson/*.cpp ops/dev/arm64/check.cpp)
readonly texts=(ops/dev/frames.ndjson ops/dev/families.ndjson)
# Of the models 3 and Zero 2, 4, and 5. All have the instructions for the checksum.
readonly processors=(cortex-a53 cortex-a72 cortex-a76)
# Debian releases and their compilers' versions.
readonly suites=(bookworm:12 trixie:14)

main() {
    ops/dev/packages.sh build arm64
    mkdir -p "$state"
    compile native
    "$state/native/check" "${texts[@]}" | tee "$state/expected"
    local suite
    for suite in "${suites[@]}"; do
        make_root "${suite%:*}" "${suite#*:}"
        compile "${suite%:*}" --target=aarch64-linux-gnu --sysroot="$state/${suite%:*}/root"
        [[ $(compiled_checksum "$state/${suite%:*}/root") == *crc32cx* ]] ||
            fail "the checksum has none of ARM's instructions"
        compare "${suite%:*}"
    done
}

# The libraries and headers of a release for arm64, unpacked and not installed, which takes no processor of that kind.
make_root() {
    local root=$state/$1/root
    [[ ! -e $root/complete ]] || return 0
    rm -rf "$root"
    mkdir -p "$(dirname "$root")"
    mmdebstrap --quiet --variant=extract --arch=arm64 --include="libsimdjson-dev,libc6-dev,libstdc++-$2-dev" --format=directory "$1" "$root"
    # Where a release has no directories of these names, their links come with the installation.
    [[ -e $root/lib ]] || ln -s usr/lib "$root/lib"
    touch "$root/complete"
}

# compile NAME FLAGS...
compile() {
    local output=$state/$1 part objects=()
    shift
    mkdir -p "$output"
    for part in "${parts[@]}"; do
        objects+=("$output/$(basename "$part").o")
        case $part in
            *.c) clang -std=gnu2x -O2 -Wall -Wextra -Werror -ISources/Shared/CCrc32c/include "$@" -c "$part" -o "${objects[-1]}" ;;
            *) clang++ -std=c++17 -O2 -Wall -Wextra -Werror -ISources/Shared/CCrc32c/include -ISources/Shared/CSimdjson/include \
                "$@" -c "$part" -o "${objects[-1]}" ;;
        esac
    done
    clang++ "$@" -fuse-ld=lld "${objects[@]}" -lsimdjson -o "$output/check"
}

# compiled_checksum ROOT: its instructions.
compiled_checksum() {
    clang -std=gnu2x -O2 --target=aarch64-linux-gnu --sysroot="$1" -ISources/Shared/CCrc32c/include -S Sources/Shared/CCrc32c/CCrc32c.c -o -
}

compare() {
    local processor
    for processor in "${processors[@]}"; do
        qemu-aarch64 -cpu "$processor" -L "$state/$1/root" "$state/$1/check" "${texts[@]}" >"$state/$1/found" ||
            fail "it ends with status $? on $1, $processor: $(cat "$state/$1/found")"
        cmp "$state/expected" "$state/$1/found" || fail "the results on $1, $processor are other ones: $(cat "$state/$1/found")"
        echo "the same on arm64, $1, $processor"
    done
}

fail() {
    echo "arm64: $*" >&2
    exit 1
}

main "$@"
