#!/bin/sh
# format.sh: breaks the lines that are longer than the style allows, by clang-format; the others stay as they are.
set -eu
command -v clang-format >/dev/null 2>&1 || { echo "needs clang-format (apt-get install clang-format)" >&2; exit 1; }
exec python3 tests/check_style.py --long | awk -F: '{ lines[$1] = lines[$1] " --lines=" $2 ":" $2 }
    END { for (file in lines) print "clang-format -i" lines[file] " " file }' | sh
exec python3 tests/check_style.py
