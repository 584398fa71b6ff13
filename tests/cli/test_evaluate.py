"""evaluate masks: the scores of maps that are known, against their definitions in NumPy."""
import os

import numpy as np
import pytest
from PIL import Image

H, W = 149, 224  # the working size: nothing is resized


@pytest.fixture
def folders(tmp_path, coffee):
    """folders(map) -> the options of a folder with one photo, one truth and the map."""
    for name in ("photos", "truths", "maps"):
        (tmp_path / name).mkdir()
    Image.open(coffee).convert("RGB").resize((W, H)).save(tmp_path / "photos" / "cup.png")
    truth = np.zeros((H, W), np.uint8)
    truth[40:140, 60:190] = 1
    Image.fromarray(truth * 255).save(tmp_path / "truths" / "cup.png")

    def options(values=None):
        if values is not None:
            np.save(tmp_path / "maps" / "cup.npy", values)
        maps = [] if values is None else ["--maps", tmp_path / "maps"]
        return ["evaluate", "masks", "--images", tmp_path / "photos", "--masks", tmp_path / "truths", *maps]

    options.truth = truth
    return options


def average_precision(values, truth):
    order = np.argsort(-values.ravel(), kind="stable")
    hit = truth.ravel()[order]
    precision = np.cumsum(hit) / np.arange(1, hit.size + 1)
    return float((precision * hit).sum() / hit.sum())


def test_a_map_that_is_the_truth_has_full_marks(infomask, folders):
    mean = infomask(*folders(folders.truth), "--quick", "--json").json["mean"]
    assert mean == {"photos": 1, "pixel_ap": 1, "mask_iou": 1, "max_box_accuracy": 1, "pointing": 1}


def test_a_map_that_is_wrong_everywhere_has_none(infomask, folders):
    mean = infomask(*folders((1 - folders.truth).astype(bool)), "--quick", "--json").json["mean"]
    assert mean["mask_iou"] == mean["pointing"] == 0
    assert abs(mean["pixel_ap"] - folders.truth.mean()) < 1e-6  # of the truth's pixels, all tied at the end


@pytest.mark.parametrize("kind", ["float32", "float64", "int16"])
def test_average_precision_is_that_of_its_definition(infomask, folders, kind):
    values = np.random.default_rng(3).permutation(H * W).reshape(H, W)
    values = (values * .5 + folders.truth * 9000.).astype(kind)
    values = np.arange(H * W).reshape(H, W)[::-1] // 2 * 1. + values if kind == "float64" else values
    got = infomask(*folders(values), "--quick", "--json").json["mean"]["pixel_ap"]
    if kind == "int16":  # has ties: between the best and the worst order of the tied
        assert abs(got - average_precision(values.astype(float), folders.truth)) < 1e-2
    else:
        assert abs(got - average_precision(values, folders.truth)) < 1e-5


def test_the_box_is_that_of_the_largest_region_at_the_best_level(infomask, folders):
    values = np.zeros((H, W), np.float32)
    values[40:140, 60:190] = .5      # the truth's box, but only at levels under a half
    values[40:140, 60:100] = 1
    values[0:20, 0:20] = 1           # a smaller region beside it
    mean = infomask(*folders(values), "--quick", "--json").json["mean"]
    assert mean["max_box_accuracy"] == 1
    values[40:140, 60:190] = 0
    values[40:140, 60:100] = 1       # a third of the box at every level
    assert infomask(*folders(values), "--quick", "--json").json["mean"]["max_box_accuracy"] == 0


def test_our_own_map_is_more_faithful_than_its_opposite(infomask, folders, tmp_path, coffee):
    saliency = tmp_path / "saliency.png"
    assert infomask("mask", "--output=saliency", "-q", "-o", saliency, tmp_path / "photos" / "cup.png").code == 0
    values = np.asarray(Image.open(saliency), np.float32)
    own = infomask(*folders(), "--json").json["mean"]
    ours = infomask(*folders(values), "--json").json["mean"]
    opposite = infomask(*folders(values.max() - values), "--json").json["mean"]
    for key in ("pixel_ap", "deletion", "insertion", "road", "average_drop"):
        assert abs(own[key] - ours[key]) < .06, key  # the same map at working size or enlarged by the PNG
    assert ours["deletion"] < opposite["deletion"] - 1 and ours["insertion"] > opposite["insertion"] + 1
    assert ours["road"] > 1 > -1 > opposite["road"] and ours["average_drop"] < opposite["average_drop"]


def test_the_table_says_the_unit(infomask, folders):
    lines = infomask(*folders(folders.truth)).out.splitlines()
    assert lines[0].split() == ["photos", "1"] and lines[1].split() == ["pixel", "AP", "1.000"]
    assert [line.split()[-1] for line in lines if line.startswith(("deletion", "insertion", "ROAD"))] == ["nats"] * 3


@pytest.mark.parametrize("break_it, says", [
    (lambda f: (f / "truths" / "cup.png").unlink(), "truths/cup"),
    (lambda f: (f / "maps" / "cup.npy").unlink(), "maps/cup"),
    (lambda f: np.save(f / "maps" / "cup.npy", np.full((4, 4), np.nan)), "not finite"),
    (lambda f: np.save(f / "maps" / "cup.npy", np.zeros((4, 4, 1))), "two dimensions"),
    (lambda f: np.save(f / "maps" / "cup.npy", np.zeros((4, 4), complex)), "not a real number"),
    (lambda f: (f / "photos" / "cup.png").write_bytes(b"no photo"), "cup.png"),
    (lambda f: ((f / "truths" / "cup.png").unlink(), os.mkfifo(f / "truths" / "cup.png")), "truths/cup"),
])
def test_what_cannot_be_scored_is_named(infomask, folders, tmp_path, break_it, says):
    options = folders(folders.truth)
    break_it(tmp_path)
    result = infomask(*options, "--quick")
    assert result.code == 1 and says in result.err and "no photo in" in result.err


def test_a_pipe_among_the_photos_is_not_waited_for(infomask, folders, tmp_path):
    os.mkfifo(tmp_path / "photos" / "pipe.jpg")
    assert infomask(*folders(folders.truth), "--quick").out.split()[:2] == ["photos", "1"]


def test_both_folders_are_needed(infomask, tmp_path):
    assert infomask("evaluate", "masks", "--images", tmp_path).code == 2
    assert infomask("evaluate", "--images", tmp_path, "--masks", tmp_path).code == 2
