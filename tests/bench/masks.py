#!/usr/bin/env python3
"""How long a mask takes, in turn with its peers: the network alone, and pytorch-grad-cam from JPEG to overlay PNG.

    masks.py BENCH INFOMASK MODEL PHOTOS [--rounds N] [--precision P] [--json FILE]

BENCH is the program built from masks.c; PHOTOS a folder with coffee.png, from which JPEGs of 500 x 375 and 4000 x 3000
are made.  One thread each; the figures are minima over the rounds, of processor time and of wall time.  Without
pytorch-grad-cam (`make bench-masks PEERS=1` fetches it: 6 GB) ours are timed alone.
"""
import argparse
import io
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

CASES = ["network 224", "network 448", "mask fast", "mask middle", "mask standard", "fill inpaint", "fill match",
         "overlay fast", "overlay standard", "filter inpaint", "filter match"]


class Ours:
    def __init__(self, bench, model, photo, precision):
        self.process = subprocess.Popen([bench, model, photo, precision], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def run(self, case):
        """Milliseconds of the processor and of the wall."""
        self.process.stdin.write(case + "\n")
        self.process.stdin.flush()
        return tuple(float(v) for v in self.process.stdout.readline().split())


class GradCam:
    """pytorch-grad-cam on the same network and photo, as its README has it, the overlay at the photo's size."""

    def __init__(self, model, photo):
        import cv2
        import torch
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.image import show_cam_on_image
        from torch_onnx import Network
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        self.cv2, self.torch, self.show = cv2, torch, show_cam_on_image
        self.bytes = np.frombuffer(pathlib.Path(photo).read_bytes(), np.uint8)
        network = Network(model).eval()
        self.cam = GradCAM(model=network, target_layers=[network.features])

    def overlay(self):
        image = self.cv2.imdecode(self.bytes, self.cv2.IMREAD_COLOR)[..., ::-1]
        side = int(.875 * min(image.shape[:2]))
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        crop = self.cv2.resize(image[top:top + side, left:left + side], (224, 224), interpolation=self.cv2.INTER_AREA)
        x = self.torch.from_numpy(((crop.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None].copy())
        cam = self.cam(input_tensor=x, targets=None)[0]
        whole = np.zeros(image.shape[:2], np.float32)
        whole[top:top + side, left:left + side] = self.cv2.resize(cam, (side, side))
        picture = self.show(image.astype(np.float32) / 255, whole, use_rgb=True)
        return self.cv2.imencode(".png", picture[..., ::-1])[1].tobytes()

    def run(self):
        processor, wall = time.process_time(), time.perf_counter()
        assert self.overlay()[:4] == b"\x89PNG"
        return (time.process_time() - processor) * 1e3, (time.perf_counter() - wall) * 1e3


def peer(model, photo):
    try:
        return GradCam(model, photo)
    except ImportError as reason:
        print(f"pytorch-grad-cam is not here ({reason}): ours alone")
        return None


def make_photos(photos, folder):
    image = Image.open(pathlib.Path(photos) / "coffee.png").convert("RGB")
    w, h = image.size
    image = image.crop(((w - h * 4 // 3) // 2, 0, (w + h * 4 // 3) // 2, h))
    noise = np.random.default_rng(0).normal(0, 4, (3000, 4000, 3))
    large = np.asarray(image.resize((4000, 3000), Image.BICUBIC), np.float32) + noise
    paths = [str(pathlib.Path(folder) / name) for name in ("small.jpg", "large.jpg")]
    image.resize((500, 375), Image.LANCZOS).save(paths[0], quality=90)
    Image.fromarray(large.clip(0, 255).astype(np.uint8)).save(paths[1], quality=90)
    return paths


def filtered(infomask, photo):
    """The command line from the file to the PNG: milliseconds of processor and wall, and the largest MB."""
    most = 0
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([infomask, "filter", "-q", "--threads", "1", "-o", folder + "/out.png", photo])
        while process.poll() is None:  # ru_maxrss would begin with that of this program
            for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
                most = max(most, int(line.split()[1])) if line.startswith("VmHWM") else most
            time.sleep(.005)
        assert process.returncode == 0 and Image.open(folder + "/out.png").size == (4000, 3000)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor * 1e3, wall * 1e3, most / 1024


def least(rows):
    return tuple(min(column) for column in zip(*rows))


def main():
    parser = argparse.ArgumentParser()
    for name in ("bench", "infomask", "model", "photos"):
        parser.add_argument(name)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--json")
    a = parser.parse_args()
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    with tempfile.TemporaryDirectory() as folder:
        small, large = make_photos(a.photos, folder)
        ours, other, rows = Ours(a.bench, a.model, small, a.precision), peer(a.model, small), {}
        for _ in range(a.rounds):
            for case in CASES:
                rows.setdefault(case, []).append(ours.run(case))
            if other:
                rows.setdefault("pytorch-grad-cam", []).append(other.run())
        whole = least([filtered(a.infomask, large) for _ in range(3)])
    best = {case: least(r) for case, r in rows.items()}
    print("minima in ms          processor     wall")
    for case, (processor, wall) in best.items():
        print(f"{case:20} {processor:10.1f} {wall:8.1f}")
    for quality, side, allowed in (("standard", 448, 15), ("fast", 224, 5)):
        print(f"mask {quality} less the network at {side}: {best['mask ' + quality][0] - best[f'network {side}'][0]:.1f} "
              f"ms of the processor (at most {allowed})")
    if other:
        for quality, times in (("fast", 4), ("standard", 2)):
            print(f"pytorch-grad-cam / overlay {quality}: {best['pytorch-grad-cam'][0] / best['overlay ' + quality][0]:.1f} "
                  f"(at least {times})")
    print(f"12 megapixels filtered as PNG, the program's start included: {whole[0]:.0f} ms of the processor, "
          f"{whole[1]:.0f} ms, {whole[2]:.0f} MB (less than 1800 ms, 200 MB)")
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps({"ms": best, "twelve_megapixels": whole}))


if __name__ == "__main__":
    main()
