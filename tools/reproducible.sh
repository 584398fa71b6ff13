#!/bin/sh
# reproducible.sh: builds what git knows twice, in folders of names of different length, and compares the binaries that would
# be installed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for folder in "$work/a" "$work/another-and-longer"; do
    mkdir -p "$folder"
    git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$folder"
    (cd "$folder" && make -s -j"$(nproc)" build/infomask >/dev/null && objcopy --strip-all build/infomask infomask)
done
if ! cmp "$work/a/infomask" "$work/another-and-longer/infomask"; then
    echo "two builds of the same sources differ" >&2
    exit 1
fi
sha256sum "$work/a/infomask" | cut -d' ' -f1
echo "two builds in different folders give the same bytes"
