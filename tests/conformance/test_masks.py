"""The mask chain against OpenCV and NumPy: each step on the same numbers, then all of it on photos."""
import io
import os
import pathlib
import subprocess

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import mask_reference as ref

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = os.environ["INFOMASK_STEPS"]
BINARY = os.environ["INFOMASK_BIN"]
PHOTOS = ROOT / "tests" / "data" / "photos"
MODEL = ROOT / "config" / "models" / "efficientnet-lite0" / "model.onnx"


def step(name, *parameters, inputs):
    data = b"".join(np.ascontiguousarray(a, np.float32).tobytes() for a in inputs)
    done = subprocess.run([STEPS, name, *map(str, parameters)], input=data, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32)


@pytest.fixture(scope="module")
def guide():
    return np.asarray(Image.open(PHOTOS / "chelsea.png").convert("RGB").resize((224, 149), Image.BILINEAR),
                      np.float32) / 255


def blobs(shape, sigma, seed=0):
    m = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), sigma)
    return ((m - m.min()) / (m.max() - m.min())).astype(np.float32)


@pytest.mark.parametrize("radius", [8, 10, 16, 20])
@pytest.mark.parametrize("eps", [1e-3, 1e-4])
def test_guided_filter_is_that_of_the_paper(guide, radius, eps):
    p = (blobs(guide.shape[:2], 8) > .5).astype(np.float32)
    out = step("guided", *p.shape, radius, eps, inputs=[guide, p]).reshape(p.shape)
    assert np.abs(out - ref.guided(guide, p, radius, eps)).max() < 2e-4


