"""models, run and bench."""
import json
import shutil

import numpy as np
import pytest

from conftest import MODEL, ROOT


def test_models_are_listed(infomask):
    digits, photos = infomask("models").out.splitlines()
    assert digits.startswith("digits, version 1: 10 classes, 28x28, ")
    assert photos.startswith("efficientnet-lite0 (default), version 1: 1000 classes, 224x224, ")
    answer = infomask("models", "--json").json
    assert answer["default"] == "efficientnet-lite0"
    assert answer["models"][0]["document"]["training"]["seed"] == 1
    model = answer["models"][1]
    assert model["classes"] == 1000 and model["methods"][0] == "infocam" and model["isa"] and model["default"]
    assert model["document"]["licence"] == "Apache-2.0"


def test_labels_are_listed(infomask):
    lines = infomask("models", "--labels", "efficientnet-lite0").out.splitlines()
    assert len(lines) == 1000 and lines[0] == "0\ttench\tn01440764\tTinca tinca" and lines[281] == "281\ttabby\tn02123045\ttabby cat"
    assert infomask("models", "--labels", "--json").json["labels"][281] == {
        "index": 281, "label": "tabby", "aliases": ["n02123045", "tabby cat"]}


@pytest.fixture
def folder(tmp_path):
    """A copy of the default model that a test may spoil."""
    copy = tmp_path / "models" / "mine"
    shutil.copytree(MODEL, copy)
    return copy


def change(folder, **members):
    file = folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **members}))


def test_a_model_may_be_a_folder(infomask, folder, coffee):
    change(folder, name="mine", extra=1)
    result = infomask("classify", "--model", folder, coffee)
    assert result.json["model"]["name"] == "mine" and 'unknown key "extra"' in result.err
    assert infomask("classify", "--models-dir", folder.parent, "--model", "mine", coffee).json["model"]["name"] == "mine"
    assert infomask("classify", "--models-dir", folder.parent, coffee).json["model"]["name"] == "mine"


@pytest.mark.parametrize("members, reason", [
    ({"labels": "none.txt"}, "none.txt: cannot be read"),
    ({"file": "../other.onnx"}, '"file" must be a file of the model\'s own folder'),
    ({"file": "labels.txt"}, "model"),
    ({"input": {"crop": 7}}, '"input.crop" must be 0.01 to 1, not 7'),
    ({"prior": [1, 2]}, '"prior" must hold 1000 numbers'),
])
def test_a_bad_folder_is_refused_by_key(infomask, folder, coffee, members, reason):
    change(folder, **members)
    result = infomask("classify", "--model", folder, coffee)
    assert result.code == 1 and result.out == "" and reason in result.err


def test_a_name_of_two_classes_is_no_target(infomask, folder, coffee):
    lines = (folder / "labels.txt").read_text().splitlines()
    lines[3] = lines[500] = "crane"
    (folder / "labels.txt").write_text("\n".join(lines) + "\n")
    result = infomask("classify", "--model", folder, "--target", "crane", coffee)
    assert result.code == 1 and '"crane" names several classes: ask for one of the indices 3, 500' in result.err


def test_labels_and_outputs_must_agree(infomask, folder, coffee):
    (folder / "labels.txt").write_text("a\nb\n")
    (folder / "groups.tsv").unlink(missing_ok=True)  # whose members would be the first that are no classes
    result = infomask("classify", "--model", folder, coffee)
    assert result.code == 1 and "1000" in result.err and "2" in result.err


def test_an_empty_folder_says_what_to_do(infomask, coffee, tmp_path):
    (tmp_path / "none").mkdir()
    result = infomask("classify", "--models-dir", tmp_path / "none", coffee)
    assert result.code == 1 and "make model" in result.err


def test_a_folder_whose_network_was_not_fetched_says_so(infomask, folder, coffee):
    (folder / "model.onnx").unlink()
    for arguments in (["--model", folder], ["--models-dir", folder.parent]):
        result = infomask("classify", *arguments, coffee)
        assert result.code == 1 and ": its model.onnx is missing; make model" in result.err


