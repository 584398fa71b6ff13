#!/bin/sh
# test_image.sh BASE: builds the image (BUILT=1: takes that of the last run; POSTGRES=1: the one with libpq) and looks at it:
# its size, what is in it, and that its binary serves from its root alone, as uid 65532, without capabilities and on a file
# system that cannot be written to.  As root.
set -eu
base=$1 postgres=${POSTGRES:-0}
name=localhost/infomask-test:$postgres
[ "${BUILT:-0}" = 1 ] ||
    buildah bud --isolation chroot --layers --format docker --build-arg BASE="$base" --build-arg POSTGRES="$postgres" \
        -f docker/Dockerfile -t "$name" .
container=$(buildah from "$name")
root=$(buildah mount "$container")
served=
work=$(mktemp -d)
end() {
    [ -z "$served" ] || kill "$served" 2>/dev/null || true
    rm -rf "$work"
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
if [ "$postgres" = 1 ]; then find "$root/usr/lib" -name libpq.so.5 | grep -q . || { echo "libpq is not in the image" >&2; exit 1; }; fi
port=$((10000 + $$ % 20000)) # below those that the system gives out
# what `podman run --read-only --cap-drop ALL --user 65532` gives it: a file system that is read-only but for the state,
# no capability, not even to be had again, and no way to new privileges
cat >"$work/enter.py" <<'PYTHON'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chroot(sys.argv[1])
os.chdir("/")
for capability in range(64):
    libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.setgroups([])
os.setgid(65532)
os.setuid(65532)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
os.execve("/usr/bin/infomask", sys.argv[2:], {"PATH": "/usr/bin", "INFOMASK_STATE_DIR": "/var/lib/infomask",
                                              "OPENBLAS_NUM_THREADS": "1", "INFOMASK_THREADS": "2"})
PYTHON
unshare --mount sh -c "
    mount --bind '$root' '$root' && mount -o remount,ro,bind '$root' &&
    mount -t tmpfs -o uid=65532,gid=65532,mode=700 tmpfs '$root/var/lib/infomask' &&
    mount -t proc proc '$root/proc' && exec python3 '$work/enter.py' '$root' infomask serve --port $port" &
served=$!
python3 - "$port" "$served" <<'PYTHON'
import pathlib, sys, time, urllib.request
port, process = sys.argv[1], pathlib.Path("/proc") / sys.argv[2]
photo, deadline = pathlib.Path("tests/data/photos/coffee.png").read_bytes(), time.monotonic() + 60
while True:
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/classify?top_k=1", data=photo, timeout=60).read()
        break
    except OSError:
        assert time.monotonic() < deadline, "it does not answer"
        time.sleep(.002)
# from the kernel's own clock: when the process was made, and now
started = int((process / "stat").read_text().rpartition(")")[2].split()[19]) / 100
took = float(pathlib.Path("/proc/uptime").read_text().split()[0]) - started
status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
resident = int(status["VmRSS"].split()[0]) / 1024
print(f"first answer {took * 1000:.0f} ms after the process was made (python and unshare in it); VmRSS {resident:.1f} MB")
for name in ("Uid", "CapEff", "CapBnd", "NoNewPrivs"):
    print(name, status[name].split())
assert b"espresso" in answer and resident < 45, resident
assert status["Uid"].split() == ["65532"] * 4 and int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
PYTHON
kill -TERM "$served"
wait "$served"
served=
echo "the image serves with no shell, no capability and nothing to write to but its state"
