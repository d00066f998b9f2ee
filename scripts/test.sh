#!/usr/bin/env bash
# test.sh [PROFILE]: every Rust test of the workspace. The servers come from with-servers.sh around it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# nextest does not run documentation examples; building them is skipped while there are none to run.
if grep -rqE --include='*.rs' '^\s*//[/!] ```(rust|no_run|should_panic|compile_fail)?$' ./*/src; then
    cargo test --quiet --workspace --doc
fi
exec cargo nextest run --workspace --cargo-quiet --profile "${1:-default}"
