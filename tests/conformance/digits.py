"""Canvases of handwritten digits with the pixels of each digit: MNIST's test set as gzip'ed IDX files."""
import gzip
import json
import pathlib

import numpy as np

SIDE, COUNT = 28, 3  # of a digit; digits a row


def read_idx(path):
    data = gzip.open(path).read()
    shape = np.frombuffer(data, ">u4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def read_digits(folder):
    folder = pathlib.Path(folder)
    return read_idx(folder / "t10k-images-idx3-ubyte.gz"), read_idx(folder / "t10k-labels-idx1-ubyte.gz")


def canvas(rng, images, labels, side=168, count=COUNT):
    """pixels [side, side], whose [side, side] (-1: nobody's) and the labels of the count^2 digits."""
    pixels, whose = np.zeros((side, side), np.uint8), np.full((side, side), -1)
    chosen, cell = rng.choice(len(images), count * count, replace=False), side // count
    for i, digit in enumerate(chosen):
        y, x = (np.array(divmod(i, count)) * cell + rng.integers(0, cell - SIDE + 1, 2)).tolist()
        pixels[y:y + SIDE, x:x + SIDE] = images[digit]
        whose[y:y + SIDE, x:x + SIDE][images[digit] > 0] = i
    return pixels, whose, labels[chosen]
