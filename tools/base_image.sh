#!/bin/sh
# base_image.sh SUITE NAME: a base image made by debootstrap from the machine's own Debian mirror, for building the
# container where no registry of images is reachable.  As root.
set -eu
suite=$1 name=$2
buildah inspect --type image "$name" >/dev/null 2>&1 && exit 0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase "$suite" "$folder/root" >"$folder/log" || { tail "$folder/log" >&2; exit 1; }
container=$(buildah from scratch)
buildah add -q "$container" "$folder/root" / >/dev/null
buildah commit -q "$container" "$name" >/dev/null
buildah rm "$container" >/dev/null
echo "made $name"
