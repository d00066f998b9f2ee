#!/usr/bin/env bash
# Prints the Secrets the mesh reads, as YAML for `kubectl apply -f -`; nothing is kept on this machine.
#
#   k8s/secrets.sh dev       fresh random ones for overlays/dev, with a certificate authority of their own
#   k8s/secrets.sh --names   what production's vault must provide: secret, keys
#
# POSTMESH names the program to make certificates with; without it, it is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

services=(auth media publisher analytics scheduler gateway)

if [ "${1:-}" = --names ]; then
    for service in "${services[@]}"; do echo "mesh-$service: ca.crt tls.crt tls.key"; done
    echo "postmesh-keys: postmesh.keys"
    echo "database: POSTMESH_DATABASE__URL"
    echo "cache: POSTMESH_CACHE__URL"
    echo "blobs: POSTMESH_BLOB__ACCESS_KEY POSTMESH_BLOB__SECRET_KEY"
    exit 0
fi
if [ "${1:-}" != dev ]; then
    echo "usage: k8s/secrets.sh dev | --names" >&2
    exit 2
fi

random() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# secret NAME KEY VALUE [KEY VALUE]…
secret() {
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: postmesh\ntype: Opaque\ndata:\n' "$1"
    shift
    while [ $# -gt 0 ]; do
        printf '  %s: %s\n' "$1" "$(printf '%s' "$2" | base64 -w 0)"
        shift 2
    done
}

umask 077
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if [ -n "${POSTMESH:-}" ]; then
    "$POSTMESH" certs --out "$dir" >&2
else
    cargo run --quiet -p postmesh -- certs --out "$dir" >&2
fi

# The Secrets need their namespace first.
printf -- '---\n'
cat k8s/base/namespace.yaml
for service in "${services[@]}"; do
    secret "mesh-$service" ca.crt "$(cat "$dir/ca.crt")" \
        tls.crt "$(cat "$dir/$service.crt")" tls.key "$(cat "$dir/$service.key")"
done
database=$(random 24)
cache=$(random 24)
secret postmesh-keys postmesh.keys "1 $(head -c 32 /dev/urandom | base64 -w 0)"
secret database POSTMESH_DATABASE__URL "postgres://postmesh:$database@postgres:5432/postmesh"
secret cache POSTMESH_CACHE__URL "redis://:$cache@redis:6379/0"
secret blobs POSTMESH_BLOB__ACCESS_KEY "GK$(random 12)" POSTMESH_BLOB__SECRET_KEY "$(random 32)"
secret postgres password "$database"
secret redis password "$cache"
secret s3 rpc-secret "$(random 32)"
