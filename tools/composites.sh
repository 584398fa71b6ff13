#!/bin/sh
# composites.sh INFOMASK PYTHON FOLDER: photos with known masks below FOLDER, made from two Debian packages (stamps with
# transparency, GPL; photos as backgrounds) that are fetched there and stay there.
set -eu
infomask=$1 python=$2 folder=$3

sh tools/debian_packages.sh "$folder/packages" tuxpaint-stamps-default mate-backgrounds
"$python" tests/conformance/make_composites.py "$infomask" "$folder/packages/tuxpaint-stamps-default" \
    "$folder/packages/mate-backgrounds" "$folder"
touch "$folder/.done"
