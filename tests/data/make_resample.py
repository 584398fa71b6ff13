#!/usr/bin/env python3
"""Makes tests/data/resample.tsv: what Pillow's resize(box=...) gives for pictures made by a formula, as CRC-32.  Run by
hand (needs numpy and Pillow); the result is in the repository.  The formula is repeated in test_resample.c."""
import pathlib
import zlib

import numpy as np
from PIL import Image

FILTERS = (Image.BICUBIC, Image.BILINEAR, Image.NEAREST, Image.LANCZOS)


def picture(width, height, seed):
    n, state = width * height * 3, seed
    out = np.empty(n, np.uint8)
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = state >> 24
    if seed % 2:  # only 0 and 255: the clipping
        out = np.where(out > 127, 255, 0).astype(np.uint8)
    return out.reshape(height, width, 3)


def main():
    rng = np.random.default_rng(11)
    lines = []
    for i in range(160):
        width, height = (int(v) for v in rng.integers(1, 90, 2))
        if i % 16 == 0:
            width, height = 900, 7  # more than 256 taps
        out_width, out_height = (int(v) for v in rng.integers(1, 70, 2))
        left, top = rng.integers(0, width * 8), rng.integers(0, height * 8)  # in eighths
        right, bottom = rng.integers(left + 1, width * 8 + 1), rng.integers(top + 1, height * 8 + 1)
        if i % 4 == 0:
            left, top, right, bottom = 0, 0, width * 8, height * 8
            if i % 16 == 0:
                out_width = 1 + i % 5
        seed = 100 + i // 2
        box = (left / 8, top / 8, right / 8, bottom / 8)
        for index, resample in enumerate(FILTERS):
            if (i + index) % 2:
                continue
            out = Image.fromarray(picture(width, height, seed)).resize((out_width, out_height), resample, box=box)
            lines.append(f"{width}\t{height}\t{seed}\t{left}\t{top}\t{right}\t{bottom}\t{out_width}\t{out_height}\t{index}\t"
                         f"{zlib.crc32(np.asarray(out).tobytes()):08x}\n")
    head = "width\theight\tseed\tleft8\ttop8\tright8\tbottom8\tout_width\tout_height\tfilter\tcrc32\n"
    (pathlib.Path(__file__).parent / "resample.tsv").write_text(head + "".join(lines))


if __name__ == "__main__":
    main()
