#!/usr/bin/env bash
# Podman on the images and containers of this checkout, in .local/image/storage, apart from those of the machine:
#
#   podman.sh run --rm shelly-collector:latest shelly-receiver --version
#
# It needs root, but neither systemd nor crun, which refuses a machine with both kinds of control groups.
set -euo pipefail
state=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)/.local/image/storage
mkdir -p "$state"
# No systemd timers for health checks; the test runs the checks itself.
export DISABLE_HC_SYSTEMD=true
# In a container the storage is on an overlay, and an overlay cannot have its layers on another. Without it each layer is a slow copy.
driver=overlay
if [[ $(stat -f -c %T "$state") == overlayfs ]]; then driver=vfs; fi
# Podman refuses a run directory whose path has more than 50 characters.
run=/run/shelly-podman-$(stat -c %i "$state")
exec podman --root "$state" --runroot "$run" --tmpdir "$run/tmp" --storage-driver "$driver" --runtime runc \
    --cgroup-manager cgroupfs --events-backend file "$@"
