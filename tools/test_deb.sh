#!/bin/sh
# test_deb.sh FOLDER SUITE: the package of FOLDER in a fresh system made by debootstrap: installed with what it depends on,
# serving a photo, installed again over itself, removed, purged; nothing of it stays.  As root.
set -eu
folder=$1 suite=$2
package=$(ls "$folder"/infomask_*.deb)
lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$package" && echo "lintian: no findings"

root=$(mktemp -d)
served=
end() {
    [ -z "$served" ] || kill "$served" 2>/dev/null || true
    umount "$root/proc" 2>/dev/null || true
    rm -rf "$root"
}
trap end EXIT
debootstrap --variant=minbase "$suite" "$root" >"$root.log" 2>&1 || { tail "$root.log" >&2; exit 1; }
rm -f "$root.log"
mount -t proc proc "$root/proc"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
step() { echo "== $*"; }

cp "$package" "$root/infomask.deb"
cp tests/data/photos/coffee.png "$root/coffee.png"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # nothing is started in a chroot
chmod +x "$root/usr/sbin/policy-rc.d"
step "install"
inside apt-get update -qq
inside apt-get install -y -qq --no-install-recommends /infomask.deb >"$root/install.log" 2>&1 || { cat "$root/install.log" >&2; exit 1; }
inside infomask version
inside test -f /etc/infomask/infomask.ini
inside id infomask >/dev/null

step "serve"
port=$((10000 + $$ % 20000)) # below those that the system gives out
chroot "$root" infomask serve --config /etc/infomask/infomask.ini --port "$port" --state-dir /var/lib/infomask >/dev/null 2>&1 &
served=$!
for _ in $(seq 300); do inside infomask healthcheck --port "$port" >/dev/null 2>&1 && break; sleep 0.1; done
curl -sf --data-binary @tests/data/photos/coffee.png "http://127.0.0.1:$port/v1/classify?top_k=1" | grep -q espresso
kill -TERM "$served"
wait "$served"
served=

step "upgrade"
echo "port = 8088" >>"$root/etc/infomask/infomask.ini"
mkdir -p "$root/usr/share/infomask/models/mine"
echo '{}' >"$root/usr/share/infomask/models/mine/model.json"
inside dpkg -i --force-confold /infomask.deb >/dev/null
grep -q "port = 8088" "$root/etc/infomask/infomask.ini"

step "remove and purge"
inside dpkg -r infomask >/dev/null 2>&1
test -f "$root/usr/share/infomask/models/mine/model.json"
test -f "$root/etc/infomask/infomask.ini"
inside dpkg -P infomask >/dev/null 2>&1
test ! -e "$root/etc/infomask" && test ! -e "$root/var/lib/infomask" && test ! -e "$root/usr/bin/infomask"
test -f "$root/usr/share/infomask/models/mine/model.json"
echo "the package installs, serves, upgrades and purges on $suite"
