#!/usr/bin/env bash
# Every check that needs no server. All of them run; the exit code is 1 when any failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
step() { scripts/stage.sh "$@" || failed+=("$1"); }

step format cargo fmt --all --check
step scripts shellcheck --external-sources scripts/*.sh k8s/*.sh .ci/run
step versions scripts/check-versions.sh
step secrets scripts/check-secrets.sh
step 'contracts: lint' buf lint
step 'contracts: breaking' scripts/check-breaking.sh
step 'image recipe' hadolint --failure-threshold style Dockerfile
step compose scripts/check-compose.sh
step kubernetes scripts/check-k8s.sh
step dependencies cargo deny --all-features --log-level error check --hide-inclusion-graph bans licenses sources
step clippy cargo clippy --quiet --workspace --all-targets -- -D warnings

if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}"
    exit 1
fi
