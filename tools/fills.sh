#!/bin/sh
# fills.sh FOLDER SITE: below FOLDER the stamps and photos of the benchmark of fills, from Debian packages that are fetched
# there, and the sample photos of the Python packages below SITE.
set -eu
folder=$1 site=$2

if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "stamps and photos come as Debian packages, and there is no apt-get here" >&2
    exit 1
fi
mkdir -p "$folder/packages" "$folder/photos"
for package in tuxpaint-stamps-default mate-backgrounds lomiri-wallpapers-16.04 lomiri-wallpapers-20.04; do
    if ! [ -d "$folder/packages/$package" ]; then
        (cd "$folder/packages" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg-deb -x "$package"_*.deb "$package.new")
        mv "$folder/packages/$package.new" "$folder/packages/$package"
        rm -f "$folder/packages/$package"_*.deb
    fi
done
cp "$folder"/packages/mate-backgrounds/usr/share/backgrounds/mate/nature/*.jpg "$folder"/packages/lomiri-wallpapers-*/usr/share/backgrounds/*.jpg \
    "$site"/sklearn/datasets/images/*.jpg "$site"/skimage/data/astronaut.png "$site"/skimage/data/brick.png \
    "$site"/skimage/data/gravel.png "$site"/skimage/data/grass.png tests/data/photos/*.png tests/data/photos/*.jpg "$folder/photos"
touch "$folder/.done"
