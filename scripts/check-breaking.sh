#!/usr/bin/env bash
# The contracts stay compatible with what was promised: the newest release tag, or, before the first release, the last
# commit. BUF_BASE=<git revision> compares with another one, BUF_BASE=none accepts a break made on purpose.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=${BUF_BASE:-$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || echo HEAD)}
if [ "$base" = none ] || ! git rev-parse --verify --quiet "$base:proto" >/dev/null; then
    exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
git archive "$base" proto | tar -x -C "$dir"
cp buf.yaml "$dir/"
(cd "$dir" && buf build -o base.binpb)
echo "compared with $base"
buf breaking --against "$dir/base.binpb"
