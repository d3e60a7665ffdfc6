#!/usr/bin/env bash
# Podman on the images and containers of this checkout, in .local/image/storage, apart from those of the machine:
#
#   podman.sh run --rm shelly-collector:latest shelly-receiver --version
#
# It needs root, but neither systemd nor crun, which refuses a machine with both kinds of control groups.
set -euo pipefail
state=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)/.local/image/storage
mkdir -p "$state"
# No timers of systemd for health checks; the test runs them itself.
export DISABLE_HC_SYSTEMD=true
# An overlay cannot lie on another, as in a container. Without it each layer is a copy, which is slow.
driver=overlay
if [[ $(stat -f -c %T "$state") == overlayfs ]]; then driver=vfs; fi
# Podman takes no run directory with a path of more than 50 characters.
run=/run/shelly-podman-$(stat -c %i "$state")
exec podman --root "$state" --runroot "$run" --tmpdir "$run/tmp" --storage-driver "$driver" --runtime runc \
    --cgroup-manager cgroupfs --events-backend file "$@"
