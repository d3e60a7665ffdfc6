#!/usr/bin/env bash
# Makes the container image of the Containerfile without a registry: its base is a Debian root made here, as small as Debian's own
# slim image, and its programs are the release programs of this checkout.
#
#   build.sh        the image shelly-collector:VERSION, also as an archive, .local/image/shelly-collector-VERSION-image.tar
#
# As root. Images and containers lie in .local/image/storage, apart from those of the machine; podman.sh works on them.
# `docker load -i` or `podman load -i` takes the archive.
#
# SHELLY_BIN=DIR takes the two programs from DIR instead of building them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly output=$PWD/.local/image podman=$PWD/ops/container/podman.sh
readonly base=localhost/debian:bookworm-slim programs=localhost/shelly-programs

main() {
    ops/dev/packages.sh build image
    ((EUID == 0)) || fail "it takes root to make a Debian root"
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
    export SOURCE_DATE_EPOCH
    mkdir -p "$output"

    make_base
    take_programs
    make_image
    report
}

# The root is kept, as long as it is not older than a week: it takes minutes, and only security updates change it.
make_base() {
    local root=$output/base.tar
    # mmdebstrap's shell expands the hook.
    # shellcheck disable=SC2016
    if [[ ! -e $root || $(find "$root" -mtime +7) ]]; then
        mmdebstrap --quiet --variant=minbase --include=ca-certificates \
            --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
            --dpkgopt='path-include=/usr/share/doc/*/copyright' \
            --customize-hook='rm -rf "$1"/var/cache/ldconfig/* "$1"/var/log/*' \
            --format=tar bookworm "$root.new" >&2
        mv "$root.new" "$root"
    fi
    # Not podman import, which writes the present time into the image.
    build --tag "$base" --file - "$output" <<<$'FROM scratch\nADD base.tar /'
}

take_programs() {
    rm -rf "$output/programs"
    ops/container/programs.sh "$output/programs"
    build --tag "$programs" --file - "$output" <<<$'FROM scratch\nCOPY programs /programs'
    local line
    line=$("$output/programs/shelly-receiver" --version)
    version=${line%% *}
}

make_image() {
    local image=localhost/shelly-collector:$version archive=$output/shelly-collector-$version-image.tar
    build --build-arg "DEBIAN=$base" --build-arg "PROGRAMS=$programs" --tag "$image" \
        --file Containerfile "$output"
    rm -f "$output"/*-image.tar*
    "$podman" save --quiet --format docker-archive --output "$archive.new" "$image"
    ops/container/archive.py "$archive.new" "$archive"
    rm "$archive.new"
    # The archive's image in place of that one: it has another ID.
    "$podman" load --quiet --input "$archive" >/dev/null
    "$podman" tag "$image" localhost/shelly-collector:latest
}

# build ARGUMENTS...: the same each time, from the same files.
build() {
    "$podman" build --quiet --isolation chroot --format docker --pull-never --no-cache --timestamp "$SOURCE_DATE_EPOCH" "$@" >/dev/null
}

report() {
    local whole below
    whole=$(size localhost/shelly-collector:latest)
    below=$(size "$base")
    printf 'base %4d MB, with programs and libraries %4d MB, so %d MB beyond the base\n' $((below / 1000000)) \
        $((whole / 1000000)) $(((whole - below) / 1000000))
    ((whole - below <= 100000000)) || fail "the image has more than 100 MB beyond its base"
    echo "$output/shelly-collector-$version-image.tar"
}

size() {
    "$podman" image inspect --format '{{.Size}}' "$1"
}

fail() {
    echo "image: $*" >&2
    exit 1
}

main "$@"
