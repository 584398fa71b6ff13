#!/bin/sh
# composites.sh INFOMASK PYTHON FOLDER: photos with known masks below FOLDER, made from two Debian packages (stamps with
# transparency, GPL; photos as backgrounds) that are fetched there and stay there.
set -eu
infomask=$1 python=$2 folder=$3

if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "the stamps come as a Debian package, and there is no apt-get here" >&2
    exit 1
fi
mkdir -p "$folder/packages"
for package in tuxpaint-stamps-default mate-backgrounds; do
    if ! [ -d "$folder/packages/$package" ]; then
        (cd "$folder/packages" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg-deb -x "$package"_*.deb "$package.new")
        mv "$folder/packages/$package.new" "$folder/packages/$package"
        rm -f "$folder/packages/$package"_*.deb
    fi
done
"$python" tests/conformance/make_composites.py "$infomask" "$folder/packages/tuxpaint-stamps-default" \
    "$folder/packages/mate-backgrounds" "$folder"
touch "$folder/.done"
