#!/usr/bin/env bash
# Every file that names a version of postmesh names the one in Cargo.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
status=0
expect() {
    if ! grep -qF "$2" "$1"; then
        echo "$1 should say: $2 (Cargo.toml has version $version)"
        status=1
    fi
}
expect docker-compose.yml "postmesh:$version}"
expect k8s/base/kustomization.yaml "newTag: $version"
expect clients/typescript/package.json "\"version\": \"$version\""
expect clients/python/pyproject.toml "version = \"$version\""
exit "$status"
