#!/usr/bin/env bash
# No file that is, or could be, committed holds something shaped like a live credential.
# A line that must show such a shape says `not-a-secret` on it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

shapes=(
    '-----BEGIN ([A-Z]+ )?PRIVATE KEY-----'                     # a PEM private key
    'pmk_live_[A-Za-z0-9]+_[A-Za-z0-9]{16,}'                    # our own API keys
    '(AKIA|ASIA)[0-9A-Z]{16}'                                   # Amazon
    'gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,}'    # GitHub
    'AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{40,}'            # Google and YouTube
    'EAA[A-Za-z0-9]{80,}|IGQ[A-Za-z0-9_-]{80,}'                 # Facebook and Instagram
    '[0-9]{8,10}:AA[A-Za-z0-9_-]{33}'                           # Telegram bots
    'discord(app)?\.com/api/webhooks/[0-9]{17,}/[A-Za-z0-9_-]{60,}' # Discord webhooks
    'sk_live_[A-Za-z0-9]{20,}|xox[abps]-[A-Za-z0-9-]{20,}'      # Stripe, Slack
)
pattern=$(IFS='|' && echo "${shapes[*]}")
status=0
found=$(git grep --untracked --line-number -I --extended-regexp -e "$pattern" -- . ':!scripts/check-secrets.sh') || status=$?
[ "$status" -le 1 ] || exit "$status" # 1 is "nothing found", more is git's own trouble
found=$(grep -v 'not-a-secret' <<<"$found" || true)
[ -z "$found" ] || {
    # Where, and no more: this output ends up in logs.
    echo "these lines hold something shaped like a credential:"
    cut -d: -f1,2 <<<"$found"
    exit 1
}
