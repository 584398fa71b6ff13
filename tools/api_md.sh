#!/bin/sh
# tools/api_md.sh BINARY FILE: writes FILE from the description that the service gives of itself.
set -eu
log=$(mktemp)
state=$(mktemp -d)
STATE_DIRECTORY=$state "$1" serve --port 0 >"$log" 2>/dev/null &
pid=$!
trap 'kill $pid 2>/dev/null; rm -rf "$log" "$state"' EXIT
until grep -q listening "$log"; do
	kill -0 $pid
	sleep 0.1
done
curl -sf "$(sed -n 's/^listening on //p' "$log")/openapi.json" | python3 "$(dirname "$0")/api_md.py" >"$2.new"
mv "$2.new" "$2"
