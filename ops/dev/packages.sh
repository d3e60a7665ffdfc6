#!/usr/bin/env bash
# Checks that everything for a purpose is installed, and installs the missing Debian packages:
#
#   packages.sh PURPOSE...    build, run, test, patroni, worker, proxy, mqtt, schemathesis, bench, times, package, lint, boot, image, arm64 or manifests
#
#   packages.sh --list PURPOSE...    the packages' names, one per line, and no more
#
# Prints nothing and changes nothing if all are installed. Otherwise it prints the packages that it installs, and their size.
set -euo pipefail

# The version that the newest of the packages in Package.swift require.
readonly minimum_swift=6.2

# package | purposes | command that succeeds if it is installed, by whichever package | reason
readonly packages='
libpq-dev       | build         | header libpq-fe.h           | the PostgreSQL client library that receiver and loader link
libssl-dev      | build         | header openssl/evp.h        | the digests of keys; libpq-dev brings it
libsimdjson-dev | build         | header simdjson.h           | the JSON parser of the receiver
libzstd-dev     | build         | header zstd.h               | the compression of loaded segments
pkg-config      | build         | command -v pkg-config       | how SwiftPM finds libpq and libzstd
g++             | build         | command -v g++              | libstdc++ and its headers, for the simdjson shim
git             | build         | command -v git              | SwiftPM fetches dependencies with it
ca-certificates | build         | test -e /etc/ssl/certs/ca-certificates.crt | SwiftPM fetches dependencies over TLS
postgresql      | run           | postgres_server             | the server of the private developer and test clusters
curl            | run           | command -v curl             | the demo and the tests post batches with it
jq              | run           | command -v jq               | the demo makes batches and reads answers with it
shellcheck      | test          | command -v shellcheck       | lints these scripts
openssl         | test proxy    | command -v openssl          | tests make certificates with it
strace          | test          | command -v strace           | tests make system calls fail, and kill before a given one
faketime        | test          | faketime_library            | a test sets the clock of a receiver
e2fsprogs       | test          | root_command mkfs.ext4      | tests cut the power of a file system of their own, and fill it
mount           | test          | root_command losetup        | the same: a file as a disk
iproute2        | test          | root_command ip             | tests make a network that loses packets
util-linux      | test          | command -v prlimit          | tests take file descriptors away from a receiver
rsync           | test          | command -v rsync            | a test moves a spool to another machine with it
patroni         | patroni       | command -v patroni          | keeps a cluster of two servers, whose leader is taken away
etcd-server     | patroni       | command -v etcd             | has the state of that cluster
python3-etcd    | patroni       | test -e /usr/lib/python3/dist-packages/etcd | Patroni speaks to etcd with it
chromium        | test          | command -v chromium         | tests open the status page in it
nodejs          | worker mqtt   | command -v node             | runs the tests of the Cloudflare Worker, and the MQTT bridge
node-typescript | worker        | command -v tsc              | checks the types in its comments
mosquitto       | mqtt          | root_command mosquitto      | a test takes messages from this MQTT broker
mosquitto-clients | mqtt        | command -v mosquitto_pub    | the same: devices that publish
wrk             | bench         | command -v wrk              | load generator
valgrind        | bench         | command -v valgrind         | counts instructions
binutils        | bench         | command -v strip            | takes away debugging information
python3         | test bench package schemathesis times manifests image | command -v python3 | runs the scripts in Python
python3-venv    | bench schemathesis manifests image | python3 -m ensurepip --version | FastAPI and schemathesis are installed in virtual environments
dpkg-dev        | package       | command -v dpkg-shlibdeps   | finds what the package depends on
lintian         | lint          | command -v lintian          | finds faults in the package
mandoc          | lint          | command -v mandoc           | finds faults in its manual pages
systemd         | lint          | command -v systemd-analyze  | finds faults in its units, and rates how exposed they are
mmdebstrap      | boot image arm64 | command -v mmdebstrap       | makes the clean root that the package is tried in, and that of the image
qemu-user       | arm64         | command -v qemu-aarch64     | runs programs for arm64
systemd-container | boot        | command -v systemd-nspawn   | boots that root
podman          | image         | command -v podman           | builds the container image, and runs it in its test
runc            | image         | command -v runc             | starts the containers of podman
netavark        | image         | test -x /usr/lib/podman/netavark | gives them addresses of their own
aardvark-dns    | image         | test -x /usr/lib/podman/aardvark-dns | gives them names
'

