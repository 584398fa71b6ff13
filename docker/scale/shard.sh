#!/bin/sh
# shard.sh PHOTOS PARTS I N [OPTION]...: part I (from 0) of N of `infomask estimate --images PHOTOS`, kept as PARTS/I.db.
# What every way of running many of them calls; a part that is there is left, so that all can be started again.
#     infomask estimate --merge PARTS/*.db        # the same bits as of one run over all photos
# The store is written on the machine's own disk: SQLite does not belong on a network file system while it is written.
set -eu
photos=$1 parts=$2 index=$3 count=$4
shift 4
[ ! -e "$parts/$index.db" ] || exit 0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
infomask estimate --images "$photos" --shard "$index/$count" --store "$scratch/part.db" --name all --quiet --json "$@" >/dev/null
cp "$scratch/part.db" "$parts/.$index.$$"
mv "$parts/.$index.$$" "$parts/$index.db"
