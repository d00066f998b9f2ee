#!/usr/bin/env bash
# docker-compose.yml is valid, whole and sealed. Needs no Docker; where `docker compose` is there, it is asked too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
.venv/bin/python scripts/check_compose.py docker-compose.yml
if docker compose version >/dev/null 2>&1; then
    POSTGRES_PASSWORD=x REDIS_PASSWORD=x S3_ACCESS_KEY=x S3_SECRET_KEY=x S3_RPC_SECRET=x docker compose config --quiet
fi
