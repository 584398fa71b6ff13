"""What each knob of a mask means, seen from outside: the pictures against each other and against the numbers."""
import base64
import io
import json
import pathlib

import numpy as np
import pytest
from PIL import Image


def png(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.fixture
def mask(infomask, coffee):
    """mask(*arguments) -> the answer, with the mask's picture as booleans under `pixels`."""

    def ask(*arguments):
        answer = infomask("mask", *arguments, coffee).json
        answer["pixels"] = np.asarray(png(base64.b64decode(answer["mask"]["png"]))) > 0
        return answer

    return ask


@pytest.fixture
def look(infomask, coffee):
    """look(kind, *arguments) -> the picture of that kind."""

    def ask(kind, *arguments):
        result = infomask("mask", "-q", "--format=png", "--output", kind, *arguments, coffee)
        assert result.code == 0, result.err
        return png(result.raw)

    return ask


def values(image):
    """A map's cells, as its chunks say."""
    return float(image.text["offset"]) + float(image.text["scale"]) * np.asarray(image, float)


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("method", ["infocam", "cam", "infocam+", "gradcam++", "layercam"])
def test_every_method_finds_the_cup(mask, method):
    answer = mask("--method", method)
    assert answer["map"]["method"] == method and not answer["mask"]["empty"]
    assert abs(answer["mask"]["area"] - answer["pixels"].mean()) < 1e-9
    assert overlap(answer["pixels"], mask()["pixels"]) > .8


def test_a_map_in_no_unit_is_not_turned_into_bits(mask, look):
    for method, unit in (("infocam", "bits"), ("cam", "1")):
        image = look("map", "--method", method, "--units=bits")
        cells = np.array(mask("--method", method, "--units=bits")["map"]["cells"])
        assert image.text["units"] == unit
        assert np.allclose([values(image).min(), values(image).max()], [cells.min(), cells.max()], rtol=.02, atol=.2)


def test_occlusion_takes_its_window_and_stride(mask):
    answer = mask("--method=occlusion", "--quality=fast", "--occlusion-window=60", "--occlusion-stride=48")
    assert (answer["map"]["rows"], answer["map"]["columns"]) == (4, 6)  # a pass of 192 x 288
    small = mask("--method=occlusion", "--quality=fast", "--occlusion-window=2", "--occlusion-stride=48")
    assert np.abs(small["map"]["cells"]).max() < np.abs(answer["map"]["cells"]).max() / 3


def test_a_mask_of_several_targets_is_the_union_of_theirs(mask):
    one, other, both = mask("--target=967"), mask("--target=504"), mask("--target=967", "--target=504")
    assert np.array_equal(one["pixels"] | other["pixels"], both["pixels"])
    assert both["target"]["index"] == 967 and both["maps"] == [one["map"], other["map"]]


@pytest.mark.parametrize("rule", ["otsu", "max:0.2"])
def test_rules_on_the_saliency_cut_it(mask, look, rule):
    answer, saliency = mask("--threshold", rule), np.asarray(look("saliency"), float) / 65535
    level = answer["mask"]["threshold"] * (saliency.max() if rule.startswith("max") else 1)
    assert ((saliency >= level) != answer["pixels"]).mean() < 1e-3


@pytest.mark.parametrize("rule, units", [("nats:1.5", "nats"), ("bits:2.5", "bits"), ("share:0.7", "nats")])
def test_rules_on_the_cells_cut_the_bare_map(mask, look, rule, units):
    answer = mask("--threshold", rule, "--refine=false", "--units", units)
    cells, level = np.array(answer["map"]["cells"]), answer["mask"]["threshold"]
    if rule.startswith("share"):
        chosen = np.sort(cells[cells > 0])[::-1]
        taken, fewer = chosen[chosen > level - 1e-5].sum(), chosen[chosen > level + 1e-5].sum()
        assert fewer < .7 * chosen.sum() <= taken
    else:
        assert level == float(rule.partition(":")[2]) and answer["mask"]["rule"] == units
    assert ((values(look("map", "--units", units)) >= level) != answer["pixels"]).mean() < 1e-3


def test_where_every_cell_is_chosen_nothing_is_lost(mask):
    assert mask("--threshold=window", "--refine=false")["mask"]["area"] == 1
    assert mask("--threshold=window")["mask"]["area"] > .95


def test_too_little_evidence_masks_nothing_and_says_so(mask):
    largest = mask()["map"]["largest_window_pmi"]
    below, above = mask("--min-evidence", largest - .01), mask("--min-evidence", largest + .01)
    assert not below["mask"]["empty"] and below["mask"]["area"] > 0
    assert above["mask"]["empty"] and above["mask"]["objects"] == [] and not above["pixels"].any()
    assert above["map"]["largest_window_pmi"] == largest


def test_objects_are_the_regions_of_the_mask(mask):
    answer = mask("--quality=fast")
    objects = answer["mask"]["objects"]
    assert abs(sum(o["area"] for o in objects) - answer["mask"]["area"]) < 1e-9
    assert abs(sum(o["information_share"] for o in objects) - answer["mask"]["information_share"]) < 1e-6
    for o in objects:
        (x, y, width, height), (peak_x, peak_y) = o["box"], o["peak"]
        part = answer["pixels"][y:y + height, x:x + width]
        assert answer["pixels"][peak_y, peak_x] and x <= peak_x < x + width and y <= peak_y < y + height
        assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()


def test_the_overlays_opacity(look, coffee):
    photo = np.asarray(Image.open(coffee).convert("RGB"), int)
    clear, half, full = (np.abs(np.asarray(look("overlay", f"--opacity={o}"), int) - photo) for o in (0, .5, 1))
    assert (clear.max(-1) > 0).mean() < .1  # the contour and the legend
    assert clear.mean() < half.mean() < full.mean()
    assert not np.array_equal(look("overlay", "--colormap=turbo"), look("overlay"))


def model_document(folder):
    """The default model in a folder of its own; what goes into its model.json."""
    source = pathlib.Path(__file__).parents[2] / "config" / "models" / "efficientnet-lite0"
    document = json.loads((source / "model.json").read_text())
    for name in ("model.onnx", "labels.txt"):
        (folder / name).symlink_to(source / name)
    document.pop("precisions", None)
    return document


def test_a_pass_does_not_depend_on_the_size_that_photos_are_classified_at(mask, tmp_path):
    """EfficientNet-Lite2's 260 pixels are 9 cells of stride 32: passes are multiples of that, not of 260 / 9."""
    document = model_document(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**document, "input": {**document["input"], "width": 260, "height": 260}}))
    own = mask("--resolution=480", "--target=967")
    other = mask("--resolution=480", "--target=967", f"--model={tmp_path}")
    assert own["map"]["columns"] == other["map"]["columns"] and own["map"]["rows"] == other["map"]["rows"]
    assert np.array_equal(own["pixels"], other["pixels"])


def test_a_folder_scales_the_passes_of_its_masks(mask, tmp_path):
    """The presets' passes grow in proportion; a side that is asked for stands."""
    document = model_document(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**document, "mask": {"scale": 3}}))
    here = f"--model={tmp_path}"
    cells = {quality: mask(f"--quality={quality}", here)["map"] for quality in ("fast", "standard")}
    plain = {quality: mask(f"--quality={quality}")["map"] for quality in ("fast", "standard")}
    for quality in cells:
        assert 1.4 < cells[quality]["columns"] / plain[quality]["columns"] < 1.6, quality
    assert mask("--resolution=448", here)["map"]["columns"] == plain["standard"]["columns"]
    (tmp_path / "model.json").write_text(json.dumps({**document, "mask": {"scale": 9}}))
    with pytest.raises(Exception):
        mask(here)
