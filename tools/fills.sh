#!/bin/sh
# fills.sh FOLDER SITE: below FOLDER the stamps and photos of the benchmark of fills, from Debian packages that are fetched
# there, and the sample photos of the Python packages below SITE.
set -eu
folder=$1 site=$2

sh tools/debian_packages.sh "$folder/packages" tuxpaint-stamps-default mate-backgrounds lomiri-wallpapers-16.04 lomiri-wallpapers-20.04
mkdir -p "$folder/photos"
cp "$folder"/packages/mate-backgrounds/usr/share/backgrounds/mate/nature/*.jpg "$folder"/packages/lomiri-wallpapers-*/usr/share/backgrounds/*.jpg \
    "$site"/sklearn/datasets/images/*.jpg "$site"/skimage/data/astronaut.png "$site"/skimage/data/brick.png \
    "$site"/skimage/data/gravel.png "$site"/skimage/data/grass.png tests/data/photos/*.png tests/data/photos/*.jpg "$folder/photos"
touch "$folder/.done"
