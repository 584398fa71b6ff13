"""models calibrate, against Newton's method in NumPy on logits from `infomask run`."""
import json
import os
import shutil

import numpy
import pytest
from PIL import Image

from conftest import ROOT

DIGITS = ROOT / "config" / "models" / "digits"


@pytest.fixture
def digits(tmp_path):
    """A model folder that may be written to, 300 digits with others shining through, a folder for each, their tensor."""
    folder = tmp_path / "digits"
    shutil.copytree(DIGITS, folder, copy_function=lambda a, b: shutil.copy(os.path.realpath(a), b))
    r = numpy.random.default_rng(3)
    pixels, labels = [], []
    for i in range(300):
        label = i % 10
        share = r.uniform(0.35, 0.9)
        both = [numpy.roll(numpy.asarray(Image.open(ROOT / f"tests/data/digits/{digit}.png").convert("L"), float),
                           r.integers(-2, 3, 2), (0, 1)) for digit in (label, r.integers(0, 10))]
        mixed = (share * both[0] + (1 - share) * both[1]).astype(numpy.uint8)
        (tmp_path / "photos" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mixed).save(tmp_path / "photos" / str(label) / f"{i}.png")
        pixels.append(mixed / 255), labels.append(label)
    numpy.save(tmp_path / "x.npy", numpy.array(pixels, numpy.float32)[:, None])
    return folder, tmp_path / "photos", numpy.array(labels)


def log_softmax(z):
    z = z - z.max(1, keepdims=True)
    return z - numpy.log(numpy.exp(z).sum(1, keepdims=True))


def loss(z, labels):
    return -log_softmax(z)[numpy.arange(len(labels)), labels].mean()


def fitted(z, labels, vector):
    """(b, biases [K], log loss) of the likeliest softmax(b z + biases): Newton's method, steps halved where they overshoot."""
    n, k = z.shape
    parts = numpy.concatenate([z[:, :, None], numpy.broadcast_to(numpy.eye(k), (n, k, k))], 2)[:, :, :None if vector else 1]
    value, p = numpy.inf, numpy.zeros(parts.shape[2])
    step = -p
    while True:
        now = loss(parts @ (p + step), labels)
        if not now <= value:
            step = step / 2
            continue
        if value - now < 1e-13:
            return p[0], p[1:], now
        value, p = now, p + step
        q = numpy.exp(log_softmax(parts @ p))
        mean = numpy.einsum("nk,nkp->np", q, parts)
        slope = (mean - parts[numpy.arange(n), labels]).mean(0)
        bend = numpy.einsum("nk,nkp,nkr->pr", q, parts, parts) / n - mean.T @ mean / n
        step = -numpy.linalg.solve(bend + 1e-9 * numpy.eye(len(p)), slope)


def logits_of(infomask, folder, tmp_path):
    done = infomask("run", folder, "--input", "x.npy", "--output", "z.npy")
    assert done.code == 0, done.err
    return numpy.load(tmp_path / "z.npy").astype(float).reshape(300, 10)


def test_the_temperature_is_the_likeliest(infomask, digits, tmp_path):
    folder, photos, labels = digits
    z = logits_of(infomask, folder, tmp_path)
    b, _, least = fitted(z, labels, False)
    dry = infomask("models", "calibrate", folder, photos, "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert dry.json["temperature"] == pytest.approx(1 / b, rel=2e-3) and dry.json["written"] is False
    assert dry.json["log_loss_before"] == pytest.approx(loss(z, labels), abs=2e-3)
    assert least - 2e-3 < dry.json["log_loss_after"] < loss(z, labels)
    assert "temperature" not in json.loads((folder / "model.json").read_text())

    told = infomask("models", "calibrate", folder, photos)
    assert told.code == 0 and "300 photos" in told.out and "recorded" in told.out
    shown = infomask("models", folder, "--json").json["document"]
    assert shown["temperature"] == pytest.approx(dry.json["temperature"]) and shown["calibration"]["samples"] == 300
    assert shown["calibration"]["method"] == "temperature" and shown["name"] == "digits"
    after = infomask("estimate", "--images", photos, folder, "--store", "s.db", "--json").json
    assert after["calibration"]["log_loss"] == pytest.approx(least, abs=2e-3)
    assert after["calibrated"]["temperature"] == pytest.approx(1, abs=5e-3)

    again = infomask("models", "calibrate", folder, photos)  # on its own photos there is nothing left to gain
    assert again.code == 0 and "nothing is gained" in again.out


def test_a_bias_for_each_class(infomask, digits, tmp_path):
    folder, photos, labels = digits
    z = logits_of(infomask, folder, tmp_path)
    b, _, least = fitted(z, labels, True)
    done = infomask("models", "calibrate", "--vector", folder, photos, "--json")
    assert done.code == 0, done.err
    assert done.json["method"] == "vector scaling" and done.json["written"] is True
    assert done.json["temperature"] == pytest.approx(1 / b, rel=0.02)
    after = infomask("estimate", "--images", photos, folder, "--store", "s.db", "--json").json
    assert after["calibration"]["log_loss"] == pytest.approx(least, abs=3e-3)
    assert after["plug_in"] == pytest.approx(after["mutual_information"]["estimate"], abs=5e-3)  # D4


def test_what_cannot_be_calibrated(infomask, digits, tmp_path):
    folder, photos, _ = digits
    assert infomask("models", "calibrate", folder).code == 2
    shutil.rmtree(photos / "7")
    done = infomask("models", "calibrate", "--vector", folder, photos)
    assert done.code == 1 and "class 7 has 0" in done.err
    for label in "012345689":
        for path in sorted((photos / label).iterdir())[8:]:
            path.unlink()
    done = infomask("models", "calibrate", folder, photos)
    assert done.code == 1 and "too few" in done.err and "calibration" not in (folder / "model.json").read_text()
