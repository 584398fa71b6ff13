#!/bin/sh
# Installs those of the named Debian packages that are missing: as root, or through sudo; elsewhere says what is needed.
set -eu
missing=""
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "infomask needs the equivalents of these Debian packages:$missing" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
else
    echo "infomask needs these packages; install them as root:" >&2
    echo "  apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "installing with ${as_root:+sudo }apt-get (up to 500 MB, some minutes on a slow line):$missing"
# another installation may be running, as on a new machine that updates itself: it is waited for
$as_root apt-get -o DPkg::Lock::Timeout=600 update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends $missing
