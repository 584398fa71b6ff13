#!/bin/sh
# root.sh INSTALLED ROOT [LIBRARY]...: makes the root of the image: what `make install` put below INSTALLED, and the
# libraries that the linker itself lists for the binary (and for each LIBRARY, which is opened only at run time), each
# with the licence of the package that it is from.
set -eu
installed=$1 root=$2
shift 2

mkdir -p "$root/etc" "$root/tmp" "$root/proc" "$root/dev" "$root/sys" "$root/var/lib/infomask"
cp -a "$installed/." "$root/"
rm -rf "$root/usr/lib/systemd" "$root/usr/lib/debug" "$root/usr/share/man" "$root/usr/share/zsh" "$root/usr/share/fish" \
    "$root/usr/share/bash-completion" "$root/usr/lib/sysusers.d" "$root/usr/lib/tmpfiles.d"
find "$root/usr/share/doc/infomask" -name '*.jpg' -delete # pictures of the documents
printf 'root:x:0:0:root:/:/none\ninfomask:x:65532:65532:infomask:/var/lib/infomask:/none\n' >"$root/etc/passwd"
printf 'root:x:0:\ninfomask:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
chown 65532:65532 "$root/var/lib/infomask"
chmod 700 "$root/var/lib/infomask"
chmod 1777 "$root/tmp"

# The variant of OpenBLAS without threads: the linker would take the alternative in force.
serial=$(dirname "$(find /usr/lib -path '*openblas-serial*' -name libopenblas.so.0 | head -n 1)")

libraries() { # of a binary: the files that the linker maps for it
    LD_LIBRARY_PATH=$serial ldd "$1" | awk '/=> \//{print $3} $1 ~ /^\//{print $1}'
}

licence() { # of the package that a library is from
    package=$(dpkg-query -S "$(realpath "$1")" 2>/dev/null | head -n 1 | cut -d: -f1)
    if [ -n "$package" ] && [ -e "/usr/share/doc/$package/copyright" ]; then
        mkdir -p "$root/usr/share/doc/$package"
        cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
        echo "$package" >>"$root/packages"
    fi
}

: >"$root/packages"
for binary in "$installed/usr/bin/infomask" "$@"; do
    for library in $(libraries "$binary") $([ "$binary" = "$installed/usr/bin/infomask" ] || echo "$binary"); do
        case $library in
        */openblas-serial/*) target=$(dirname "$(dirname "$library")")/$(basename "$library") ;;
        *) target=$library ;;
        esac
        case $target in /lib/* | /lib64/*) target=/usr$target ;; esac
        [ -e "$root$target" ] && continue
        mkdir -p "$root$(dirname "$target")"
        cp -L "$library" "$root$target"
        licence "$library"
    done
done
# /lib and /lib64 are links into /usr, as on the system that it was built on
for folder in lib lib64; do
    [ -d "$root/usr/$folder" ] && ln -sfn "usr/$folder" "$root/$folder"
done
sort -u -o "$root/packages" "$root/packages"
mkdir -p "$root/usr/share/doc/infomask"
mv "$root/packages" "$root/usr/share/doc/infomask/packages"
if [ -f tools/sbom.py ]; then
    python3 tools/sbom.py --packages "$root/usr/share/doc/infomask/packages" >"$root/usr/share/doc/infomask/infomask.spdx.json"
fi
echo "$(du -sm "$root" | cut -f1) MB in $root"
