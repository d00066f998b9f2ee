#!/usr/bin/env bash
# test.sh [PROFILE]: every Rust test of the workspace. The servers come from with-servers.sh around it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# nextest does not run documentation examples; building them is skipped while there are none to run.
has_examples() {
    find ./*/src -name '*.rs' -exec awk '
        FNR == 1 { inside = 0 }
        /^[[:space:]]*\/\/[\/!] *```/ {
            inside = !inside
            if (inside && $0 ~ /```(rust|no_run|should_panic|compile_fail)?$/) found = 1
        }
        END { exit !found }' {} +
}
if has_examples; then
    cargo test --quiet --workspace --doc
fi
# The adapters' requests, as their stand-ins saw them; check-wire.sh compares them with the networks' documents.
export POSTMESH_WIRE_DIR="$PWD/target/wire"
rm -rf "$POSTMESH_WIRE_DIR"
mkdir -p "$POSTMESH_WIRE_DIR"
exec cargo nextest run --workspace --cargo-quiet --profile "${1:-default}"
