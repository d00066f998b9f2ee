#!/usr/bin/env bash
# Both generated clients hold together: the TypeScript one type-checks, every Python module imports.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

node_modules/.bin/tsc --noEmit -p clients/typescript
cd clients/python/src
find postmesh -name '*_pb2*.py' | sed 's|/|.|g; s|\.py$||' | sort |
    ../../../.venv/bin/python -c 'import importlib, sys; [importlib.import_module(line.strip()) for line in sys.stdin]'
