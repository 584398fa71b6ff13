#!/usr/bin/env python3
"""How much of the hard mask's error the soft alpha of a cut-out leaves, given a mask that is right to the pixel.

    cutouts.py INFOMASK STAMPS_DIR BACKGROUNDS_DIR [--count 40] [--seed 1]

Stamps with a soft transparency are pasted on photos; the mask of one's own is where alpha is at least a half.  Printed is
the sum of absolute differences to the true alpha, as a share of that of the mask: mean, median, and the worst.
"""
import argparse
import pathlib
import random
import subprocess
import tempfile

import numpy as np
from PIL import Image

SIZE = 500


def stamps(folder):
    """Those whose edge is soft: more pixels are neither clear nor opaque than twice the width and height together."""
    for path in sorted(pathlib.Path(folder).rglob("*.png")):
        if path.stem.endswith(("_mirror", "_flip")):
            continue
        image = Image.open(path)
        if image.mode not in ("RGBA", "LA"):
            continue
        image = image.convert("RGBA").crop(image.getchannel("A").getbbox())
        alpha = np.asarray(image.getchannel("A"))
        if min(image.size) >= 80 and ((alpha > 8) & (alpha < 247)).sum() > 2 * sum(image.size):
            yield path.stem, image


def pasted(stamp, background, rng):
    """The picture and its true alpha: the stamp, its longest side .4 to .8 of the photo's shorter one, somewhere on it."""
    scale = SIZE / max(background.size)
    photo = background.resize([round(s * scale) for s in background.size], Image.LANCZOS)
    scale = rng.uniform(.4, .8) * min(photo.size) / max(stamp.size)
    stamp = stamp.resize([max(1, round(s * scale)) for s in stamp.size], Image.LANCZOS)
    whole = Image.new("RGBA", photo.size, (0, 0, 0, 0))
    whole.paste(stamp, [rng.randint(0, p - s) for p, s in zip(photo.size, stamp.size)])
    alpha = whole.getchannel("A")
    return Image.composite(whole.convert("RGB"), photo, alpha), np.asarray(alpha) / 255


def share_left(infomask, picture, alpha, folder):
    hard = alpha >= .5
    picture.save(folder / "photo.png")
    Image.fromarray(np.uint8(hard) * 255).save(folder / "mask.png")
    subprocess.run([infomask, "filter", "-q", "--mode=cutout", "--mask", folder / "mask.png", folder / "photo.png", "-o",
                    folder / "out.png"], check=True)
    soft = np.asarray(Image.open(folder / "out.png").getchannel("A")) / 255
    return np.abs(soft - alpha).sum() / np.abs(hard - alpha).sum()


def main():
    parser = argparse.ArgumentParser()
    for name in ("infomask", "stamps", "backgrounds"):
        parser.add_argument(name)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    backgrounds = sorted(p for p in pathlib.Path(options.backgrounds).rglob("*.jpg"))
    chosen = list(stamps(options.stamps))
    rng.shuffle(chosen)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, stamp in chosen[:options.count]:
            picture, alpha = pasted(stamp, Image.open(rng.choice(backgrounds)).convert("RGB"), rng)
            rows.append((share_left(options.infomask, picture, alpha, pathlib.Path(folder)), name))
    shares = np.array([share for share, _ in rows])
    print(f"{len(rows)} cut-outs, of the hard mask's error left: mean {shares.mean():.2f}, median {np.median(shares):.2f}, "
          f"over a half {int((shares > .5).sum())}, worst {max(rows)[0]:.2f} ({max(rows)[1]})")


if __name__ == "__main__":
    main()
