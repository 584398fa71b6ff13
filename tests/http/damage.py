"""Small pictures of every kind that is decoded, and ways to damage bytes: all by a generator that the caller has seeded."""
import numpy
from PIL import Image

from conftest import ROOT, encode


def originals():
    photo = Image.open(ROOT / "tests/data/photos/rocket.jpg").convert("RGB").resize((96, 64))
    alpha = Image.merge("RGBA", [*photo.split(), Image.linear_gradient("L").resize(photo.size)])
    deep = Image.fromarray((numpy.asarray(photo.convert("L"), dtype=numpy.uint16) * 257))
    exif = Image.Exif()
    exif[0x112] = 6
    return {
        "JPEG": encode(photo, "JPEG", quality=85, exif=exif.tobytes()),
        "progressive JPEG": encode(photo, "JPEG", quality=85, progressive=True),
        "grey JPEG": encode(photo.convert("L"), "JPEG", quality=85),
        "CMYK JPEG": encode(photo.convert("CMYK"), "JPEG", quality=70),
        "PNG": encode(photo.resize((48, 32)), "PNG"),
        "PNG with alpha": encode(alpha.resize((32, 24)), "PNG"),
        "PNG of 16 bits": encode(deep.resize((48, 32)), "PNG"),
        "PNG with a palette": encode(photo.quantize(32), "PNG"),
        "WebP": encode(photo, "WEBP", quality=85, exif=exif.tobytes()),
        "lossless WebP": encode(photo.resize((48, 32)), "WEBP", lossless=True),
        "WebP with alpha": encode(alpha, "WEBP", quality=80),
    }


def cut(data, rng):
    return data[:rng.randrange(len(data) + 1)]


def flip(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def move(data, rng):
    """A piece is doubled, dropped, or replaced by noise."""
    at, size = rng.randrange(len(data)), rng.choice([1, 2, 4, 16, 64])
    middle = rng.choice([data[at:at + size] * 2, b"", rng.randbytes(size), b"\xff" * size, b"\0" * size])
    return data[:at] + middle + data[at + size:]
