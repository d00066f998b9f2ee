#!/usr/bin/env bash
# Writes .env, readable by its owner alone, with fresh random secrets for docker-compose.yml. Never overwrites one:
# the database keeps the password it was made with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -e .env ]; then
    echo "error: .env is there already; remove it together with the volumes (docker compose down --volumes) to start anew" >&2
    exit 1
fi
random_hex() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
cat >.env <<END
# Secrets of this machine's mesh. Never commit this file.
POSTGRES_PASSWORD=$(random_hex 24)
REDIS_PASSWORD=$(random_hex 24)
S3_ACCESS_KEY=GK$(random_hex 12)
S3_SECRET_KEY=$(random_hex 32)
S3_RPC_SECRET=$(random_hex 32)
END
echo "wrote .env"
