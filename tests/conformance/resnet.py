#!/usr/bin/env python3
"""Masks of a ResNet on the composites, beside the default model's on the same pictures.

    resnet.py INFOMASK STAMPS_DIR BACKGROUNDS_DIR COMPOSITES PHOTOS

The network is that of `open-nsfw`, a ResNet-50 of half the width, with a head that `infomask train` makes: the composites'
classes, each from 24 pictures of its stamps on PHOTOS, none of which is a background of the composites.  Fails if its pixel AP
is more than .02 or its IoU more than .03 behind.
"""
import json
import pathlib
import random
import shutil
import subprocess
import sys

from PIL import Image

import make_composites as composites  # the first four arguments are its own

INFOMASK, COMPOSITES, PHOTOS = sys.argv[1], pathlib.Path(sys.argv[4]), pathlib.Path(sys.argv[5])
EACH, SIDE = 24, 224
BEHIND = (.02, .03)


def run(*arguments):
    return subprocess.run([INFOMASK, *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def training_pictures(folder):
    """A folder a class, named c and the default model's index of it."""
    rng, stamps = random.Random(7), {}
    photos = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.iterdir()) if path.suffix in (".jpg", ".png")]
    for photo in photos:
        photo.thumbnail((900, 900), Image.LANCZOS)
    for _, stamp, index, _ in composites.usable():
        stamps.setdefault(index, []).append(stamp)
    for index, of_class in stamps.items():
        (folder / f"c{index}").mkdir(parents=True)
        for i in range(EACH):
            picture = composites.ground(rng, photos, (SIDE, SIDE))
            stamp = composites.scaled(rng.choice(of_class), SIDE * rng.uniform(.4, 1))
            composites.paste(rng, picture, None, stamp if rng.random() < .5 else stamp.transpose(Image.FLIP_LEFT_RIGHT), [])
            picture.save(folder / f"c{index}" / f"{i:02}.jpg", quality=92)


def scores(name, model, targets):
    folder = COMPOSITES / name
    photos = json.loads(run("evaluate", "masks", "--model", model, "--images", folder / "images", "--masks", folder / "masks",
                            "--targets", targets, "--quick", "--json"))["photos"]
    return [sum(p[key] for p in photos) / len(photos) for key in ("pixel_ap", "mask_iou")]


def main():
    work, short = COMPOSITES / "resnet", []
    shutil.rmtree(work, ignore_errors=True)
    training_pictures(work / "photos")
    run("models", "fetch", "open-nsfw", "--models-dir", work / "models")
    run("train", "--quiet", "--images", work / "photos", "--backbone", work / "models" / "open-nsfw", "--name", work / "models" / "resnet")
    print("| pictures | EfficientNet-Lite0: pixel AP / IoU | ResNet |\n|---|---|---|")
    for name in ("single", "scene", "canvas"):
        own = work / f"{name}.tsv"
        given = [line.split("\t") for line in (COMPOSITES / name / "targets.tsv").read_text().splitlines()]
        own.write_text("".join(f"{stem}\tc{index}\n" for stem, index, *_ in given))
        lite = scores(name, "efficientnet-lite0", COMPOSITES / name / "targets.tsv")
        resnet = scores(name, work / "models" / "resnet", own)
        print(f"| {name} | {lite[0]:.3f} / {lite[1]:.3f} | {resnet[0]:.3f} / {resnet[1]:.3f} |", flush=True)
        if any(r < l - b for l, r, b in zip(lite, resnet, BEHIND)):
            short.append(name)
    return f"behind on {', '.join(short)}" if short else 0


sys.exit(main())
