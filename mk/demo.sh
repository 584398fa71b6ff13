#!/bin/sh
# demo.sh BINARY PHOTO FOLDER: one photo through classify, mask and filter of a service on a free port.
set -eu
binary=$1 photo=$2 folder=$3

mkdir -p "$folder"
"$binary" serve --port 0 --log-level warning > "$folder/address.txt" &
child=$!
trap 'kill -TERM "$child" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    grep -q listening "$folder/address.txt" && break
    kill -0 "$child" || exit 1
    sleep 0.05
done
url=$(sed 's/listening on //' "$folder/address.txt")
rm -f "$folder/address.txt"

step() {
    echo
    echo "\$ curl $*"
}

ask() { # route, file to write, or - for the terminal
    step "--data-binary @$photo '$url$1'$([ "$2" = - ] || echo " -o $2")"
    curl -sS --fail-with-body --data-binary "@$photo" -D "$folder/headers.txt" -o "$2" "$url$1"
    grep -i '^infomask-' "$folder/headers.txt" || true
}

ask "/v1/classify?top_k=3" -
ask "/v1/mask?format=png" "$folder/mask.png"
ask "/v1/mask?format=png&output=overlay" "$folder/overlay.png"
ask "/v1/filter" "$folder/filtered.png"
rm -f "$folder/headers.txt"
echo
echo "the pictures are in $folder/: mask.png, overlay.png, filtered.png"
