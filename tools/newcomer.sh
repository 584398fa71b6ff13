#!/bin/sh
# newcomer.sh SUITE: what the README promises to somebody new, on a bare system made by debootstrap with make and sudo alone: a
# user who is not root, a folder with a space in its name, `make run` until it answers, the same port again, and once more
# without a network.  FULL=1 runs `make test` too.  As root.
set -eu
suite=$1
work=$(mktemp -d)
root=$work/system
running=
end() {
    [ -z "$running" ] || kill -TERM "-$running" 2>/dev/null || true
    umount "$root/proc" "$root/dev/shm" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
debootstrap --variant=minbase --include=make,sudo,ca-certificates "$suite" "$root" >"$work/log" 2>&1 ||
    { tail "$work/log" >&2; exit 1; }
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm" && mount -t tmpfs tmpfs "$root/dev/shm"
cp /etc/resolv.conf "$root/etc/resolv.conf"
for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do # what this machine needs to reach its registries
    [ ! -f "$file" ] || cp -L "$file" "$root$file"
done
chroot "$root" useradd -m -s /bin/sh anna
echo 'anna ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/anna"
place="/home/anna/my projects/infomask"
mkdir -p "$root$place"
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$root$place"
chroot "$root" chown -R anna: /home/anna
as_anna() { chroot --userspec=anna: "$root" env -i HOME=/home/anna USER=anna PATH=/usr/bin:/bin TERM=dumb sh -c "cd '$place' && $1"; }
step() { echo "== $*"; }
port=$((10000 + $$ % 20000)) # below those that the system gives out

wait_for() { # FILE: until the service says that it listens
    for _ in $(seq 18000); do
        grep -q "listening on" "$1" && return 0
        kill -0 "$running" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$1" >&2
    return 1
}

step "make run"
started=$(date +%s)
setsid chroot --userspec=anna: "$root" env -i HOME=/home/anna USER=anna PATH=/usr/bin:/bin TERM=dumb \
    sh -c "cd '$place' && exec make run PORT=$port" >"$work/run" 2>&1 &
running=$!
wait_for "$work/run"
echo "it listens after $(($(date +%s) - started)) s; what was said first:"
grep -E '^(installing|building|compiled|fetch|built)' "$work/run" | head -n 5
curl -sf --data-binary @tests/data/photos/coffee.png "http://127.0.0.1:$port/v1/classify?top_k=1" | grep -q espresso

step "the same port again"
if as_anna "make run PORT=$port" >"$work/again" 2>&1; then echo "a busy port was no failure" >&2; exit 1; fi
grep "in use by another process" "$work/again"
grep "make run PORT=9090" "$work/again"
kill -TERM "-$running" # its group: make, the shell, the service
wait "$running" || true
running=

step "without a network"
as_anna "rm -rf config/models/efficientnet-lite0/model.onnx build/data build/download"
python3 - "$root/offline.py" <<'PYTHON'
import sys
open(sys.argv[1], "w").write('''import fcntl, os, socket, struct, subprocess
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # the loopback device of the new namespace, up
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 1))
os.setgid(1000)
os.setuid(1000)
os.chdir(os.environ["PLACE"])
run = subprocess.Popen(["make", "run", "PORT=8080"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
for line in run.stdout:
    print(line, end="")
    if line.startswith("listening on"):
        answer = subprocess.run(["curl", "-sf", "--data-binary", "@tests/data/digits/7.png", "127.0.0.1:8080/v1/classify?top_k=1"],
                                capture_output=True, text=True).stdout
        print("answer:", '"label":"7"' in answer.replace(" ", ""))
        os.killpg(run.pid, 15)
''')
PYTHON
unshare --net chroot "$root" env -i HOME=/home/anna PLACE="$place" PATH=/usr/bin:/bin python3 /offline.py >"$work/offline" 2>&1 ||
    { tail -n 20 "$work/offline" >&2; exit 1; }
grep -E "cannot be fetched|^answer: True" "$work/offline" | tee "$work/found"
[ "$(wc -l <"$work/found")" -ge 2 ] || { tail -n 20 "$work/offline" >&2; exit 1; }

if [ "${FULL:-0}" = 1 ]; then
    step "make test"
    as_anna "make test"
fi
echo "a new user on $suite is served"
