#!/bin/sh
# photos.sh PYTHON FOLDER: some 35 photos into FOLDER, from two Python packages and, where there is apt-get, from two
# Debian packages of wallpapers.
set -eu
python=$1 folder=$2
parts=$folder/.parts
mkdir -p "$parts"
"$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$parts" \
    scikit-image scikit-learn
"$python" - "$parts" "$folder" <<'EOF'
import pathlib
import sys
import zipfile

names = ("astronaut brick camera cell chelsea clock_motion coffee coins grass gravel hubble_deep_field ihc moon "
         "motorcycle_left retina rocket china flower").split()
for wheel in pathlib.Path(sys.argv[1]).glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = pathlib.PurePosixPath(name)
            if path.stem in names and path.suffix in (".png", ".jpg"):
                (pathlib.Path(sys.argv[2]) / path.name).write_bytes(archive.read(name))
EOF
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    for package in lomiri-wallpapers-16.04 lomiri-wallpapers-20.04; do
        if (cd "$parts" && apt-get download -q "$package" >/dev/null 2>&1); then
            dpkg-deb -x "$parts/$package"_*.deb "$parts/$package"
            find "$parts/$package" -type f -name '*.jpg' -exec cp {} "$folder" \;
        else
            echo "$package cannot be had: the measurement goes without its photos" >&2
        fi
    done
fi
rm -rf "$parts"
echo "$(ls "$folder" | wc -l) photos in $folder"
