#!/bin/sh
# debian_packages.sh FOLDER PACKAGE...: unpacks Debian packages into FOLDER/PACKAGE each, fetching those that are not there.
# Nothing is installed.
set -eu
folder=$1
shift
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "$* come as Debian packages, and there is no apt-get here" >&2
    exit 1
fi
mkdir -p "$folder"
for package in "$@"; do
    [ -d "$folder/$package" ] && continue
    (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg-deb -x "$package"_*.deb "$package.new")
    mv "$folder/$package.new" "$folder/$package"
    rm -f "$folder/$package"_*.deb
done
