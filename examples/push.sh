#!/bin/sh
# Pushes with curl: everything that a push can do, one after the other.
#
#   examples/push.sh [URL]        with TURTED_PUSH_PASSWORD=... if the server needs a password
set -eu
url=${1:-http://127.0.0.1:7117/push/}

push() {
  # Without a password there is no header, because a wrong one would count as a guess.
  curl --silent --show-error --fail-with-body \
    ${TURTED_PUSH_PASSWORD:+--header "Authorization: Bearer $TURTED_PUSH_PASSWORD"} "$@" "$url"
  echo
}

# To a user: every connection of adam.
push --data '{"event":"MESSAGE:NEW","targets":{"users":["adam"]},"payload":{"from":"curl","text":"to adam"}}'

# To a channel.
push --data '{"event":"MESSAGE:NEW","targets":{"channels":["chat"]},"payload":{"from":"curl","text":"to chat"}}'

# To everyone.
push --data '{"event":"MESSAGE:NEW","targets":{"broadcast":true},"payload":{"from":"curl","text":"to all"}}'

# To users and channels at once: a connection that matches twice receives it once.
push --data '{"event":"MESSAGE:NEW","targets":{"users":["adam","eve"],"channels":["chat"]},"payload":{"from":"curl","text":"once"}}'

# The answer as JSON says how many connections were reached.
push --header 'Accept: application/json' \
  --data '{"event":"MESSAGE:NEW","targets":{"users":["adam"]},"payload":{"from":"curl","text":"counted"}}'

# Several at once: all of them are accepted, or none.
push --header 'Accept: application/json' --data '[
  {"event":"MESSAGE:NEW","targets":{"users":["adam"]},"payload":{"from":"curl","text":"first"}},
  {"event":"MESSAGE:NEW","targets":{"users":["adam"]},"payload":{"from":"curl","text":"second"}}
]'

# Sent twice, delivered once.
key="example-$(date +%s)-$$"
for _ in 1 2; do
  push --header 'Accept: application/json' --header "Idempotency-Key: $key" \
    --data '{"event":"MESSAGE:NEW","targets":{"users":["adam"]},"payload":{"from":"curl","text":"only once"}}'
done
