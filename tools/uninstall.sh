#!/bin/sh
# uninstall.sh: removes the files that `make install` noted down, and the folders that are empty then.  Settings, and models
# that were added later, stay.
set -eu
datadir=${DATADIR:-${PREFIX:-/usr/local}/share}
destdir=${DESTDIR:-}
list=$destdir$datadir/infomask/installed
if [ ! -f "$list" ]; then
    echo "nothing that make install noted down is below $destdir$datadir/infomask" >&2
    exit 1
fi
copy=$(mktemp)
trap 'rm -f "$copy"' EXIT
cp "$list" "$copy"
while read -r file; do
    rm -f "$destdir$file"
    folder=$(dirname "$file")
    while [ "$folder" != / ] && rmdir "$destdir$folder" 2>/dev/null; do folder=$(dirname "$folder"); done
done <"$copy"
if [ -d "$destdir$datadir/infomask/models" ]; then
    echo "kept, as they were not installed: $(cd "$destdir$datadir/infomask/models" && echo *)"
fi
