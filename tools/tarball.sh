#!/bin/sh
# tarball.sh VERSION SUITE: an archive that runs where it is unpacked, on every distribution of glibc as old as SUITE's or newer
# (bullseye: 2.31): the binary built there in a debootstrap, its libraries but glibc's own beside it in lib/, models,
# manual, licences, bill of materials.  In build/dist/.  The system that it is built in stays in build/tarball/SUITE.  As root.
set -eu
version=$1 suite=$2
root=$PWD/build/tarball/$suite
name=infomask-$version-linux-$(dpkg --print-architecture)
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}"
trap 'umount "$root/proc" 2>/dev/null || true' EXIT
inside() { chroot "$root" env -i DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" "$@"; }

if [ ! -f "$root/.done" ]; then
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase "$suite" "$root" >build/tarball/log 2>&1 || { tail build/tarball/log >&2; exit 1; }
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    mount -t proc proc "$root/proc"
    inside apt-get update -qq
    # the compute threads are ours: the OpenBLAS that goes along is the one without threads of its own
    # shellcheck disable=SC2046
    inside apt-get install -y -qq --no-install-recommends $(make -s --no-print-directory debian-packages) libopenblas0-serial \
        >>build/tarball/log 2>&1 || { tail build/tarball/log >&2; exit 1; }
    touch "$root/.done"
fi
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"

rm -rf "$root/src" "$root/out"
mkdir -p "$root/src" "$root/out/$name"
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$root/src"
model=config/models/efficientnet-lite0/model.onnx
if [ -f "$model" ]; then cp -p "$model" "$root/src/$model"; fi
# the linker takes the place of the libraries from LD_RUN_PATH, in the older form that holds for their own libraries, too
inside sh -c "cd /src && LD_RUN_PATH='\$ORIGIN/../lib' make -s -j$(nproc) LDFLAGS=-Wl,--disable-new-dtags all" \
    >build/tarball/build.log 2>&1 || { tail -n 30 build/tarball/build.log >&2; exit 1; }
inside sh -c "cd /src && make -s install PREFIX=/ SYSCONFDIR=/etc DESTDIR='/out/$name' UNITS=0 LDFLAGS=-Wl,--disable-new-dtags" >>build/tarball/build.log 2>&1 ||
    { tail -n 30 build/tarball/build.log >&2; exit 1; }
rm -rf "$root/out/$name/lib/debug" "$root/out/$name/share/infomask/installed"
inside sh -c "cd /src && sh docker/libraries.sh '/out/$name' /out/$name/bin/infomask"
inside sh -c "cd /src && python3 tools/sbom.py --packages '/out/$name/share/doc/infomask/packages'" \
    >"$root/out/$name/share/doc/infomask/infomask.spdx.json"

mkdir -p build/dist
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$root/out" -cf - "$name" |
    gzip -9n >"build/dist/$name.tar.gz"
newest=$(find "$root/out/$name/bin" "$root/out/$name/lib" -type f -exec objdump -T {} + 2>/dev/null |
    grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
echo "build/dist/$name.tar.gz: $(du -m "build/dist/$name.tar.gz" | cut -f1) MB, needs $newest and nothing else"
