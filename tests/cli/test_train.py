"""infomask train: folders of photos to a model that is served, and what it says of itself."""
import io
import json
import math
import os
import shutil
import subprocess
import urllib.request

import drawn
import numpy as np
import pytest
from PIL import Image

from conftest import BINARY, MODEL, ROOT

DIGITS = ROOT / "config" / "models" / "digits"  # a small network: its features are poor, but they are there at once


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return drawn.folders(tmp_path_factory.mktemp("photos") / "own", {"mug": 40, "umbrella": 40}, 1)


@pytest.fixture
def train(infomask, tmp_path):
    """train(*arguments) -> Result; features are kept below tmp_path, models are made in tmp_path/models."""
    def run(*arguments, **more):
        return infomask("train", "--models-dir", tmp_path / "models", "--state-dir", tmp_path / "state", *arguments, **more)

    (tmp_path / "models").mkdir()
    return run


def mask_share(png, box):
    """The share of the mask that lies in the box, and the share of the box that it covers."""
    mask = np.asarray(Image.open(io.BytesIO(png))) > 127
    left, top, right, bottom = box
    inside = mask[top:bottom, left:right].sum()
    return inside / max(mask.sum(), 1), inside / ((bottom - top) * (right - left))


# ---- A stranger's run ------------------------------------------------------------------------------------------------

def post(address, path, data):
    with urllib.request.urlopen(urllib.request.Request(address + path, data=data), timeout=60) as reply:
        return reply.read()


