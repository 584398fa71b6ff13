#!/bin/sh
# install.sh BINARY: the binary without its symbols (they go beside it, into lib/debug), settings, models, unit files, the
# manual, completions, licences and documents below DESTDIR, by the usual GNU folders.  What was put there is listed in
# share/infomask/installed, which is all that `make uninstall` removes: models that were added later stay.
set -eu
binary=$1
prefix=${PREFIX:-/usr/local}
if [ "$prefix" = /usr ]; then system=/etc; else system=$prefix/etc; fi
sysconfdir=${SYSCONFDIR:-$system}
bindir=${BINDIR:-$prefix/bin}
libdir=${LIBDIR:-$prefix/lib}
datadir=${DATADIR:-$prefix/share}
mandir=${MANDIR:-$datadir/man}
docdir=${DOCDIR:-$datadir/doc/infomask}
destdir=${DESTDIR:-}
python=${PYTHON:-python3}
objcopy=${OBJCOPY:-objcopy}
list=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$list" "$work"' EXIT

put() { # MODE FILE TARGET: one file, noted down
    install -d "$destdir$(dirname "$3")"
    install -m "$1" "$2" "$destdir$3"
    echo "$3" >>"$list"
}

put_generated() { # FORM TARGET
    "$python" tools/manual.py "$1" "$binary" >"$work/$1"
    case $2 in
    *.gz) gzip -9n <"$work/$1" >"$work/$1.gz" && put 644 "$work/$1.gz" "$2" ;;
    *) put 644 "$work/$1" "$2" ;;
    esac
}

put_unit() { # NAME
    sed -e "s|@BINDIR@|$bindir|g" -e "s|@SYSCONFDIR@|$sysconfdir|g" "config/$1" >"$work/$1"
    put 644 "$work/$1" "$libdir/systemd/system/$1"
}

if [ "${STRIP:-1}" = 1 ]; then
    "$objcopy" --only-keep-debug "$binary" "$work/infomask.debug"
    "$objcopy" --strip-all --add-gnu-debuglink="$work/infomask.debug" "$binary" "$work/infomask"
    put 755 "$work/infomask" "$bindir/infomask"
    put 644 "$work/infomask.debug" "$libdir/debug/infomask.debug"
else # a packager strips it
    put 755 "$binary" "$bindir/infomask"
fi

# settings that are there are somebody's own
if [ ! -e "$destdir$sysconfdir/infomask/infomask.ini" ]; then
    install -d "$destdir$sysconfdir/infomask"
    install -m 644 config/infomask.ini "$destdir$sysconfdir/infomask/infomask.ini"
fi
for folder in config/models/*/; do
    [ -e "$folder/model.onnx" ] || continue
    for file in "$folder"*; do
        case $file in *.int8) [ "${INT8:-0}" = 1 ] || continue ;; esac
        [ -f "$file" ] && put 644 "$file" "$datadir/infomask/models/$(basename "$folder")/$(basename "$file")"
    done
done
if [ "${UNITS:-1}" = 1 ]; then
    put_unit infomask.service
    put_unit infomask.socket
    put 644 config/infomask.sysusers "$libdir/sysusers.d/infomask.conf"
    put 644 config/infomask.tmpfiles "$libdir/tmpfiles.d/infomask.conf"
fi
put 644 config/convert_efficientnet_lite0.py "$datadir/infomask/convert_efficientnet_lite0.py"
put_generated man "$mandir/man1/infomask.1.gz"
put_generated bash "$datadir/bash-completion/completions/infomask"
put_generated zsh "$datadir/zsh/site-functions/_infomask"
put_generated fish "$datadir/fish/vendor_completions.d/infomask.fish"
for file in README.md CHANGELOG.md LICENSE NOTICE; do put 644 "$file" "$docdir/$file"; done
find docs -type f | sort >"$work/documents" # where they are beside one another: they link to each other, and to pictures
while read -r file; do put 644 "$file" "$docdir/$file"; done <"$work/documents"
echo "$datadir/infomask/installed" >>"$list"
install -d "$destdir$datadir/infomask"
sort -u "$list" >"$destdir$datadir/infomask/installed"
echo "installed below $destdir$prefix; start it with: systemd-sysusers && systemctl enable --now infomask"
