#!/usr/bin/env bash
# Makes the release in .local/release, of its commit, once more, from a clone in another directory, and compares all files byte by byte:
#
#   compare.sh [SUITE...]    the releases of Debian, as build.sh takes them
#
# As root; it compiles everything again. Both take the same clean roots, and the versions in the release's Package.resolved.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly first=$PWD/.local/release other=$PWD/.local/release-again/of-another-length/checkout

main() {
    [[ -e $first/SHA256SUMS ]] || fail "there is no release: make release"
    local suites=("$@") suite file different=0
    if ((${#suites[@]} == 0)); then suites=(bookworm trixie); fi
    rm -rf "$other"
    git clone --quiet . "$other"
    git -C "$other" checkout --quiet --detach "$(<"$first/commit")"
    cp "$first/Package.resolved" "$other"
    for suite in "${suites[@]}"; do
        mkdir -p "$other/.local/release-build/$suite"
        ln -s "$PWD/.local/release-build/$suite/root" "$other/.local/release-build/$suite/root"
    done
    "$other/ops/release/build.sh" "${suites[@]}" >/dev/null
    for file in "$other/.local/release"/*; do
        file=${file##*/}
        [[ $file != SHA256SUMS ]] || continue
        if cmp "$first/$file" "$other/.local/release/$file"; then
            printf 'the same  %s  %s\n' "$(sha256sum <"$first/$file" | cut -d ' ' -f 1)" "$file"
        else
            different=1
        fi
    done
    exit "$different"
}

fail() {
    echo "compare: $*" >&2
    exit 1
}

main "$@"
