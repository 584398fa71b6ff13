#!/bin/sh
# test_tarball.sh TARBALL NEWEST SUITE...: no file in it needs a glibc newer than NEWEST; unpacked in a fresh system of each
# SUITE by debootstrap, with nothing installed, it classifies a photo on the command line and over HTTP.  As root.
set -eu
tarball=$1 newest=$2
shift 2
work=$(mktemp -d)
served=
end() {
    [ -z "$served" ] || kill "$served" 2>/dev/null || true
    for proc in "$work"/*/proc; do umount "$proc" 2>/dev/null || true; done
    rm -rf "$work"
}
trap end EXIT
mkdir "$work/unpacked"
tar -xzf "$tarball" -C "$work/unpacked"
name=$(ls "$work/unpacked")
find "$work/unpacked/$name/bin" "$work/unpacked/$name/lib" -type f | while read -r file; do
    needed=$(objdump -T "$file" | grep -o 'GLIBC_[0-9.]*' | cut -d_ -f2 | sort -uV | tail -n 1)
    [ "$(printf '%s\n' "$newest" "${needed:-0}" | sort -V | tail -n 1)" = "$newest" ] ||
        { echo "$(basename "$file") needs glibc $needed" >&2; exit 1; }
done
for suite in "$@"; do
    root=$work/$suite
    debootstrap --variant=minbase "$suite" "$root" >"$work/log" 2>&1 || { tail "$work/log" >&2; exit 1; }
    mount -t proc proc "$root/proc"
    mkdir -p "$root/opt"
    cp -a "$work/unpacked/$name" "$root/opt/"
    cp tests/data/photos/coffee.png "$root/coffee.png"
    chroot "$root" env -i HOME=/root "/opt/$name/bin/infomask" classify --text /coffee.png | grep espresso
    port=$((10000 + $$ % 20000)) # below those that the system gives out
    chroot "$root" env -i HOME=/root "/opt/$name/bin/infomask" serve --port "$port" --state-dir /var/lib/infomask >/dev/null 2>&1 &
    served=$!
    for _ in $(seq 600); do chroot "$root" "/opt/$name/bin/infomask" healthcheck --port "$port" >/dev/null 2>&1 && break; sleep 0.1; done
    curl -sf --data-binary @tests/data/photos/coffee.png "http://127.0.0.1:$port/v1/classify?top_k=1" | grep -q espresso
    kill -TERM "$served"
    wait "$served"
    served=
    echo "$name serves on $suite, glibc $(chroot "$root" ldd --version | sed -n '1s/.* //p')"
done
