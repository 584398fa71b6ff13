#!/bin/sh
# libraries.sh FOLDER BINARY: copies into FOLDER/lib the libraries that the linker lists for the binary, but those of glibc itself,
# which belong to the system; the licence of each one's package into FOLDER/share/doc, and the packages' names into
# FOLDER/share/doc/infomask/packages.
set -eu
folder=$1 binary=$2
documents=$folder/share/doc
mkdir -p "$folder/lib" "$documents/infomask"
serial=$(dirname "$(find /usr/lib -path '*openblas-serial*' -name libopenblas.so.0 | head -n 1)")

package_of() { # a library: the listing knows it by the path before or after /lib became a link
    path=$(realpath "$1")
    { dpkg-query -S "$path" || dpkg-query -S "${path#/usr}" || dpkg-query -S "/usr$path"; } 2>/dev/null | head -n 1 | cut -d: -f1
}

LD_LIBRARY_PATH=$serial ldd "$binary" | awk '/=> \//{print $3}' | sort | while read -r library; do
    package=$(package_of "$library")
    [ -n "$package" ] || { echo "no package is known for $library" >&2; exit 1; }
    [ "$package" != libc6 ] || continue
    cp -L "$library" "$folder/lib/"
    mkdir -p "$documents/$package"
    cp -L "/usr/share/doc/$package/copyright" "$documents/$package/"
    echo "$package"
done | sort -u >"$documents/infomask/packages"
chmod 644 "$folder"/lib/*
[ -s "$documents/infomask/packages" ]
