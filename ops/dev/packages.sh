#!/usr/bin/env bash
# Checks that everything needed to build, run and test is here, and installs the Debian packages that are missing.
# Says nothing and changes nothing when all is well.
set -euo pipefail

readonly minimum_swift=6.1

# package | how to tell that it is there, whichever package brought it | why it is needed
readonly packages='
libpq-dev       | header libpq-fe.h            | the PostgreSQL client library that receiver and loader link
libsimdjson-dev | header simdjson.h            | the JSON parser of the receiver
postgresql      | postgres_server              | the server of the private developer and test clusters
pkg-config      | command -v pkg-config        | how SwiftPM finds libpq
g++             | command -v g++               | libstdc++ and its headers, for the simdjson shim
curl            | command -v curl              | the demo posts its batches with it
ca-certificates | test -e /etc/ssl/certs/ca-certificates.crt | SwiftPM fetches dependencies over TLS
openssl         | command -v openssl           | tests make certificates with it
git             | command -v git               | SwiftPM fetches dependencies with it
jq              | command -v jq                | the demo makes batches and reads answers with it
shellcheck      | command -v shellcheck        | make test lints these scripts
strace          | command -v strace            | tests make system calls fail, and kill before a given one
faketime        | faketime_library             | a test sets the clock of a receiver
e2fsprogs       | root_command mkfs.ext4       | tests cut the power of a file system of their own, and fill it
mount           | root_command losetup         | the same: a file as a disk
wrk             | command -v wrk               | load generator of the bench
valgrind        | command -v valgrind          | the bench counts instructions with it
binutils        | command -v strip             | takes away debugging information that valgrind cannot read
chromium        | command -v chromium          | tests look at the status page with it
python3         | command -v python3           | the bench is written in it
python3-venv    | python3 -m ensurepip --version | the bench installs its FastAPI peer in a virtual environment
nodejs          | command -v node              | the Cloudflare Worker is tested with it
node-typescript | command -v tsc               | make test-worker checks the types in its comments
dpkg-dev        | command -v dpkg-shlibdeps  | finds what the package depends on
lintian         | command -v lintian         | looks for faults in the package
mandoc          | command -v mandoc          | looks for faults in its manual pages
systemd         | command -v systemd-analyze | looks for faults in its units, and at how exposed they are
mmdebstrap      | command -v mmdebstrap      | makes the clean root that the package is tried in
systemd-container | command -v systemd-nspawn | boots that root
util-linux      | command -v prlimit           | tests take file descriptors away from a receiver
rsync           | command -v rsync             | a test moves a spool to another machine with it
'

main() {
    require_swift

    local missing=() package check reason
    while IFS='|' read -r package check reason; do
        package=${package//[[:space:]]/}
        [[ -n $package ]] || continue
        # Split on purpose: a check is a command and its words.
        # shellcheck disable=SC2086
        if ! $check >/dev/null 2>&1; then
            missing+=("$package")
            printf 'missing: %-16s %s\n' "$package" "${reason# }" >&2
        fi
    done <<<"$packages"

    ((${#missing[@]} == 0)) || install "${missing[@]}"
}

require_swift() {
    local version=
    if command -v swift >/dev/null; then
        version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
    fi
    if [[ -z $version ]]; then
        fail "swift is not on the PATH. Install Swift $minimum_swift or newer: https://www.swift.org/install/linux/"
    fi
    if [[ $(printf '%s\n' "$minimum_swift" "$version" | sort -V | head -n 1) != "$minimum_swift" ]]; then
        fail "swift is $version, but the package needs $minimum_swift or newer: https://www.swift.org/install/linux/"
    fi
}

header() {
    test -e "/usr/include/$1" || test -e "/usr/include/postgresql/$1" || test -e "/usr/local/include/$1"
}

# Commands for root are not on everybody's PATH.
root_command() {
    PATH=$PATH:/usr/sbin:/sbin command -v "$1"
}

faketime_library() {
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1'
}

postgres_server() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb'
}

install() {
    command -v apt-get >/dev/null || fail "this is not a Debian or Ubuntu system: install what is missing by its own means"

    local as_root=()
    if ((EUID != 0)); then
        # Without a terminal sudo could only wait for a password that nobody types.
        if command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
            as_root=(sudo)
        else
            echo "packages: as root, run:" >&2
            if [[ " $* " == *" postgresql "* ]]; then
                echo "    mkdir -p /etc/postgresql-common/createcluster.d   # so that Debian starts no cluster of its own"
                echo "    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/no-main-cluster.conf"
            fi >&2
            echo "    apt-get update && apt-get install --no-install-recommends $*" >&2
            exit 1
        fi
    fi

    # Debian's server package makes and starts a cluster "main" when it is first installed. Nobody asked for one here,
    # so that is switched off for as long as the installation takes. The script runs as root in one piece, so that its
    # trap removes the switch whatever happens.
    # Expanded by the inner shell, on purpose.
    # shellcheck disable=SC2016
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive bash -euc '
        if [[ " $* " == *" postgresql "* ]]; then
            directory=/etc/postgresql-common/createcluster.d
            switch=$directory/zz-shelly-no-main-cluster.conf
            mkdir -p "$directory"
            trap "rm -f $switch; rmdir --ignore-fail-on-non-empty $directory" EXIT
            trap "exit 1" HUP INT TERM
            echo "create_main_cluster = false" >"$switch"
        fi
        apt-get update -q
        apt-get install -q -y --no-install-recommends "$@"
    ' install "$@" >&2
}

fail() {
    echo "packages: $*" >&2
    exit 1
}

main "$@"