main() {
    (($# > 0)) || fail "usage: packages.sh PURPOSE..., of build, run, test, patroni, worker, proxy, mqtt, schemathesis, bench, times, package, lint, boot, image, arm64, manifests"
    local missing=() package purposes check reason is_list=''
    if [[ $1 == --list ]]; then is_list=yes; fi
    if [[ -z $is_list ]] && is_for build "$@"; then require_swift; fi
    while IFS='|' read -r package purposes check reason; do
        package=${package//[[:space:]]/}
        if [[ -z $package ]] || ! is_for "$purposes" "$@"; then continue; fi
        if [[ -n $is_list ]]; then
            echo "$package"
            continue
        fi
        # Split on purpose: a check is a command and its words.
        # shellcheck disable=SC2086
        if ! $check >/dev/null 2>&1; then
            missing+=("$package")
            printf 'missing: %-16s %s\n' "$package" "${reason# }" >&2
        fi
    done <<<"$packages"

    ((${#missing[@]} == 0)) || install "${missing[@]}"
}

# is_for PURPOSES PURPOSE...: whether one of the latter is among the former.
is_for() {
    local purposes=$1 purpose
    shift
    for purpose in "$@"; do
        if [[ " $purposes " == *" $purpose "* ]]; then return; fi
    done
    return 1
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

# Not every user's PATH has the commands for root.
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
        # Without a terminal sudo would wait forever for a password.
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

    # Debian's server package makes and starts a cluster "main" when it is first installed, and the broker's package starts
    # the broker. They are not needed here, so this is switched off during the installation. The script runs as root in one
    # piece, so that its trap removes the switches in any case.
    # Expanded by the inner shell, on purpose.
    # shellcheck disable=SC2016
    "${as_root[@]}" env LC_ALL=C DEBIAN_FRONTEND=noninteractive bash -euc '
        directory= policy=/usr/sbin/policy-rc.d switches=()
        clean_up() {
            rm -f "${switches[@]}"
            [[ -z $directory ]] || rmdir --ignore-fail-on-non-empty "$directory"
        }
        trap clean_up EXIT
        trap "exit 1" HUP INT TERM
        if [[ " $* " == *" postgresql "* ]]; then
            directory=/etc/postgresql-common/createcluster.d
            mkdir -p "$directory"
            switches+=("$directory/zz-shelly-no-main-cluster.conf")
            echo "create_main_cluster = false" >"${switches[-1]}"
        fi
        if [[ " $* " == *" mosquitto "* && ! -e $policy ]]; then
            switches+=("$policy")
            printf "#!/bin/sh\nexit 101\n" >"$policy"
            chmod 755 "$policy"
        fi
        apt-get update -qq
        log=$(mktemp)
        # The number of packages with their dependencies, and their size on the disk.
        apt-get install --no-install-recommends --assume-no "$@" 2>&1 |
            sed -n "s/^.* upgraded, \(.* newly installed\).*/packages: \1/p; s/^After this operation, /packages: /p"
        # Line by line on a terminal; elsewhere only when it fails.
        if [[ -t 2 ]]; then
            apt-get install -q -y --no-install-recommends "$@"
        else
            apt-get install -q -y --no-install-recommends "$@" >"$log" 2>&1 || { cat "$log"; exit 1; }
        fi
        if [[ " $* " == *" mosquitto "* ]] && command -v systemctl >/dev/null; then
            systemctl --quiet disable mosquitto 2>/dev/null || true
        fi
        rm -f "$log"
    ' install "$@" >&2
}

fail() {
    echo "packages: $*" >&2
    exit 1
}

main "$@"
