#!/usr/bin/env bash
# Prints the commit of this checkout for --version: 12 hex digits, with a `+` when files differ from it. Prints nothing where
# git does not know the checkout, for example in an unpacked archive.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# An archive may lie within another repository.
[[ $(git rev-parse --show-toplevel 2>/dev/null) == "$(pwd -P)" ]] || exit 0
commit=$(git rev-parse --short=12 HEAD)
[[ -z $(git status --porcelain) ]] || commit+=+
echo "$commit"
