#!/bin/sh
# wordnet.sh FOLDER: WordNet's nouns in the folder, from Debian's package if they are not there.
set -eu
folder=$1
[ -e "$folder/data.noun" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "WordNet comes as a Debian package (wordnet-base), and there is no apt-get here: WORDNET=DIR says where it is" >&2
    exit 1
fi
mkdir -p "$folder"
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root wordnet-base && dpkg-deb -x wordnet-base_*.deb package)
cp "$folder"/package/usr/share/wordnet/*.noun "$folder/"
rm -rf "$folder/package" "$folder"/wordnet-base_*.deb
