#!/usr/bin/env bash
# Prints the directory of an unpacked PgBouncer: its program and the libraries that it needs beside it.
#
# The Debian package would start a service when it is installed, so it is only unpacked, into .local/pgbouncer. Changes
# nothing when it is there already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly directory=$PWD/.local/pgbouncer

fail() {
    echo "pgbouncer.sh: $*" >&2
    exit 1
}

# Its package, and the libraries that a server without it lacks; their names differ between releases of Debian.
packages() {
    echo pgbouncer
    apt-cache depends pgbouncer | grep -oE '(libevent-|libc-ares)[0-9a-z.-]+$'
}

download() {
    local packages
    mapfile -t packages < <(packages)
    ((${#packages[@]} > 1)) && apt-get download -qq "${packages[@]}"
}

if [[ ! -x $directory/pgbouncer ]]; then
    rm -rf "$directory"
    mkdir -p "$directory/new"
    (
        cd "$directory/new"
        download 2>apt.log || { apt-get update -qq && download; } 2>>apt.log
    ) || fail "Debian's package pgbouncer cannot be downloaded: $(tail -n 1 "$directory/new/apt.log")"
    for package in "$directory"/new/*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x -C "$directory/new"; done
    cp -L "$directory"/new/usr/lib/*/lib{event,cares}*.so.[0-9]* "$directory"
    # Copied last, because its presence marks the directory as complete.
    cp "$directory/new/usr/sbin/pgbouncer" "$directory"
    rm -rf "$directory/new"
fi
echo "$directory"
