#!/usr/bin/env bash
# Every overlay renders, fits the schemas of Kubernetes (bundled with the validator, nothing is fetched) and keeps the
# rules of check_k8s.py. Rendering needs kubectl or kustomize; without one, the files are only checked to be YAML.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

render() {
    if command -v kustomize >/dev/null; then kustomize build "$1"; else kubectl kustomize "$1"; fi
}

# `labels:` and patches with targets came with kustomize 5 (kubectl 1.27); Debian 12 packages an older one.
renders() {
    if command -v kustomize >/dev/null; then return 0; fi
    local version
    version=$(kubectl version --client 2>/dev/null | sed -n 's/^Kustomize Version: v\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 5 ]
}

if ! renders; then
    find k8s -name '*.yaml' -print0 | xargs -0 -n 1 .venv/bin/python -c 'import sys, yaml; list(yaml.safe_load_all(open(sys.argv[1])))'
    echo "note: no kubectl 1.27 or kustomize 5 here, so the Kubernetes overlays were not rendered"
    exit 0
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for overlay in k8s/overlays/*/; do
    name=$(basename "$overlay")
    render "$overlay" >"$dir/$name.yaml"
    .venv/bin/kubernetes-validate --strict --quiet "$dir/$name.yaml"
    .venv/bin/python scripts/check_k8s.py "$name" "$dir/$name.yaml"
done
