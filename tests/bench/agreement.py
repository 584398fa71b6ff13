#!/usr/bin/env python3
"""How often the best class changes, and by how much log p: by a precision, and by changes of the photo that nobody sees,
on the same random crops; so the agreement of a precision can be told from how undecided the crops are.

    agreement.py INFOMASK FOLDER [CROPS]

Crops: squares of 0.4 to 1 of the shorter side of every third photo (those `models quantize` measures on), 256 x 256; the
network sees the 224 x 224 in their middle, pixel for pixel.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageOps

SEED = 1
CLEAR = 0.1  # nats between the two best classes of f32
TOP = 5


def crops(folder, count):
    random = np.random.default_rng(SEED)
    photos = sorted(p for p in pathlib.Path(folder).iterdir() if p.is_file() and not p.name.startswith("."))[2::3]
    for i in range(count):
        photo = ImageOps.exif_transpose(Image.open(photos[i * len(photos) // count])).convert("RGB")
        side = int(min(photo.size) * random.uniform(0.4, 1))
        left, top = (int(random.uniform(0, whole - side)) for whole in photo.size)
        yield photo.resize((256, 256), Image.Resampling.BICUBIC, (left, top, left + side, top + side))


def write(folder, count, photos):
    """Every crop as it is, with noise of at most one step of a byte, and through JPEG."""
    random = np.random.default_rng(SEED)
    for name in ("crops", "noise", "jpeg"):
        (folder / name).mkdir()
    for i, crop in enumerate(crops(photos, count)):
        name = f"{i:05}"
        noise = random.integers(-1, 2, (256, 256, 3))
        crop.save(folder / "crops" / f"{name}.png", compress_level=1)
        noisy = np.clip(np.asarray(crop, int) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / "noise" / f"{name}.png", compress_level=1)
        crop.save(folder / "jpeg" / f"{name}.jpg", quality=95, subsampling=0)


def log_p(infomask, folder, precision):
    files = sorted(str(p) for p in folder.iterdir())
    done = subprocess.run([infomask, "classify", "--top-k", "1000", "--precision", precision, *files],
                          stdout=subprocess.PIPE, check=True)
    rows = np.zeros((len(files), 1000))
    for row, photo in zip(rows, json.loads(done.stdout)["results"], strict=True):
        for p in photo["predictions"]:
            row[p["index"]] = p["log_probability"]
    return rows


def main():
    infomask, photos, count = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 500
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write(folder, count, photos)
        exact = log_p(infomask, folder / "crops", "f32")
        order = np.argsort(-exact, axis=1, kind="stable")
        best, top = order[:, 0], order[:, :TOP]
        two = np.take_along_axis(exact, order[:, :2], axis=1)
        clear, sure = two[:, 0] - two[:, 1] > CLEAR, two[:, 0] >= np.log(0.5)
        print(f"{count} crops; {clear.mean():.0%} with the two best classes more than {CLEAR} nats apart, {sure.mean():.0%} "
              "with p >= 0.5\n\n| changed | best class as before | where clear | where p >= 0.5 | error of log p, nats |\n"
              "|---|---|---|---|---|")
        for what, crops_of, precision in (("bf16", "crops", "bf16"), ("int8", "crops", "int8"),
                                          ("each byte by -1, 0 or 1", "noise", "f32"),
                                          ("JPEG, quality 95", "jpeg", "f32")):
            other = log_p(infomask, folder / crops_of, precision)
            same = other.argmax(axis=1) == best
            errors = np.take_along_axis(other - exact, top, axis=1)
            print(f"| {what} | {same.mean():.1%} | {same[clear].mean():.1%} | {same[sure].mean():.1%} | "
                  f"{np.sqrt((errors ** 2).mean()):.3f} |", flush=True)


if __name__ == "__main__":
    main()
