"""Fifty JPEGs of 500 x 375 pixels, about 100 KB each: crops of the photos at hand, at several scales, some mirrored.

    python tests/load/photos.py FOLDER
"""
import pathlib
import random
import sys

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZE = (500, 375)
COUNT = 50


def crop(image, rng):
    """A random window of the photo with the right shape, scaled to SIZE."""
    width, height = image.size
    largest = min(width / SIZE[0], height / SIZE[1])
    scale = rng.uniform(0.6, 1) * largest
    w, h = SIZE[0] * scale, SIZE[1] * scale
    x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
    out = image.resize(SIZE, Image.BICUBIC, box=(x, y, x + w, y + h))
    return out.transpose(Image.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else out


def make(folder):
    """Writes them once; their paths."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:02d}.jpg" for i in range(COUNT)]
    if all(path.exists() for path in paths):
        return paths
    rng = random.Random(1)
    photos = [Image.open(path).convert("RGB") for path in sorted((ROOT / "tests/data/photos").glob("*.*"))]
    for i, path in enumerate(paths):
        crop(photos[i % len(photos)], rng).save(path, "JPEG", quality=97, subsampling=0)
    return paths


if __name__ == "__main__":
    sizes = [path.stat().st_size for path in make(sys.argv[1])]
    print(f"{len(sizes)} photos, {min(sizes) // 1024} to {max(sizes) // 1024} KB, mean {sum(sizes) // len(sizes) // 1024} KB")
