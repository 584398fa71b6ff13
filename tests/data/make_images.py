#!/usr/bin/env python3
"""Makes tests/data/images: small files of every kind that the image room reads, and manifest.tsv, which says what each one
must decode to.  Run by hand (needs numpy, Pillow and libjpeg-turbo's cjpeg); the results are in the repository.

The expected pixels come from Pillow, or, for what Pillow cannot read whole (16-bit colour), from the samples themselves.
"""
import io
import pathlib
import subprocess
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent / "images"
W, H = 27, 21
rng = np.random.default_rng(5)
rows = []


def photo(width=W, height=H):
    y, x = np.mgrid[0:height, 0:width]
    a = np.stack([127 + 90 * np.sin(x / 4 + y / 6), 127 + 80 * np.cos(x / 3 - y / 5), (x * 7 + y * 5) % 256], -1)
    return np.clip(a + rng.normal(0, 6, a.shape), 0, 255).astype(np.uint8)


def gamma_profile(gamma):
    """The profile that stands for a gAMA: sRGB's primaries, adapted to D50 by Bradford, and a power function."""
    cone, d50 = np.array([[.8951, .2664, -.1614], [-.7502, 1.7135, .0367], [.0389, -.0685, 1.0296]]), np.array([.9642, 1, .8249])
    white, *columns = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in ((.3127, .329), (.64, .33), (.3, .6), (.15, .06)))
    primaries = np.stack(columns, 1)
    adapted = np.linalg.inv(cone) @ np.diag(cone @ d50 / (cone @ white)) @ cone @ (primaries * np.linalg.solve(primaries, white))
    fixed = lambda xyz: np.rint(np.asarray(xyz) * 65536).astype(">i4").tobytes()  # noqa: E731
    bodies = [b"XYZ \0\0\0\0" + fixed(xyz) for xyz in (d50, *adapted.T)]
    bodies += [b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(256 * gamma), 0), b"text\0\0\0\0none".ljust(16, b"\0"),
               (b"desc\0\0\0\0\0\0\0\5gAMA").ljust(100, b"\0")]
    at = [240 + sum(map(len, bodies[:i])) for i in range(len(bodies))]
    tags = [(b"wtpt", at[0], 20), (b"rXYZ", at[1], 20), (b"gXYZ", at[2], 20), (b"bXYZ", at[3], 20),
            *((name, at[4], 14) for name in (b"rTRC", b"gTRC", b"bTRC")), (b"cprt", at[5], 13), (b"desc", at[6], 99)]
    head = struct.pack(">I4xI", at[6] + 100, 0x02100000) + b"mntrRGB XYZ ".ljust(24, b"\0") + b"acsp".ljust(32, b"\0") + fixed(d50)
    return (head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + b"".join(struct.pack(">4sII", *tag) for tag in tags) +
            b"".join(bodies))


def add(name, data, pixels, orientation=1, icc=b""):
    """pixels: [H, W, 3 or 4], as a viewer shows them"""
    (HERE / name).write_bytes(data)
    height, width, channels = pixels.shape
    rows.append(f"{name}\t{width}\t{height}\t{channels}\t{orientation}\t{zlib.crc32(pixels.tobytes()):08x}\t{len(icc)}\t"
                f"{zlib.crc32(icc):08x}\n")


def seen(data, mode="RGB"):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert(mode))


def save(image, fmt, **options):
    out = io.BytesIO()
    image.save(out, fmt, **options)
    return out.getvalue()


def exif(orientation):
    block = Image.Exif()
    block[0x112] = orientation
    return block.tobytes()


def profile(size, space=b"RGB "):
    return bytes(16) + space + rng.integers(0, 256, size - 20, dtype=np.uint8).tobytes()


