#!/usr/bin/env bash
# One post from sign-up to the network with nothing but curl; python3 reads the JSON. Started by clients/story.sh.
set -euo pipefail

base=${POSTMESH_URL:?} sandbox=${POSTMESH_SANDBOX_URL:?}
picture=$(dirname "${BASH_SOURCE[0]}")/../story.png
token=

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# call VERB PATH [JSON]: answers the body; fails with it unless the status is 2xx.
call() {
    local verb=$1 path=$2 answer status
    answer=$(curl --silent --show-error --max-time 30 --write-out '\n%{http_code}' --request "$verb" "$base$path" \
        ${token:+--header "authorization: Bearer $token"} \
        --header 'content-type: application/json' ${3:+--data "$3"})
    status=${answer##*$'\n'}
    answer=${answer%$'\n'*}
    if [ "${status:0:1}" != 2 ]; then
        printf '%s\n' "$answer"
        return 1
    fi
    printf '%s\n' "$answer"
}

# get EXPRESSION: evaluates Python with the JSON on standard input as `j`.
get() { python3 -c 'import json, sys; j = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

uuid() { python3 -c 'import uuid; print(uuid.uuid4())'; }

name=story-$(uuid)

# Sign up.
session=$(call POST /v1/auth:register "{\"email\":\"$name@example.com\",\"password\":\"$(uuid)\",\"requestId\":\"$(uuid)\"}") ||
    die "register: $session"
token=$(get 'j["session"]["accessToken"]' <<<"$session")

# A request that is wrong names its fields.
if refusal=$(call POST /v1/posts '{}'); then die "an empty post was accepted"; fi
get '", ".join(v["field"] for d in j["error"]["details"] if d["@type"].endswith("BadRequest") for v in d["fieldViolations"])' \
    <<<"$refusal" | grep -q targets || die "the refusal names no fields: $refusal"
[ "$(get 'j["error"]["status"]' <<<"$refusal")" = INVALID_ARGUMENT ] || die "unexpected refusal: $refusal"

# Connect an account.
connected=$(call POST /v1/accounts:connectWithPassword "{\"network\":\"bluesky\",\"server\":\"$sandbox/bluesky\",
    \"identifier\":\"demo.test\",\"password\":\"demo-demo-demo-demo\",\"requestId\":\"$(uuid)\"}") || die "connect: $connected"
account=$(get 'j["account"]["id"]' <<<"$connected")

# Send a picture.
upload=$(call POST /v1/uploads "{\"filename\":\"story.png\",\"sizeBytes\":\"$(wc -c <"$picture" | tr -d ' ')\",
    \"altText\":\"A gradient\",\"requestId\":\"$(uuid)\"}") || die "upload: $upload"
url=$(get '__import__("urllib.parse").parse.urljoin("'"$base"'", j["uploadUrl"])' <<<"$upload")
headers=()
while IFS= read -r header; do headers+=(--header "$header"); done \
    < <(get '"\n".join(f"{k}: {v}" for k, v in j.get("headers", {}).items())' <<<"$upload" | sed '/^$/d')
curl --silent --show-error --fail-with-body --max-time 30 --upload-file "$picture" "${headers[@]}" "$url" >/dev/null ||
    die "the bytes were not taken"
completed=$(call POST "/v1/uploads/$(get 'j["uploadId"]' <<<"$upload"):complete" '{}') || die "complete: $completed"
media=$(get 'j["media"]["id"]' <<<"$completed")

# Plan a post in two seconds; the same request again answers the same post.
due=$(python3 -c 'import datetime as d; print((d.datetime.now(d.timezone.utc) + d.timedelta(seconds=2)).isoformat())')
request="{\"text\":\"Hello from curl, $name\",\"media\":[{\"mediaId\":\"$media\"}],
    \"targets\":[{\"accountId\":\"$account\"}],\"scheduleTime\":\"$due\",\"requestId\":\"$(uuid)\"}"
created=$(call POST /v1/posts "$request") || die "create: $created"
post=$(get 'j["post"]["id"]' <<<"$created")
again=$(call POST /v1/posts "$request") || die "create again: $again"
[ "$(get 'j["post"]["id"]' <<<"$again")" = "$post" ] || die "the same request made another post"

# Watch it to its end: one JSON object per line.
watched=$(curl --silent --show-error --max-time 60 --header "authorization: Bearer $token" \
    "$base/v1/posts:watch?postIds=$post&untilFinal=true")
last=$(tail -n 1 <<<"$watched")
[ "$(get 'j.get("post", {}).get("state")' <<<"$last")" = POST_STATE_PUBLISHED ] || die "it ended as: $last"

# The network shows it exactly once.
shown=$(curl --silent --show-error --fail --max-time 30 "$sandbox/_sandbox/ledger" | grep -c "$name" || true)
[ "$shown" = 1 ] || die "the network shows the post $shown times"
printf 'curl: published once at %s\n' "$(get 'j["post"]["targets"][0]["url"]' <<<"$last")"
