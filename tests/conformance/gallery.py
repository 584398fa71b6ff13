#!/usr/bin/env python3
"""A contact sheet: for each photo the photo, its map, mask, overlay and what the filter makes of it.

    gallery.py INFOMASK OUT.jpg [PHOTO]...

Without photos: twelve that come with scikit-image and scikit-learn.  A photo's target may follow it: PHOTO=CLASS.
"""
import io
import json
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image, ImageDraw

INFOMASK, OUT, *PHOTOS = sys.argv[1:]
CELL, BAND = 300, 16


def default_photos():
    import skimage
    import sklearn
    pictures = pathlib.Path(skimage.__file__).parent / "data"
    names = ["astronaut.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png", "hubble_deep_field.jpg",
             "ihc.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg"]
    images = pathlib.Path(sklearn.__file__).parent / "datasets" / "images"
    return [str(pictures / n) for n in names] + [str(images / n) for n in ("china.jpg", "flower.jpg")]


def run(*arguments):
    return subprocess.run([INFOMASK, *arguments], capture_output=True, check=True)


def picture(data):
    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("RGB")
    image.thumbnail((CELL, CELL), Image.LANCZOS)
    return image


def row(argument):
    path, _, target = argument.partition("=")
    target = ["--target", target] if target else []
    answer = json.loads(run("mask", *target, path).stdout)
    pictures = [picture(pathlib.Path(path).read_bytes())]
    for kind in ("map", "mask", "overlay"):
        pictures.append(picture(run("mask", "-q", "--format=png", "--output", kind, *target, path).stdout))
    filtered = run("filter", "--format=png", *target, "-o", "/dev/stdout", path)
    pictures.append(picture(filtered.stdout))
    strip = Image.new("RGB", (5 * (CELL + 4), pictures[0].height + BAND + 4), "white")
    for i, p in enumerate(pictures):
        strip.paste(p, (i * (CELL + 4), BAND))
    found, mask = answer["target"], answer["mask"]
    said = filtered.stderr.decode().strip().removeprefix(f"{path}: ")
    ImageDraw.Draw(strip).text((2, 2), f"{pathlib.Path(path).name}: {found['label']}, {found['pmi']:.2f} nats; "
                               f"{len(mask['objects'])} objects, {100 * mask['area']:.1f} %; filtered: {said}", fill="black")
    return strip


strips = [row(p) for p in PHOTOS or default_photos()]
sheet = Image.new("RGB", (strips[0].width, sum(s.height for s in strips)), "white")
top = 0
for strip in strips:
    sheet.paste(strip, (0, top))
    top += strip.height
pathlib.Path(OUT).parent.mkdir(parents=True, exist_ok=True)
sheet.save(OUT, quality=90)
print(f"{OUT}: {len(strips)} photos")
