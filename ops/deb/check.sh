#!/usr/bin/env bash
# Checks a package without installing it: lintian, its manual pages, its units and their exposure.
#
#   check.sh PACKAGE.deb
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

package=$1
# In tenths: the exposure that systemd-analyze security reports, from 0 to 10.
readonly threshold=15

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
dpkg-deb -x "$package" "$root"

echo "== lintian"
lintian --allow-root --fail-on error,warning "$package"

echo "== links in its pages"
ops/dev/links.py "$root/usr/share/doc/shelly-collector"

echo "== manual pages"
for page in "$root"/usr/share/man/man1/*.gz; do
    # References to pages of other packages are not checked.
    gzip -dc "$page" | mandoc -T lint -W warning
done

echo "== units"
units=("$root"/lib/systemd/system/*)
# The programs are not installed in the paths of the units.
sed -i "s|/usr/bin/shelly-|$root&|" "${units[@]}"
systemd-analyze verify --man=no "${units[@]}"
for unit in "$root"/lib/systemd/system/*.service; do
    # The overall exposure, not the weight of each line.
    systemd-analyze security --offline=true --threshold="$threshold" --no-pager "$unit" | tail -n 1
done
