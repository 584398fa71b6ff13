#!/bin/sh
# test_image.sh BASE: builds the image and looks at it: its size, what is in it, and that its binary serves from its root
# alone, as uid 65532, without capabilities and on a file system that cannot be written to.  As root.
set -eu
base=$1 name=localhost/infomask-test
buildah bud --isolation chroot --format docker --build-arg BASE="$base" -f docker/Dockerfile -t "$name" .
container=$(buildah from "$name")
root=$(buildah mount "$container")
served=
end() {
    [ -z "$served" ] || kill "$served" 2>/dev/null || true
    buildah umount "$container" >/dev/null
    buildah rm "$container" >/dev/null
}
trap end EXIT
size=$(du -sm "$root" | cut -f1)
echo "image: $size MB"
[ "$size" -le 95 ] || { echo "over 95 MB" >&2; exit 1; }
for tool in bin/sh usr/bin/sh usr/bin/dpkg usr/bin/apt usr/bin/env; do
    [ ! -e "$root/$tool" ] || { echo "$tool is in the image" >&2; exit 1; }
done
test -f "$root/usr/share/doc/infomask/infomask.spdx.json"
port=$((20000 + $$ % 20000))
# the file system read-only but for the state, as `podman run --read-only` gives it
unshare --mount sh -c "
    mount --bind '$root' '$root' && mount -o remount,ro,bind '$root' &&
    mount -t tmpfs -o uid=65532,gid=65532,mode=700 tmpfs '$root/var/lib/infomask' &&
    mkdir -p '$root/proc' 2>/dev/null; mount -t proc proc '$root/proc' 2>/dev/null
    exec setpriv --bounding-set=-all --no-new-privs chroot --userspec=65532:65532 '$root' /usr/bin/infomask serve \
        --port $port --state-dir /var/lib/infomask" &
served=$!
for _ in $(seq 300); do
    curl -sf "http://127.0.0.1:$port/readyz" >/dev/null && break
    sleep 0.1
done
curl -sf --data-binary @tests/data/photos/coffee.png "http://127.0.0.1:$port/v1/classify?top_k=1" | grep -q espresso
grep -E '^(Uid|CapEff|NoNewPrivs|VmRSS)' "/proc/$served/status"
kill -TERM "$served"
wait "$served"
served=
echo "the image serves with no shell, no capability and nothing to write to but its state"
