#!/usr/bin/env bash
# Adds a job to a licensed API for each line of standard input, with curl (7.84 or newer) and jq.
# TENANT_URL, API_URL, CLIENT_ID and CLIENT_SECRET come from the environment.
set -euo pipefail

PATIENCE_S=300 # how long to wait for a seat
TOKEN=         # what the token endpoint said, as JSON
GOOD_UNTIL_S=0

# Everybody on the machine may see the arguments of a command: what is secret goes to curl by standard input,
# as lines of its configuration. Sets BODY, STATUS and RETRY_AFTER.
ask() {
    local configuration=$1 answer
    shift
    answer=$(curl --silent --show-error --max-time 10 --config - \
        --write-out '\n%{http_code} %header{retry-after}' "$@" <<<"$configuration")
    BODY=${answer%$'\n'*}
    read -r STATUS RETRY_AFTER <<<"${answer##*$'\n'}"
}

# A line of that configuration: one field of a form.
field() {
    local value=${2//\\/\\\\}
    printf 'data-urlencode = "%s=%s"\n' "$1" "${value//\"/\\\"}"
}

credentials() {
    field client_id "$CLIENT_ID"
    field client_secret "$CLIENT_SECRET"
}

bearer() { printf 'header = "Authorization: Bearer %s"\n' "$(value .access_token)"; }

value() { jq -r "$1 // empty" <<<"$TOKEN"; }

# Sets TOKEN; fails if the server refuses for good. The life of a token is counted from the question.
get_token() {
    local waited_s=0 asked_s form
    form=$(credentials; printf '%s\n' "$@")
    while asked_s=$SECONDS; ask "$form" "$TENANT_URL/token"; [[ $STATUS != 200 ]]; do
        # No seat (400, 429 or 503), or a busy server (503).
        if [[ -z $RETRY_AFTER ]] || ((waited_s + RETRY_AFTER > PATIENCE_S)); then return 1; fi
        sleep "$RETRY_AFTER"
        waited_s=$((waited_s + RETRY_AFTER))
    done
    TOKEN=$BODY
    GOOD_UNTIL_S=$((asked_s + $(value .expires_in) * 9 / 10))
}

renew() {
    local refresh_token
    refresh_token=$(value .refresh_token)
    if [[ -n $refresh_token ]]; then
        get_token "$(field grant_type refresh_token)" "$(field refresh_token "$refresh_token")" && return
        [[ $(jq -r .error <<<"$BODY") == invalid_grant ]] || refused
        TOKEN= # the session has ended: begin another
    fi
    get_token "$(field grant_type client_credentials)" "$(field scope all)" || refused
}

refused() {
    local text='[.error, .reason, .error_description] | map(values) | join(" ")'
    { jq --exit-status --raw-output "$text" <<<"$BODY" 2>/dev/null || echo "HTTP $STATUS"; } >&2
    exit 1
}

# Gives the seat back, which is else taken for 20 minutes more.
log_off() {
    [[ -n $TOKEN ]] || return 0
    if [[ -n $(value .refresh_token) ]]; then # works also when the access token has expired
        ask "$(credentials; field refresh_token "$(value .refresh_token)")" "$TENANT_URL/logoff"
    else
        ask "$(bearer)" --request POST "$TENANT_URL/logoff"
    fi
    [[ $STATUS == 200 ]] || echo "The seat may still be taken." >&2
}
trap log_off EXIT
trap 'exit 1' INT TERM

while IFS= read -r line; do
    [[ -n $TOKEN ]] && ((SECONDS < GOOD_UNTIL_S)) || renew
    job=$(jq --null-input --compact-output --arg title "$line" '{$title}')
    ask "$(bearer)" --header 'Content-Type: application/json' --data-raw "$job" "$API_URL"
    if [[ $STATUS == 401 ]]; then
        renew
        ask "$(bearer)" --header 'Content-Type: application/json' --data-raw "$job" "$API_URL"
    fi
    echo "$STATUS $BODY"
done
