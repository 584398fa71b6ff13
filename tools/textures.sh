#!/bin/sh
# textures.sh PYTHON FOLDER: FOLDER/brick, grass and gravel with 16 pictures of 128 x 128 each, tiles of three photos in the
# public domain that the Python package scikit-image brings.  With a folder a class it is what `infomask train --images` takes.
set -eu
python=$1 folder=$2
parts=$folder.parts
mkdir -p "$parts"
"$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$parts" scikit-image==0.25.0
"$python" -m venv "$parts/venv"
"$parts/venv/bin/python" -m pip install -q --disable-pip-version-check pillow
"$parts/venv/bin/python" - "$parts" "$folder" <<'EOF'
import io
import pathlib
import sys
import zipfile

from PIL import Image

parts, folder = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(next(parts.glob("scikit_image*.whl"))) as wheel:
    for name in ("brick", "grass", "gravel"):
        photo = Image.open(io.BytesIO(wheel.read(f"skimage/data/{name}.png"))).convert("RGB")
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(16):
            left, top = 128 * (i % 4), 128 * (i // 4)
            photo.crop((left, top, left + 128, top + 128)).save(folder / name / f"{i:02}.png")
EOF
rm -rf "$parts"
echo "48 pictures of three classes in $folder"