# ---- Raw tensors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_run_gives_the_golden_logits(infomask, tmp_path, name):
    golden = ROOT / "tests" / "data" / "golden"
    x = np.fromfile(golden / f"{name}.input.f32", "<f4").reshape(1, 3, 224, 224)
    np.save(tmp_path / "x.npy", x)
    assert infomask("run", "efficientnet-lite0", "--input", "x.npy", "--output", "y.npy").code == 0
    y = np.load(tmp_path / "y.npy")
    assert y.shape == (1, 1000) and y.dtype == np.float32
    assert np.abs(y[0] - np.fromfile(golden / f"{name}.logits.f32", "<f4")).max() < 1e-4


def test_run_takes_batches_and_other_sizes(infomask, tmp_path):
    x = np.random.default_rng(0).standard_normal((3, 3, 96, 160)).astype("f4")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "x1.npy", x[1:2])
    infomask("run", "efficientnet-lite0", "-i", "x.npy", "-o", "y.npy")
    infomask("run", "efficientnet-lite0", "-i", "x1.npy", "-o", "y1.npy")
    assert np.abs(np.load(tmp_path / "y.npy")[1] - np.load(tmp_path / "y1.npy")[0]).max() < 1e-4


@pytest.mark.parametrize("array, reason", [
    (np.zeros((1, 3, 8, 8)), "its type is not '<f4'"),
    (np.zeros((1, 3, 8, 8), "f4", order="F"), "Fortran order"),
    (np.zeros((3, 8, 8), "f4"), "the input must be [n, channels, height, width] with 3 channels"),
    (np.zeros((1, 4, 8, 8), "f4"), "with 3 channels"),
    (np.zeros((0, 3, 8, 8), "f4"), "every side of the input must be 1 to 65535"),
])
def test_run_refuses_by_reason(infomask, tmp_path, array, reason):
    np.save(tmp_path / "x.npy", array)
    result = infomask("run", "efficientnet-lite0", "-i", "x.npy", "-o", "y.npy")
    assert result.code == 1 and reason in result.err and not (tmp_path / "y.npy").exists()


def test_run_refuses_damaged_files(infomask, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 32, 32), "f4"))
    whole = (tmp_path / "x.npy").read_bytes()
    for cut in (0, 5, 9, 40, 127, len(whole) - 1):
        (tmp_path / "x.npy").write_bytes(whole[:cut])
        result = infomask("run", "efficientnet-lite0", "-i", "x.npy", "-o", "y.npy")
        assert result.code == 1 and result.err.startswith("infomask run: x.npy: ")
    (tmp_path / "x.npy").write_bytes(whole.replace(b"(1, 3, 32, 32)", b"(999999999999)"))
    assert infomask("run", "efficientnet-lite0", "-i", "x.npy", "-o", "y.npy").code == 1


def test_run_needs_its_arguments(infomask):
    assert infomask("run", "efficientnet-lite0").code == 2
    assert infomask("run", "--input", "x.npy", "--output", "y.npy").code == 2


def test_bench_prints_its_figures(infomask):
    answer = infomask("bench", "efficientnet-lite0", "--size=96", "--batch=2", "--threads=1", "--precision=f32",
                      "--seconds=0.1", "--json").json
    assert list(answer) == ["runs", "min_ms", "median_ms", "images_per_second", "gflops", "peak_gflops", "isa",
                            "precision", "threads", "rss_mb"]
    assert answer["runs"] >= 3 and 0 < answer["min_ms"] <= answer["median_ms"] and answer["threads"] == 1
    assert answer["gflops"] > 0 and answer["peak_gflops"] > 0 and answer["rss_mb"] > 1


@pytest.mark.parametrize("arguments", [["--size=0"], ["--size=96x"], ["--batch=0"], ["--seconds=-1"], ["a", "b"]])
def test_bench_refuses_wrong_arguments(infomask, arguments):
    assert infomask("bench", *arguments).code == 2
