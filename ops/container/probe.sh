#!/usr/bin/env bash
# Whether this machine lets podman run a container at all, which some sandboxes forbid: runs true(1) in a root of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
ops/dev/packages.sh image
root=$PWD/.local/image/probe
rm -rf "$root"
mkdir -p "$root"/{bin,dev,etc,proc,run,sys,tmp}
ldd /bin/true | grep -o '/[^ ]*' | xargs cp --parents --dereference -t "$root"
cp /bin/true "$root/bin/true"
ops/container/podman.sh run --rm --network none --ulimit nofile=1024 --ulimit nproc=1024 --rootfs "$root" /bin/true
