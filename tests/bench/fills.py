#!/usr/bin/env python3
"""Fills against the truth: holes of objects' shapes in photos, filled by infomask and by others, all in one run.

    fills.py INFOMASK MODEL.onnx STAMPS PHOTOS [PHOTOS...] [--cases 150] [--side 400] [--peers match,inpaint,...] [--sheet F]

Per fill the means over the cases: cosine distance of the network's features inside the hole at strides 8, 16 and 32, KL of
the classes, PSNR (which likes a blur best), milliseconds (infomask: its own, of a whole process; others: the call), in how
many cases it is nearer at stride 16 than `inpaint`, and the ratio of the distance at 16 to that of `inpaint`.
"""
import argparse
import base64
import io
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import numpy as np
from PIL import Image

import fill_cases
import fill_distance


def with_infomask(program, fill):
    def run(folder, photo, mask):
        out = folder / "out.json"
        subprocess.run([program, "filter", "--fill", fill, "--mask", folder / "mask.png", "--format", "json", "-o", out,
                        folder / "photo.png"], check=True, capture_output=True)
        answer = json.loads(out.read_text())
        answer = answer.get("results", [answer])[0]
        return (np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["image"]))).convert("RGB")),
                answer["timing_ms"]["fill"])
    return run


def timed(call):
    def run(folder, photo, mask):
        start = time.perf_counter()
        out = call(photo, mask)
        return np.asarray(out), 1000 * (time.perf_counter() - start)
    return run


def with_opencv(method):
    import cv2
    return timed(lambda photo, mask: cv2.inpaint(photo, mask.astype(np.uint8) * 255, 4, getattr(cv2, method)))


def with_skimage():
    from skimage.restoration import inpaint_biharmonic
    return timed(lambda photo, mask: (np.clip(inpaint_biharmonic(photo, mask, channel_axis=-1), 0, 1) * 255 + .5).astype(np.uint8))


def with_gmic(command):
    def run(folder, photo, mask):
        out = folder / "gmic.png"
        start = time.perf_counter()
        subprocess.run(["gmic", folder / "photo.png", folder / "mask.png", f"{command}[0]", "[1]", "rm[1]", "c", "0,255",
                        "o", out], check=True, capture_output=True)
        spent = 1000 * (time.perf_counter() - start)
        return np.asarray(Image.open(out).convert("RGB")), spent
    return run


def peers(program, names):
    makers = {"match": lambda: with_infomask(program, "match"), "inpaint": lambda: with_infomask(program, "inpaint"),
              "diffuse": lambda: with_infomask(program, "diffuse"),
              "OpenCV Telea": lambda: with_opencv("INPAINT_TELEA"), "OpenCV NS": lambda: with_opencv("INPAINT_NS"),
              "biharmonic": with_skimage}
    if shutil.which("gmic"):
        makers["G'MIC inpaint"] = lambda: with_gmic("inpaint")
        makers["G'MIC matchpatch"] = lambda: with_gmic("inpaint_matchpatch")
    return {name: make() for name, make in makers.items() if not names or name in names}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("stamps")
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--cases", type=int, default=150)
    parser.add_argument("--side", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shares", default=".15,.35", help="of the photo that a hole covers, before it is grown: from,to")
    parser.add_argument("--slow", type=int, default=12, help="cases that the slow peers (biharmonic, G'MIC) are given")
    parser.add_argument("--peers", default="")
    parser.add_argument("--sheet", help="folder for pictures of each case")
    options = parser.parse_args()
    network = fill_distance.Network(options.model)
    fills = peers(options.program, [name for name in options.peers.split(",") if name])
    rows = {name: {} for name in fills}
    shares = tuple(float(share) for share in options.shares.split(","))
    for i, (name, photo, mask) in enumerate(fill_cases.cases(options.photos, options.stamps, options.cases, options.side,
                                                             options.seed, shares)):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            Image.fromarray(photo).save(folder / "photo.png")
            Image.fromarray((mask * 255).astype(np.uint8)).save(folder / "mask.png")
            taking_part = {n: f for n, f in fills.items() if i < options.slow or not ("G'MIC" in n or n == "biharmonic")}
            done = {n: f(folder, photo, mask) for n, f in taking_part.items()}
        scores = fill_distance.compare(network, photo, {n: np.where(mask[..., None], d[0], photo) for n, d in done.items()}, mask)
        for n, score in scores.items():
            rows[n][i] = score + [done[n][1]]
        if options.sheet:
            pathlib.Path(options.sheet).mkdir(parents=True, exist_ok=True)
            shown = [np.where(mask[..., None], [255, 0, 255], photo)] + [d[0] for d in done.values()]
            Image.fromarray(np.concatenate(shown, 1).astype(np.uint8)).save(f"{options.sheet}/{name}.jpg")
    print(f"{options.cases} cases, long side {options.side}, holes of {options.shares} of the photo")
    print(f"{'fill':18} {'n':>4} {'d/8':>6} {'d/16':>6} {'d/32':>6} {'KL':>6} {'PSNR':>6} {'ms':>7} {'nearer':>7} {'ratio':>6}")
    for n, of in ((n, of) for n, of in rows.items() if of):  # --slow 0 leaves some without a case
        mean = np.mean(list(of.values()), 0)
        both = [i for i in of if i in rows.get("inpaint", {})]
        own, other = (np.array([r[i][1] for i in both]) for r in (of, rows.get("inpaint", of)))
        beside = f"{(own < other).mean():7.2f} {own.mean() / other.mean():6.3f}" if both else f"{'-':>7} {'-':>6}"
        print(f"{n:18} {len(of):4} {mean[0]:6.3f} {mean[1]:6.3f} {mean[2]:6.3f} {mean[3]:6.3f} {mean[4]:6.1f} "
              f"{np.median([r[5] for r in of.values()]):7.0f} {beside}")


if __name__ == "__main__":
    main()
