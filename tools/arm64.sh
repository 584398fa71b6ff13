#!/bin/sh
# arm64.sh ROOT PACKAGE...: what the arm64 build links and runs with, unpacked into ROOT: the named Debian packages and
# all that they depend on.  apt keeps its books below ROOT, so the machine's own packages stay as they are.
set -eu
root=$1
shift
mkdir -p "$root/apt/lists/partial" "$root/apt/archives/partial"
apt=$(cd "$root/apt" && pwd)
: >"$apt/status"
cat >"$apt/conf" <<EOF
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "root";
EOF
export APT_CONFIG="$apt/conf"
echo "fetching arm64 packages (60 MB)"
apt-get update -qq || echo "some package lists could not be had" >&2
if ! apt-get install -y -qq --no-install-recommends --download-only "$@" >/dev/null; then
    echo "the machine's apt sources have no arm64 packages of $*; on Ubuntu they are in a list of its own (ports)" >&2
    exit 1
fi
for package in "$apt"/archives/*.deb; do
    dpkg-deb -x "$package" "$root"
done
find "$root" -type l -lname '/*' | while read -r link; do
    ln -sfr "$root$(readlink "$link")" "$link"
done
rm -rf "$apt"
touch "$root/.done"
