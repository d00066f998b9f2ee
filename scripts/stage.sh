#!/usr/bin/env bash
# stage.sh [-v] NAME CMD…: runs one step of a build and says how long it took.
# Its output is shown only when it fails, but for lines that begin with "note:"; with -v all is shown as it comes.
set -euo pipefail

verbose=
if [ "$1" = -v ]; then
    verbose=yes
    shift
fi
name=$1
shift
start=$(date +%s%N)
took() { local ms=$((($(date +%s%N) - start) / 1000000)); printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100)); }

status=0
if [ -n "$verbose" ]; then
    printf '==> %s\n' "$name"
    "$@" || status=$?
else
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    "$@" >"$log" 2>&1 || status=$?
    if [ "$status" -eq 0 ]; then
        grep '^note:' "$log" || true
    else
        printf '==> %s\n' "$name"
        cat "$log"
    fi
fi
if [ "$status" -eq 0 ]; then
    printf 'ok      %-22s %s\n' "$name" "$(took)"
else
    printf 'FAILED  %-22s %s (exit %d): %s\n' "$name" "$(took)" "$status" "$*"
fi
exit "$status"
