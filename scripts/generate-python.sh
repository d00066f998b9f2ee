#!/usr/bin/env bash
# Generates the Python client from proto/ into clients/python/src. The google.api modules come from the
# googleapis-common-protos package, because a second copy of them in one process is an error to protobuf.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=clients/python/src
rm -rf "$out"
mkdir -p "$out"
find proto/postmesh -name '*.proto' -print0 | sort -z | xargs -0 .venv/bin/python -m grpc_tools.protoc \
    --proto_path=proto --python_out="$out" --pyi_out="$out" --grpc_python_out="$out"
find "$out/postmesh" -type d -exec touch {}/__init__.py \;