@pytest.mark.parametrize("seed", range(6))
def test_otsu_is_opencvs(seed):
    v = np.random.default_rng(seed).beta(1 + seed, 4, 30000)
    got = step("otsu", inputs=[v])[0]
    level, _ = cv2.threshold(np.minimum(v * 256, 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    assert got == np.float32((level + .5) / 256)


def test_lab_is_opencvs(guide):
    got = step("lab", inputs=[guide]).reshape(guide.shape)
    assert np.abs(got - cv2.cvtColor(guide, cv2.COLOR_RGB2LAB)).max() < .5  # OpenCV interpolates in tables


@pytest.mark.parametrize("h, w", [(28, 42), (13, 57), (101, 100)])
def test_reductions_are_means_over_areas(guide, h, w):
    got = step("resize", *guide.shape, h, w, inputs=[guide]).reshape(h, w, 3)
    assert np.abs(got - cv2.resize(guide, (w, h), interpolation=cv2.INTER_AREA)).max() < 1e-5


@pytest.mark.parametrize("h, w", [(150, 225), (375, 500), (298, 1000)])
def test_enlargements_are_bilinear(guide, h, w):
    got = step("resize", *guide.shape, h, w, inputs=[guide]).reshape(h, w, 3)
    assert np.abs(got - ref.bilinear(guide, h, w)).max() < 1e-5


@pytest.mark.parametrize("radius, feather", [(0, 0), (3, 0), (7.5, 0), (3, 5), (0, 12)])
def test_dilation_is_that_of_the_euclidean_distance(radius, feather):
    mask = (blobs((120, 170), 3) > .75) * 255
    distance = ndimage.distance_transform_edt(mask == 0)
    falls = 255 * np.clip(1 - (distance - radius) / feather, 0, 1) if feather else 255 * (distance <= radius)
    got = step("dilate", *mask.shape, radius, feather, inputs=[mask]).reshape(mask.shape)
    assert np.abs(got - falls).max() <= 1


def test_inpainting_is_opencvs():
    photo = np.asarray(Image.open(PHOTOS / "coffee.png").convert("RGB").resize((500, 375), Image.BICUBIC))
    hole = np.zeros(photo.shape[:2], np.uint8)
    cv2.ellipse(hole, (260, 190), (150, 120), 20, 0, 360, 255, -1)
    want = cv2.inpaint(photo, hole, 5, cv2.INPAINT_TELEA)
    got = step("telea", *hole.shape, 5, inputs=[photo, hole]).reshape(photo.shape)
    difference, depth = np.abs(got - want), ndimage.distance_transform_edt(hole)
    assert difference[hole == 0].max() == 0
    # a grey level's rounding a pixel: OpenCV's adds up and lightens the depths of a hole
    assert difference[(depth > 0) & (depth <= 20)].mean() < 2 and difference[depth > 0].mean() < 8


@pytest.mark.parametrize("rows, columns, centre", [(14, 14, .5), (24, 32, .45)])
def test_graph_and_its_solution_are_numpys(rows, columns, centre):
    n, rng = rows * columns, np.random.default_rng(rows)
    base = np.stack([blobs((rows, columns), 2, i) for i in range(4)], -1).reshape(n, 4)
    tensors = [base @ rng.normal(size=(4, c)) + .5 * rng.normal(size=(n, c)) for c in (112, 192)]
    lab, seeds = base[:, :3] * [60, 50, 50] + [20, -25, -25], base[:, 0] / base[:, 0].max()
    got = step("graph", n, 112, 192, 1, .5, centre, inputs=[*tensors, lab, seeds])
    x, A, p = np.split(got, [n * 304, n * 304 + n * n])
    want = ref.cells([t.reshape(rows, columns, -1) for t in tensors], (1, .5))
    assert np.abs(x.reshape(n, 304) - want).max() < 1e-5
    want = ref.affinity(want, lab)
    assert np.abs(A.reshape(n, n) - want)[np.triu_indices(n)].max() < 1e-5
    assert np.abs(p - ref.spread(want, seeds, centre)).max() < 1e-2  # conjugate gradients stop at 1e-3


@pytest.mark.parametrize("target", [0, 7, 99])
def test_class_maps_are_their_closed_forms(target):
    rng = np.random.default_rng(target)
    f = np.maximum(rng.normal(.1, 1, (9, 12, 160)), 0).astype(np.float32)
    W, b = rng.normal(0, .1, (100, 160)).astype(np.float32), rng.normal(0, .1, 100).astype(np.float32)
    got = step("maps", 9, 12, 160, 100, target, 5, inputs=[f, W, b]).reshape(5, 9, 12)
    for mine, want in zip(got, (ref.infocam(f, W, b, target), f @ W[target], ref.gradcam_pp(f, W, target),
                                ref.layercam(f, W, target), ref.window_pmi(f, W, b, target, 5))):
        assert np.abs(mine - want).max() < 2e-5 * max(1, np.abs(want).max())


# ---- The whole chain ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def network():
    return ref.Network(str(MODEL))


def picture(path, output, target, quality):
    done = subprocess.run([BINARY, "mask", "-q", "--output", output, "--format=png", "--target", str(target),
                           "--quality", quality, path], capture_output=True, check=True)
    return np.asarray(Image.open(io.BytesIO(done.stdout)))


def tidied(mask):
    """Without specks and pinholes of less than 1/10,000 of the photo; the largest region stays."""
    for value in (True, False):
        labels, _ = ndimage.label(mask == value, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        small = (sizes < min(mask.size // 10000, sizes.max()))[labels] & (labels > 0)
        mask = np.where(small, not value, mask)
    return mask


CASES = [("chelsea.png", 281), ("chelsea.png", 285), ("coffee.png", 967), ("coffee.png", 504), ("rocket.jpg", 657)]


@pytest.mark.parametrize("quality", ["fast", "middle", "standard"])
@pytest.mark.parametrize("name, target", CASES)
def test_chain_is_the_references(network, tmp_path, name, target, quality):
    photo = Image.open(PHOTOS / name).convert("RGB")
    photo.save(tmp_path / "photo.png")  # one decoder for both
    saliency, x, gate = ref.chain(network, photo, target, quality)
    h, w = photo.height, photo.width
    got = picture(tmp_path / "photo.png", "saliency", target, quality) / 65535
    difference = np.abs(got - ref.bilinear(saliency, h, w))
    mask = picture(tmp_path / "photo.png", "mask", target, quality) > 0
    want = tidied((ref.bilinear(x, h, w) >= .5) & (ref.bilinear(gate, h, w) >= .5))
    iou = (mask & want).sum() / (mask | want).sum()
    print(f"{name} {target} {quality}: saliency within {difference.max():.4f}, mean {difference.mean():.5f}; "
          f"masks overlap {iou:.4f}")
    assert difference.max() < .01 and difference.mean() < 5e-4 and iou > .997


def test_chain_finds_nothing_where_nothing_is(network):
    photo = Image.open(PHOTOS / "coffee.png").convert("RGB")
    assert ref.chain(network, photo, 281) is None
    assert picture(PHOTOS / "coffee.png", "mask", 281, "standard").max() == 0
