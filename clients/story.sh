#!/usr/bin/env bash
# story.sh typescript|python|curl: one post from sign-up to the network, through one of the clients.
# story.sh openapi: the OpenAPI document that the gateway answers is valid, so that any other client can be generated.
#
# Needs a running mesh with its sandbox: POSTMESH_URL (the gateway) and POSTMESH_SANDBOX_URL, by default those of
# `postmesh up --sandbox`. The generated clients come from `make generate`. Ends with 0 when the post is published,
# the network shows it exactly once, and a request that is wrong named its fields.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export POSTMESH_URL=${POSTMESH_URL:-http://127.0.0.1:8080}
export POSTMESH_SANDBOX_URL=${POSTMESH_SANDBOX_URL:-http://127.0.0.1:8090}

generated() {
    [ -d "$1" ] || {
        printf 'error: %s is not there; type: make generate\n' "$1" >&2
        exit 2
    }
}

case ${1:-} in
    typescript)
        generated clients/typescript/src/gen
        node_modules/.bin/tsc -p clients/typescript/tsconfig.test.json
        exec node clients/typescript/build/test/story.js
        ;;
    python)
        generated clients/python/src/postmesh
        PYTHONPATH=clients/python/src exec .venv/bin/python clients/python/story.py
        ;;
    curl) exec clients/curl/story.sh ;;
    openapi)
        document=$(mktemp)
        trap 'rm -f "$document"' EXIT
        curl --silent --show-error --fail --max-time 30 --output "$document" "$POSTMESH_URL/openapi.json"
        report=$(node_modules/.bin/validate-api "$document") || {
            printf '%s\n' "$report" >&2
            exit 1
        }
        printf 'openapi: valid\n'
        ;;
    *)
        printf 'usage: clients/story.sh typescript|python|curl|openapi\n' >&2
        exit 2
        ;;
esac
