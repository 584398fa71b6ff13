#!/usr/bin/env python3
"""Writes the small golden cases of tests/data/mask from the reference (needs numpy and opencv-python-headless):

    make_golden.py tests/data/mask

Each file is raw little-endian float32, inputs first, then what they give, in the order of the calls of put()."""
import pathlib
import sys

import cv2
import numpy as np

import mask_reference as ref

out = pathlib.Path(sys.argv[1])


class File:
    def __init__(self, name):
        self.path, self.parts = out / name, []

    def put(self, *arrays):
        self.parts += [np.ascontiguousarray(a, np.float32).ravel() for a in arrays]

    def close(self):
        np.concatenate(self.parts).tofile(self.path)


def smooth(rng, shape, sigma):
    a = cv2.GaussianBlur(rng.random(shape).astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return (a - a.min()) / (a.max() - a.min())


rng = np.random.default_rng(7)
h, w, d, K = 4, 5, 24, 12
f = np.maximum(rng.normal(.2, 1, (h, w, d)), 0).astype(np.float32)
W = rng.normal(0, .4, (K, d)).astype(np.float32)
b = rng.normal(0, .2, K).astype(np.float32)
t = rng.dirichlet(np.full(K, 3.0)).astype(np.float32)
maps = File("class_maps.f32")
maps.put(f, W, b, t, ref.infocam(f, W, b, 3), f @ W[3], ref.gradcam_pp(f, W, 3), ref.layercam(f, W, 3),
         ref.window_pmi(f, W, b, 3, 3),
         ref.window_pmi(f, W, b, 3, 3, np.log(t.astype(np.float64)), np.full(K, -np.log(K))))
maps.close()

n, gh, gw = 48, 6, 8
base = np.stack([smooth(rng, (gh, gw), 1.5) for _ in range(4)], -1)
tensors = [(base @ rng.normal(size=(4, c)) + .4 * rng.normal(size=(gh, gw, c))).astype(np.float32) for c in (10, 14)]
lab = (base[..., :3] * [60, 40, 40] + [20, -20, -20]).reshape(n, 3).astype(np.float32)
seeds = base[..., 0].reshape(n)
x = ref.cells(tensors, (1, .5))
A = ref.affinity(x, lab)
graph = File("graph.f32")
graph.put(*tensors, lab, seeds, x, A, ref.spread(A, seeds, .45))
graph.close()

ih, iw = 30, 44
image = np.stack([smooth(rng, (ih, iw), 3) for _ in range(3)], -1)
p = (smooth(rng, (ih, iw), 4) > .5).astype(np.float32)
pixels = File("guided.f32")
pixels.put(image, p, ref.guided(image, p, 5, 1e-3), ref.guided(image, p, 5, 1e-4),
           cv2.resize(image, (17, 13), interpolation=cv2.INTER_AREA),
           cv2.resize(image, (61, 47), interpolation=cv2.INTER_LINEAR))
pixels.close()

v = rng.beta(2, 5, 400).astype(np.float32)
values = File("otsu.f32")
values.put(v, [ref.otsu(v)])
values.close()

photo = (np.stack([smooth(rng, (40, 56), 5) for _ in range(3)], -1) * 200 + 28).astype(np.uint8)
hole = np.zeros((40, 56), np.uint8)
cv2.ellipse(hole, (26, 20), (13, 9), 20, 0, 360, 255, -1)
fill = File("telea.f32")
fill.put(photo, hole, cv2.inpaint(photo, hole, 4, cv2.INPAINT_TELEA))
fill.close()
