#!/usr/bin/env bash
# Generates the TypeScript and Python clients from proto/. What it writes is never committed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PATH="$PWD/node_modules/.bin:$PATH" buf generate
scripts/generate-python.sh
