"""Holes whose contents are known: shapes of stamps cut into photos.

A case is a photo of long side at most `side`, a mask of an object's shape that covers a share of it (15 to 35 %), grown by
3 px, and so what should be there.  Everything follows from the seed.
"""
import pathlib
import random

import numpy as np
from PIL import Image
from scipy import ndimage

SKIP = {"cartoon", "symbols", "toys", "plastic", "shapes", "math", "clipart"}
LEAST_SIDE = 300


def photos(folders):
    found = []
    for folder in folders:
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.suffix.lower() in (".jpg", ".jpeg", ".png") and path.is_file():
                try:
                    with Image.open(path) as image:
                        if min(image.size) >= LEAST_SIDE:
                            found.append(path)
                except OSError:
                    continue
    return found


def shapes(folder):
    for path in sorted(pathlib.Path(folder).rglob("*.png")):
        if SKIP & set(path.parts) or path.stem.endswith(("_mirror", "_flip")):
            continue
        image = Image.open(path)
        if image.mode in ("RGBA", "LA", "P"):
            alpha = image.convert("RGBA").getchannel("A")
            box = alpha.getbbox()
            if box and min(box[2] - box[0], box[3] - box[1]) >= 100:
                yield alpha.crop(box)


def crop(rng, path, side):
    """A piece of the photo whose long side is `side`, at one to two times the scale that the whole would have."""
    with Image.open(path) as image:
        image = image.convert("RGB")
        aspect = rng.choice([(4, 3), (3, 2), (3, 4), (1, 1)])
        w, h = (side * a // max(aspect) for a in aspect)
        scale = max(w / image.width, h / image.height)
        scale = min(1.0, scale * rng.uniform(1, 2)) if scale < 1 else scale
        image = image.resize((max(w, round(image.width * scale)), max(h, round(image.height * scale))), Image.LANCZOS)
        x, y = rng.randint(0, image.width - w), rng.randint(0, image.height - h)
        return np.asarray(image.crop((x, y, x + w, y + h)))


def cut(rng, shape, h, w, shares):
    """The shape somewhere in a picture, covering a share of it; None if it does not fit."""
    alpha = np.asarray(shape) >= 128
    share = rng.uniform(*shares)
    scale = (share * h * w / max(1, alpha.sum())) ** .5
    size = max(1, round(shape.width * scale)), max(1, round(shape.height * scale))
    if size[0] > w - 8 or size[1] > h - 8:
        return None
    small = np.asarray(shape.resize(size, Image.BICUBIC)) >= 128
    x, y = rng.randint(4, w - 4 - size[0]), rng.randint(4, h - 4 - size[1])
    mask = np.zeros((h, w), bool)
    mask[y:y + size[1], x:x + size[0]] = small
    return ndimage.distance_transform_edt(~mask) <= 3


def cases(photo_folders, stamps, count, side=400, seed=1, shares=(.15, .35)):
    rng = random.Random(seed)
    paths, outlines = photos(photo_folders), list(shapes(stamps))
    rng.shuffle(paths)
    made = []
    while len(made) < count:
        path = paths[len(made) % len(paths)]
        photo = crop(rng, path, side)
        mask = None
        while mask is None:
            mask = cut(rng, rng.choice(outlines), *photo.shape[:2], shares)
        made.append((f"{len(made):03}-{path.stem}", photo, mask))
    return made
