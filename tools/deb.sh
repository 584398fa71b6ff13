#!/bin/sh
# deb.sh VERSION: builds the Debian package from the files that git knows, in build/deb/.
set -eu
version=$1
rm -rf build/deb
mkdir -p "build/deb/infomask-$version"
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "build/deb/infomask-$version"
# the weights are fetched once, not once a package
model=config/models/efficientnet-lite0/model.onnx
if [ -f "$model" ]; then cp -p "$model" "build/deb/infomask-$version/$model"; fi
cd "build/deb/infomask-$version"
dpkg-buildpackage -us -uc -b -d >../build.log 2>&1 || { tail -n 30 ../build.log >&2; exit 1; }
cd .. && ls -l ./*.deb