def jpegs():
    image = Image.fromarray(photo())
    for name, options in {"420": {}, "422": {"subsampling": 1}, "444": {"subsampling": 0},
                          "progressive": {"progressive": True}}.items():
        data = save(image, "JPEG", quality=80, **options)
        add(f"{name}.jpg", data, seen(data))
    data = save(image.convert("L"), "JPEG", quality=80)
    add("gray.jpg", data, seen(data))
    cmyk = save(image.convert("CMYK"), "JPEG", quality=90)
    add("cmyk.jpg", cmyk, seen(cmyk))
    at = cmyk.index(b"Adobe") + 11
    ycck = cmyk[:at] + b"\2" + cmyk[at + 1:]
    add("ycck.jpg", ycck, seen(ycck))
    for orientation in range(1, 9):
        data = save(image, "JPEG", quality=80, exif=exif(orientation))
        add(f"orientation{orientation}.jpg", data, seen(data), orientation)
    # big-endian, behind another APP1 and an entry that is not the orientation
    tiff = b"MM\0*" + struct.pack(">IH", 8, 2) + struct.pack(">HHI4s", 0x10F, 2, 4, b"abc\0") + \
        struct.pack(">HHIHH", 0x112, 3, 1, 6, 0) + bytes(4)
    apps = b"".join(b"\xff\xe1" + struct.pack(">H", len(b) + 2) + b for b in (b"http://ns.adobe.com/xap/1.0/\0<x/>",
                                                                              b"Exif\0\0" + tiff))
    data = save(image, "JPEG", quality=80)
    data = data[:2] + apps + data[2:]
    add("exif-big-endian.jpg", data, np.rot90(seen(save(image, "JPEG", quality=80)), -1), 6)
    icc = profile(70000)
    data = save(image, "JPEG", quality=40, icc_profile=icc)
    add("icc-in-two-pieces.jpg", data, seen(data), icc=icc)
    data = save(image, "JPEG", quality=40, icc_profile=profile(300, b"CMYK"))
    add("icc-cmyk.jpg", data, seen(data))
    # larger ones, of every sampling: for the cut-outs
    large = Image.fromarray(photo(97, 83))
    ppm = save(large, "PPM")
    for sample in ("2x2", "2x1", "1x2", "4x1", "1x1"):
        for name, more in {"": [], "-progressive": ["-progressive"], "-restart": ["-restart", "2B"]}.items():
            data = subprocess.run(["cjpeg", "-quality", "60", "-sample", sample, *more], input=ppm, capture_output=True,
                                  check=True).stdout
            add(f"large-{sample}{name}.jpg", data, seen(data))
    data = subprocess.run(["cjpeg", "-quality", "60", "-arithmetic"], input=ppm, capture_output=True, check=True).stdout
    add("arithmetic.jpg", data, seen(data))


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # Adam7


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(samples, bits):
    """[rows, columns, channels] samples to filtered rows (filter none)"""
    out = b""
    for row in samples.reshape(samples.shape[0], -1):
        if bits == 16:
            line = row.astype(">u2").tobytes()
        elif bits == 8:
            line = row.astype(np.uint8).tobytes()
        else:
            line = np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits:].reshape(-1)).tobytes()
        out += b"\0" + line
    return out


def png(samples, bits, color, interlaced=False, before=b"", after=b""):
    height, width = samples.shape[:2]
    if interlaced:
        raw = b"".join(packed(part, bits) for x, y, dx, dy in PASSES
                       for part in [samples[y::dy, x::dx]] if part.size)
    else:
        raw = packed(samples, bits)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)) + \
        before + chunk(b"IDAT", zlib.compress(raw)) + after + chunk(b"IEND", b"")


