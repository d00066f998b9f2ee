#!/usr/bin/env bash
# The requests that the adapters sent in the tests satisfy the networks' own documents. The project carries no
# copy of those: they are looked for in POSTMESH_SPECS, or in a folder `shared/specs` beside the project.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

specs=${POSTMESH_SPECS:-../shared/specs}
if [ ! -d "$specs" ]; then
    echo "note: no documents of the networks in $specs, so the requests were not compared with them"
    exit 0
fi
.venv/bin/python scripts/wire target/wire "$specs"
