#!/usr/bin/env bash
# Whether this machine lets podman run a container at all, which some sandboxes forbid: runs true(1) in a root of its own.
#
# Exits with 0 if a container ran, with 77 and the reason if the machine forbids it, and with 1 for any other failure. Podman must be
# installed (`ops/dev/packages.sh image`).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly obstacle=77
if ((EUID != 0)); then
    echo "probe.sh: it takes root" >&2
    exit "$obstacle"
fi
root=$PWD/.local/image/probe
rm -rf "$root"
mkdir -p "$root"/{bin,dev,etc,proc,run,sys,tmp}
ldd /bin/true | grep -o '/[^ ]*' | xargs cp --parents --dereference -t "$root"
cp /bin/true "$root/bin/true"
if message=$(ops/container/podman.sh run --rm --network none --ulimit nofile=1024 --ulimit nproc=1024 --rootfs "$root" /bin/true 2>&1); then
    exit 0
fi
printf '%s\n' "$message" >&2
# How podman and runc report that the kernel refuses.
refusals='operation not permitted|permission denied|read-only file system|no cgroup mount'
if grep -qiE "^Error: .*($refusals)" <<<"$message"; then exit "$obstacle"; fi
exit 1