def serve(models, state):
    """The daemon on a free port: process and address."""
    daemon = subprocess.Popen([BINARY, "serve", "--port", "0", "--models-dir", models, "--state-dir", state],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in daemon.stdout:
        if line.startswith("listening on "):
            return daemon, line.split()[2]
    raise AssertionError("the daemon does not listen")


def test_two_folders_become_a_served_model(train, photos, tmp_path):
    result = train("--images", photos, "--backbone", MODEL, "--name", "own", "--json")
    assert result.code == 0, result.err
    report = result.json
    held_out = report["cross_fit"]
    assert report["photos"] == held_out["samples"] == 80 and report["rejected"] == []
    assert held_out["accuracy"] >= 0.95
    assert 0.6 < held_out["mutual_information"]["estimate"] <= math.log(2) + 1e-9
    assert held_out["mutual_information"]["lower_limit"] > 0.2
    assert json.loads((tmp_path / "models" / "own" / "report.json").read_text())["cross_fit"] == held_out

    daemon, address = serve(tmp_path / "models", tmp_path / "state")
    try:
        random = np.random.default_rng(99)
        right, on, covers = 0, 0, 0
        for kind in 4 * ["mug", "umbrella"]:
            picture, box = drawn.photo(kind, random)
            data = io.BytesIO()
            picture.save(data, "PNG")
            answer = json.loads(post(address, "/v1/classify", data.getvalue()))
            right += answer["predictions"][0]["label"] == kind
            share, cover = mask_share(post(address, f"/v1/mask?target={kind}&format=png", data.getvalue()), box)
            on, covers = on + share / 8, covers + cover / 8
            filtered = json.loads(post(address, f"/v1/filter?target={kind}&format=json", data.getvalue()))
            assert filtered["verification"]["pmi_after"] < filtered["verification"]["pmi_before"]
        assert right >= 7 and on > 0.6 and covers > 0.3, (right, on, covers)
    finally:
        daemon.terminate()
        assert daemon.wait(60) == 0


# ---- What it says of the photos --------------------------------------------------------------------------------------

def test_bad_and_twofold_photos_are_named_and_skipped(train, photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    (folder / "mug" / "broken.png").write_bytes((photos / "mug" / "00.png").read_bytes()[:5000])
    (folder / "mug" / "notes.txt").write_text("these are mugs")
    os.mkfifo(folder / "mug" / "pipe.png")  # opening it would wait for ever
    (folder / "mug" / "nowhere.png").symlink_to("gone.png")
    with Image.open(folder / "mug" / "04.png") as picture:
        picture.save(folder / "mug" / "moves.webp", save_all=True, append_images=[picture.rotate(90)])
        picture.resize((1, 500)).save(folder / "mug" / "thin.png")
    shutil.copy(folder / "mug" / "01.png", folder / "mug" / "again.png")
    Image.open(folder / "mug" / "02.png").save(folder / "mug" / "other.png", compress_level=1)  # the same pixels
    shutil.copy(folder / "mug" / "03.png", folder / "umbrella" / "03-too.png")
    result = train("--images", folder, "--backbone", DIGITS, "--name", "m", "--json")
    assert result.code == 0, result.err
    rejected = {row["sample"]: row for row in result.json["rejected"]}
    assert {name: row["code"] for name, row in rejected.items()} == {
        "mug/broken.png": "bad_image", "mug/notes.txt": "unsupported_format", "mug/pipe.png": "io",
        "mug/nowhere.png": "io", "mug/moves.webp": "unsupported_format", "mug/thin.png": "bad_image",
        "mug/again.png": "duplicate",
        "mug/other.png": "duplicate", "mug/03.png": "contradiction", "umbrella/03-too.png": "contradiction"}
    assert "the same photo as mug/01.png" in rejected["mug/again.png"]["detail"]
    assert "another label" in rejected["mug/03.png"]["detail"]
    assert all(f"{name}: " in result.err for name in rejected)
    assert result.json["photos"] == 79


def test_near_copies_stay_in_one_fold(train, photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    for i in range(10):
        Image.open(folder / "mug" / f"{i:02}.png").save(folder / "mug" / f"{i:02}.jpg", quality=97)
    report = train("--images", folder, "--backbone", MODEL, "--name", "m", "--json").json
    assert report["photos"] == 90 and 8 <= report["near_copies"] <= 12


def test_held_out_photos_that_were_trained_on_are_no_witnesses(train, photos, tmp_path):
    held_out = drawn.folders(tmp_path / "held-out", {"mug": 15, "umbrella": 15}, 2)
    shutil.copy(photos / "mug" / "05.png", held_out / "mug" / "known.png")
    result = train("--images", photos, "--held-out", held_out, "--backbone", DIGITS, "--name", "m", "--json")
    report = result.json
    assert [(row["sample"], row["code"]) for row in report["held_out_rejected"]] == [("mug/known.png", "trained_on")]
    assert "mug/05.png" in result.err
    assert report["held_out"]["samples"] == 30 and report["cross_fit"]["samples"] == 80


def test_shuffled_labels_teach_nothing(train, photos):
    for seed in range(5):
        report = train("--images", photos, "--backbone", DIGITS, "--name", f"m{seed}", "--shuffle-labels", "--seed", seed,
                       "--json").json
        information = report["cross_fit"]["mutual_information"]
        assert information["lower_limit"] <= 0 and information["estimate"] < 0.05


def test_photos_of_one_folder_are_never_parted(train, photos, tmp_path):
    """Ten folders of eight photos, each below both classes: the limit is over ten groups."""
    for path in photos.rglob("*.png"):
        folder = tmp_path / "grouped" / path.parent.name / f"person {int(path.stem) % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    grouped = train("--images", tmp_path / "grouped", "--backbone", DIGITS, "--name", "a", "--group-by", "folder", "--json")
    assert grouped.code == 0, grouped.err
    limit = grouped.json["cross_fit"]["mutual_information"]
    assert (limit["limit_samples"], limit["units"]) == (80, 10) and limit["lower_limit_t"] is None
    plain = train("--images", photos, "--backbone", DIGITS, "--name", "b", "--group-by", "folder")
    assert plain.code == 1 and "no two photos lie in a folder" in plain.err
    assert train("--data", "mnist", "--name", "c", "--group-by", "folder").code == 2


# ---- What comes out --------------------------------------------------------------------------------------------------

def test_the_same_bits_from_cached_features_and_any_number_of_threads(train, photos, tmp_path):
    runs = {"first": ["--threads", 1], "cached": ["--threads", 2], "anew": ["--threads", 3, "--no-cache"]}
    from_cache = {}
    for name, arguments in runs.items():
        from_cache[name] = train("--images", photos, "--backbone", DIGITS, "--name", name, "--json", *arguments).json["from_cache"]
    assert from_cache == {"first": 0, "cached": 80, "anew": 0}
    models = {(tmp_path / "models" / name / "model.onnx").read_bytes() for name in runs}
    assert len(models) == 1


def test_unbalanced_folders_and_pc_softmax(train, infomask, tmp_path):
    folder = drawn.folders(tmp_path / "photos", {"mug": 30, "umbrella": 10}, 3)
    photo = folder / "mug" / "00.png"
    answers = {}
    for objective in ("softmax", "pc-softmax"):
        result = train("--images", folder, "--backbone", DIGITS, "--name", objective, "--objective", objective, "--json")
        assert result.code == 0, result.err
        document = json.loads((tmp_path / "models" / objective / "model.json").read_text())
        assert document["objective"] == objective
        assert document["logit_prior"] == ("prior.txt" if objective == "softmax" else "uniform")
        assert [float(v) for v in (tmp_path / "models" / objective / "prior.txt").read_text().split()] == [0.75, 0.25]
        for prior in ("train", "uniform"):
            answers[objective, prior] = infomask("classify", "--model", tmp_path / "models" / objective, "--prior", prior,
                                                 photo).json["predictions"]
    for prior in ("train", "uniform"):  # one posterior, whatever is inside the logits
        a, b = ({row["label"]: row for row in answers[objective, prior]} for objective in ("softmax", "pc-softmax"))
        assert all(abs(a[label]["pmi"] - b[label]["pmi"]) < 1e-4 for label in a)


def test_augmented_views_are_learnt_from_but_not_measured_on(train, photos, tmp_path):
    report = train("--images", photos, "--backbone", DIGITS, "--name", "m", "--augment", "flip,crop", "--json").json
    assert report["cross_fit"]["samples"] == 80
    assert json.loads((tmp_path / "models" / "m" / "model.json").read_text())["training"]["views"] == 6


def test_labels_that_could_not_be_served_are_refused(train, photos, tmp_path):
    for name, reason in ((b"a\tb", "without tabs"), (b"\xff", "is UTF-8"), (b"a\x7f", "control characters")):
        folder = tmp_path / "photos"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(photos, folder)
        os.rename(os.fsencode(folder) + b"/mug", os.fsencode(folder) + b"/" + name)
        result = train("--images", folder, "--backbone", DIGITS, "--name", "m")
        assert result.code == 1 and reason in result.err, result.err
        assert os.listdir(tmp_path / "models") == []


def test_a_page_of_text_says_what_was_found(train, photos):
    result = train("--images", photos, "--backbone", DIGITS, "--name", "m")
    assert result.code == 0 and "80 of 80 (0 bad" in result.out and "lower limit, 97.5 %" in result.out
    assert "exact posterior" not in result.out
    assert "infomask classify --model m PHOTO" in result.out


# ---- Refusals --------------------------------------------------------------------------------------------------------

def test_a_model_is_not_overwritten_unawares(train, photos, tmp_path):
    arguments = ["--images", photos, "--backbone", DIGITS, "--name", "m", "--json"]
    assert train(*arguments).code == 0
    again = train(*arguments)
    assert again.code == 1 and "is there already; --replace" in again.err
    assert train(*arguments, "--replace", "--objective", "pc-softmax").code == 0
    assert json.loads((tmp_path / "models" / "m" / "model.json").read_text())["objective"] == "pc-softmax"
    other = tmp_path / "models" / "other"
    other.mkdir()
    (other / "diary.txt").write_text("mine")
    refused = train("--images", photos, "--backbone", DIGITS, "--name", "other", "--replace")
    assert refused.code == 1 and "not a model folder" in refused.err and (other / "diary.txt").exists()
    assert sorted(os.listdir(tmp_path / "models")) == ["m", "other"]  # nothing half made is left


@pytest.mark.parametrize("arguments, code, reason", [
    ([], 2, "one of --images"),
    (["--images", "PHOTOS"], 2, "--name is needed"),
    (["--images", "PHOTOS", "--name", "m", "--augment", "spin"], 2, '"spin" is not a value'),
    (["--images", "PHOTOS", "--name", "m", "--objective", "mse"], 2, '"mse" is not a value'),
    (["--images", "PHOTOS", "--name", "a b"], 1, "a model's name is"),
    (["--images", "PHOTOS/mug", "--name", "m"], 1, "one subfolder a class"),
    (["--images", "PHOTOS/none", "--name", "m"], 1, "No such file"),
    (["--images", "FEW", "--name", "m"], 1, 'class "mug" has 1 good photo; every class needs at least 2'),
    (["--images", "PHOTOS", "--held-out", "STRANGE", "--name", "m"], 1, 'no class is named "teapot"'),
])
def test_wrong_use_is_explained(train, photos, tmp_path, arguments, code, reason):
    for folder, kinds in {"FEW": ["mug", "umbrella"], "STRANGE": ["teapot"]}.items():
        for i, kind in enumerate(kinds):
            (tmp_path / folder / kind).mkdir(parents=True)
            for j in range(1 + 11 * i):
                shutil.copy(photos / ["mug", "umbrella"][i] / f"{j:02}.png", tmp_path / folder / kind)
    words = [a.replace("PHOTOS", str(photos)).replace("FEW", str(tmp_path / "FEW")).replace("STRANGE", str(tmp_path / "STRANGE"))
             for a in arguments]
    result = train("--backbone", DIGITS, *words)
    assert result.code == code and reason in result.err, result.err
    assert os.listdir(tmp_path / "models") == []
