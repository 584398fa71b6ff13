#!/bin/sh
# install_models.sh FROM TO: the model folders that have their network.
set -eu
for folder in "$1"/*/; do
    name=$(basename "$folder")
    [ -e "$folder/model.onnx" ] || continue
    install -d "$2/$name"
    for file in "$folder"/*; do
        [ -f "$file" ] && install -m 644 "$file" "$2/$name/"
    done
done