def to8(samples, bits):
    s = samples.astype(np.uint32)
    return ((s * 255 * 2 + (2**bits - 1)) // (2 * (2**bits - 1))).astype(np.uint8)


def rgb(gray):
    return np.repeat(gray, 3, axis=-1)


def pngs():
    for interlaced in (False, True):
        tail = "-interlaced.png" if interlaced else ".png"
        for bits in (1, 2, 4, 8, 16):
            gray = rng.integers(0, 2**bits, (H, W, 1))
            clear = int(gray[0, 0, 0])
            pixels = rgb(to8(gray, bits))
            add(f"gray{bits}{tail}", png(gray, bits, 0, interlaced), pixels)
            alpha = np.where(gray == clear, 0, 255).astype(np.uint8)
            add(f"gray{bits}-trns{tail}", png(gray, bits, 0, interlaced, chunk(b"tRNS", struct.pack(">H", clear))),
                np.dstack([pixels, alpha]))
        for bits in (1, 2, 4, 8):
            count = 2**bits
            index = rng.integers(0, count, (H, W, 1))
            palette = rng.integers(0, 256, (count, 3), dtype=np.uint8)
            alpha = rng.integers(0, 256, (count + 1) // 2, dtype=np.uint8)  # the others are opaque
            plte = chunk(b"PLTE", palette.tobytes())
            add(f"palette{bits}{tail}", png(index, bits, 3, interlaced, plte), palette[index[..., 0]])
            full = np.concatenate([alpha, np.full(count - len(alpha), 255, np.uint8)])
            add(f"palette{bits}-trns{tail}", png(index, bits, 3, interlaced, plte + chunk(b"tRNS", alpha.tobytes())),
                np.dstack([palette[index[..., 0]], full[index[..., 0]]]))
        for bits in (8, 16):
            for name, color, channels in (("gray-alpha", 4, 2), ("rgb", 2, 3), ("rgba", 6, 4)):
                s = rng.integers(0, 2**bits, (H, W, channels))
                p = to8(s, bits)
                add(f"{name}{bits}{tail}", png(s, bits, color, interlaced),
                    np.dstack([rgb(p[..., :1]), p[..., 1:]]) if channels == 2 else p)
    s = rng.integers(0, 65536, (H, W, 3))
    trns = chunk(b"tRNS", struct.pack(">HHH", *map(int, s[2, 3])))
    alpha = np.where((s == s[2, 3]).all(-1), 0, 255).astype(np.uint8)
    add("rgb16-trns.png", png(s, 16, 2, before=trns), np.dstack([to8(s, 16), alpha]))
    s = photo()
    for orientation in range(1, 9):
        tiff = exif(orientation)[6:]
        turned = Image.fromarray(s)
        turned.getexif()[0x112] = orientation
        pixels = np.asarray(ImageOps.exif_transpose(turned))
        add(f"orientation{orientation}.png", png(s, 8, 2, before=chunk(b"eXIf", tiff)), pixels, orientation)
        add(f"orientation{orientation}-interlaced.png", png(s, 8, 2, True, after=chunk(b"eXIf", tiff)), pixels, orientation)
    icc = profile(1 << 20)
    icc = icc[:400] + bytes(len(icc) - 400)  # so that the file stays small
    add("icc.png", png(s, 8, 2, before=chunk(b"iCCP", b"p\0\0" + zlib.compress(icc, 9))), s, icc=icc)
    add("icc-too-large.png", png(s, 8, 2, before=chunk(b"iCCP", b"p\0\0" + zlib.compress(icc + b"\0", 9))), s)
    add("gamma.png", png(s, 8, 2, before=chunk(b"gAMA", struct.pack(">I", 100000))), s, icc=gamma_profile(1))
    frames = [Image.fromarray(photo()) for _ in range(2)]
    data = save(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert b"acTL" in data
    add("animated.png", data, np.asarray(frames[0]))


def webps():
    image, icc = Image.fromarray(photo()), profile(500)
    rgba = Image.fromarray(np.dstack([photo(), photo()[..., 0]]))
    for name, source, options in (("lossy", image, {}), ("lossless", image, {"lossless": True}),
                                  ("lossy-alpha", rgba, {}), ("lossless-alpha", rgba, {"lossless": True}),
                                  ("icc", image, {"icc_profile": icc}),
                                  ("orientation6", rgba, {"exif": exif(6)}),
                                  ("orientation3", image, {"exif": exif(3), "lossless": True})):
        data = save(source, "WEBP", **options)
        add(f"{name}.webp", data, seen(data, source.mode), int(name[-1]) if name[-1].isdigit() else 1,
            options.get("icc_profile", b""))


def refused():
    """Not in the manifest: what must be refused."""
    image = Image.fromarray(photo())
    (HERE / "refused-animated.webp").write_bytes(save(image, "WEBP", save_all=True, append_images=[image.rotate(180)]))
    (HERE / "refused-tiny.png").write_bytes(save(Image.new("RGB", (1, 1)), "PNG"))
    (HERE / "refused-wide.png").write_bytes(save(Image.new("L", (30000, 1)), "PNG"))
    (HERE / "refused.gif").write_bytes(save(image.quantize(), "GIF"))
    data = save(image, "JPEG", quality=10, progressive=True)
    at = data.index(b"\xff\xc2") + 5
    huge = data[:at] + struct.pack(">HH", 65500, 65500) + data[at + 4:]
    (HERE / "refused-huge.jpg").write_bytes(huge[:294])
    # a progressive file whose last scan, an unrefined one, comes a hundred and twenty times: valid, but expensive
    script = "0,1,2: 0-0,0,0;\n0: 1-63,0,0;\n1: 1-63,0,0;\n2: 1-63,0,0;\n"
    (HERE / "scans.txt").write_text(script)
    data = subprocess.run(["cjpeg", "-quality", "10", "-scans", str(HERE / "scans.txt")], input=save(image, "PPM"),
                          capture_output=True, check=True).stdout
    (HERE / "scans.txt").unlink()
    scan = data[data.rindex(b"\xff\xda"):-2]
    (HERE / "refused-scans.jpg").write_bytes(data[:-2] + scan * 120 + data[-2:])
    (HERE / "many-scans.jpg").write_bytes(data[:-2] + scan * 90 + data[-2:])


def main():
    HERE.mkdir(exist_ok=True)
    for old in HERE.iterdir():
        old.unlink()
    jpegs()
    pngs()
    webps()
    refused()
    (HERE / "manifest.tsv").write_text("name\twidth\theight\tchannels\torientation\tpixels_crc32\ticc_size\ticc_crc32\n" +
                                       "".join(rows))
    print(len(rows), "files")


if __name__ == "__main__":
    main()
