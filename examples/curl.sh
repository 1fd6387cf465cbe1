#!/bin/sh
# A conversation with nothing but curl: `sh examples/curl.sh http://127.0.0.1:8000`.
set -eu
api="${1:-http://127.0.0.1:8000}/api/v1"

# Say something: the body is the text. The answer is the event, when it is on the disk.
curl -sS -d 'Hello from curl' "$api/rooms/lobby/messages?user=Curl"
echo

# The same as JSON, with a client_id: sent twice, stored once.
for _ in first again; do
    curl -sS --json '{"user": "Curl", "message": "**once**", "client_id": "curl-'$$'"}' "$api/rooms/lobby/messages"
    echo
done

# Where are we? A snapshot has the latest messages and the cursor at which they were read.
cursor=$(curl -sS "$api/rooms/lobby" | sed 's/.*"cursor":"\([^"]*\)".*/\1/')

# Wait for what comes after it, for at most 25 seconds, while somebody else says something.
(sleep 1; curl -sS -o /dev/null -d 'And here it is' "$api/rooms/lobby/messages?user=Other") &
curl -sS "$api/rooms/lobby/events?after=$cursor&wait=25"
echo
wait
