#!/bin/sh
# wordnet.sh FOLDER: WordNet's nouns in the folder, from Debian's package if they are not there.
set -eu
folder=$1
[ -e "$folder/data.noun" ] && exit 0
sh tools/debian_packages.sh "$folder/packages" wordnet-base || {
    echo "WORDNET=DIR says where WordNet's nouns are" >&2
    exit 1
}
cp "$folder"/packages/wordnet-base/usr/share/wordnet/*.noun "$folder/"
rm -rf "$folder/packages"
