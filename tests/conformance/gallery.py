#!/usr/bin/env python3
"""A contact sheet: for each photo the photo, its map, mask, overlay and what the filter makes of it.

    gallery.py INFOMASK OUT.jpg [--pairs PAIRS.jpg] PHOTO...

A photo's target may follow it: PHOTO=CLASS.  PAIRS.jpg has the photos and the filtered photos alone, side by side.
"""
import argparse
import io
import json
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image, ImageDraw

CELL, BAND, ABREAST = 300, 16, 3


def run(*arguments):
    return subprocess.run([options.infomask, *arguments], capture_output=True, check=True)


def picture(data):
    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("RGB")
    image.thumbnail((CELL, CELL), Image.LANCZOS)
    return image


def caption(pictures, text):
    strip = Image.new("RGB", (len(pictures) * (CELL + 4), pictures[0].height + BAND + 4), "white")
    for i, p in enumerate(pictures):
        strip.paste(p, (i * (CELL + 4), BAND))
    ImageDraw.Draw(strip).text((2, 2), text, fill="black")
    return strip


def row(argument):
    """The strip of a photo, and the pair of photo and filtered photo."""
    path, _, target = argument.partition("=")
    target = ["--target", target] if target else []
    answer = json.loads(run("mask", *target, path).stdout)
    pictures = [picture(pathlib.Path(path).read_bytes())]
    for kind in ("map", "mask", "overlay"):
        pictures.append(picture(run("mask", "-q", "--format=png", "--output", kind, *target, path).stdout))
    filtered = run("filter", "--format=png", *target, "-o", "/dev/stdout", path)
    pictures.append(picture(filtered.stdout))
    found, mask = answer["target"], answer["mask"]
    said = filtered.stderr.decode().strip().removeprefix(f"{path}: ")
    name = pathlib.Path(path).stem
    print(f"{name}: {said}", flush=True)
    verdict = next((word for word in ("removed", "weakened", "failed") if f", {word}" in said), "nothing to remove")
    return (caption(pictures, f"{name}: {found['label']}, {found['pmi']:.2f} nats; {len(mask['objects'])} objects, "
                              f"{100 * mask['area']:.1f} %; filtered: {said}"),
            caption([pictures[0], pictures[-1]], f"{name}: {found['label']}, {verdict}"))


def stack(strips, abreast):
    lines = [strips[i:i + abreast] for i in range(0, len(strips), abreast)]
    sheet = Image.new("RGB", (abreast * strips[0].width, sum(max(s.height for s in line) for line in lines)), "white")
    top = 0
    for line in lines:
        for i, strip in enumerate(line):
            sheet.paste(strip, (i * strip.width, top))
        top += max(s.height for s in line)
    return sheet


parser = argparse.ArgumentParser()
parser.add_argument("infomask")
parser.add_argument("out")
parser.add_argument("photos", nargs="+")
parser.add_argument("--pairs")
options = parser.parse_args()
strips, pairs = zip(*(row(p) for p in options.photos))
pathlib.Path(options.out).parent.mkdir(parents=True, exist_ok=True)
stack(strips, 1).save(options.out, quality=90)
if options.pairs:
    sheet = stack(pairs, ABREAST)
    sheet.thumbnail((1500, 10000), Image.LANCZOS)
    sheet.save(options.pairs, quality=85)
print(f"{options.out}: {len(strips)} photos")
