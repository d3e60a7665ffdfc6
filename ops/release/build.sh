#!/usr/bin/env bash
# Makes a release in .local/release: the Debian package for each release of Debian, the container image, a bill of materials beside each
# of them, the versions of the Swift packages in Package.resolved, the commit, and the checksums of all.
#
#   build.sh [SUITE...]    for these releases of Debian; for bookworm and trixie if none is named
#
# As root. The same commit gives the same bytes in any directory, if Swift, Debian's packages and the Swift packages are the same: the
# programs are compiled from a clone of the commit, in a clean root of their release of Debian, under one path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly output=$PWD/.local/release state=$PWD/.local/release-build
# The path of the sources for compilers and programs, independent of the checkout's directory.
readonly place=/usr/src/shelly-collector
# Libraries that the Swift toolchain needs beside those of a compiler.
readonly toolchain_libraries=(libcurl4 libncurses6 libsqlite3-0 libxml2)

main() {
    if [[ ${1:-} == --in-namespace ]]; then
        compile "$2"
        return
    fi
    local suites=("$@") suite package
    if ((${#suites[@]} == 0)); then suites=(bookworm trixie); fi
    ops/dev/packages.sh build package lint image
    ((EUID == 0)) || fail "it takes root to make a Debian root"
    [[ -z $(git status --porcelain) ]] || fail "files differ from the commit: $(git status --porcelain | head -n 3)"
    toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")
    [[ $toolchain != /usr ]] || fail "the Swift toolchain lies in /usr; it must have a directory of its own, which a clean root can show"
    commit=$(git rev-parse HEAD)
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
    SHELLY_COMMIT=$(ops/dev/commit.sh)
    export SOURCE_DATE_EPOCH SHELLY_COMMIT toolchain
    rm -rf "$output"
    mkdir -p "$output" "$state"

    for suite in "${suites[@]}"; do
        make_root "$suite"
        clone "$suite"
        unshare --mount "$PWD/ops/release/build.sh" --in-namespace "$suite" >&2
        package=$output/$(basename "$state/$suite/source/.local/deb"/*.deb)
        cp "$state/$suite/source/.local/deb"/*.deb "$package"
        ops/deb/check.sh "$package" >&2
        make_package_bill "$suite" "$package"
    done
    cp "$state/${suites[0]}/source/Package.resolved" "$output"
    echo "$commit" >"$output/commit"
    if [[ " ${suites[*]} " == *" bookworm "* ]]; then
        make_image
        make_image_bill
    fi
    cd "$output"
    sha256sum -- * >SHA256SUMS
    cat SHA256SUMS
}

# A root with everything for compiling and packaging, as `complete` lists it; at most a day old.
make_root() {
    local root=$state/$1/root packages
    mapfile -t packages < <(ops/dev/packages.sh --list build package)
    packages+=("${toolchain_libraries[@]}")
    if [[ $(cat "$root/complete" 2>/dev/null) == "${packages[*]}" && ! $(find "$root/complete" -mtime +0) ]]; then return; fi
    rm -rf "$root"
    mkdir -p "$root"
    # Unpacked here, since device files cannot be made everywhere, and are not needed.
    mmdebstrap --quiet --variant=minbase --include="${packages[*]}" \
        --format=tar "$1" - | tar --extract --directory "$root" --exclude='./dev/*'
    echo "${packages[*]}" >"$root/complete"
}

# The commit alone, each file with its time.
clone() {
    local source=$state/$1/source
    rm -rf "$source"
    git clone --quiet . "$source"
    git -C "$source" checkout --quiet --detach "$commit"
    if [[ -e Package.resolved ]]; then cp Package.resolved "$source"; fi
}

# In a mount namespace of its own: in the clean root, with the clone and the toolchain in it.
compile() {
    local suite=$1 source=$state/$1/source root=$state/$1/root
    mount --make-rprivate /
    mkdir -p "$place" "$root$place" "$root$toolchain"
    mount --bind "$source" "$place"
    # The clean root needs no network and no settings of git.
    (cd "$place" && swift package --scratch-path .build-deb resolve)
    find "$source" -path "$source/.git" -prune -o -exec touch --no-dereference -d "@$SOURCE_DATE_EPOCH" {} +
    mount --bind "$source" "$root$place"
    mount --bind "$toolchain" "$root$toolchain"
    mount --rbind /dev "$root/dev"
    mount --rbind /proc "$root/proc"
    chroot "$root" env -i PATH="$toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root LC_ALL=C.UTF-8 TZ=UTC \
        SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" SHELLY_COMMIT="$SHELLY_COMMIT" "$place/ops/deb/package.sh"
}

# Builds the image with the programs of the package for Debian 12.
make_image() {
    rm -f .local/image/base.tar
    SHELLY_BIN=$state/bookworm/source/.local/deb/work/programs ops/container/build.sh >&2
    gzip -9n <"$(echo .local/image/*-image.tar)" >"$output/$(basename .local/image/*-image.tar).gz"
}

# The Debian packages in it are those whose libraries the programs load, and all that these depend on, as the clean root has them.
make_package_bill() {
    local suite=$1 package=$2 root=$state/$1/root list=$state/$1/packages names
    # `shlibs:Depends=libc6 (>= 2.36), libpq5 (>= 15~~), …`
    names=$(sed -n 's/^shlibs:Depends=//p' "$state/$suite/source/.local/deb/work/substvars" | tr , '\n' | awk '{ print $1 }')
    # Lines that begin with a name are packages; `Depends: …` below them is indented.
    # shellcheck disable=SC2086
    names=$(chroot "$root" apt-cache depends --recurse --important --installed $names | grep '^[a-z0-9]' | sort -u)
    # dpkg-query expands the format.
    # shellcheck disable=SC2016,SC2086
    chroot "$root" dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n' $names >"$list"
    write_bill "$(dpkg-deb -f "$package" Version)" "$suite" "$list" >"${package%.deb}.cdx.json"
}

# The Debian packages in it are all of the image.
make_image_bill() {
    local image
    image=$(echo "$output"/*-image.tar.gz)
    # The limits are lower than podman's own, which not every machine allows.
    # shellcheck disable=SC2016
    ops/container/podman.sh run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
        localhost/shelly-collector:latest dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n' >.local/image/packages
    write_bill "$(dpkg-deb -f "$output"/*+deb12_*.deb Version)" bookworm .local/image/packages >"${image%.tar.gz}.cdx.json"
}

# write_bill VERSION SUITE PACKAGES
write_bill() {
    local swift
    swift=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -n 1)
    ops/release/sbom.py "$1" "$SOURCE_DATE_EPOCH" "$swift" "$2" "$state/$2/source/Package.resolved" \
        "$state/$2/source/.build-deb" "$3"
}

fail() {
    echo "release: $*" >&2
    exit 1
}

main "$@"
