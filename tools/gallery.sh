#!/bin/sh
# gallery.sh PYTHON SITE FOLDER: the nine photos of the gallery that are not in this repository into FOLDER, from the sample
# photos of the Python packages below SITE and from three Debian packages (20 MB) that are fetched there; NOTICE has their
# terms.
set -eu
python=$1 site=$2 folder=$3

sh tools/debian_packages.sh "$folder/packages" palapeli-data darknet lomiri-wallpapers-20.04 || {
    echo "most photos of the gallery are from these packages; PHOTOS= names your own instead" >&2
    exit 1
}
for name in dog eagle giraffe horses; do
    cp "$folder/packages/darknet/usr/share/darknet/data/$name.jpg" "$folder"
done
cp "$folder/packages/palapeli-data/usr/share/palapeli/collection/european-honey-bee.jpg" \
    "$folder/packages/palapeli-data/usr/share/palapeli/collection/cincinnati-bridge.jpg" \
    "$site/sklearn/datasets/images/flower.jpg" "$site/skimage/data/astronaut.png" "$folder"
# of 20 megapixels; a wallpaper's size is enough
"$python" - "$folder" <<'EOF'
import pathlib
import sys

from PIL import Image

folder = pathlib.Path(sys.argv[1])
found, = folder.glob("packages/lomiri-wallpapers-20.04/usr/share/backgrounds/**/Kleiber_by_Lukas_Baubkus.jpg")
photo = Image.open(found)
photo.thumbnail((1600, 1600), Image.LANCZOS)
photo.save(folder / "nuthatch.jpg", quality=92)
EOF
touch "$folder/.done"
