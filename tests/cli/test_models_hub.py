"""infomask models add beside the files that Hugging Face's folders have: how photos are prepared, and which classes there are.

The expected numbers are those of the processors of transformers 5.24 and timm, whose pixels these model.json gave within rounding
(24 kinds of processors, on three photos).
"""
import json

import pytest

from test_models_add import COFFEE, add, models, network, run  # noqa: F401 (models is a fixture)

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
OF_IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
OF_HALF = {"mean": [127.5] * 3, "std": [127.5] * 3}
NOTHING = {"mean": [0] * 3, "std": [255] * 3}


def folder(tmp_path, where="", **files):
    at = tmp_path / "hub" / where
    at.mkdir(parents=True)
    for name, document in files.items():
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / "hub" / f"{name}.json").write_text(text)
    return network(at / "model.onnx", sides=[3, "H", "W"])


def input_of(models, name):
    return json.loads((models / name / "model.json").read_text())["input"]


@pytest.mark.parametrize("processor, expected", [
    ({**HALF, "image_processor_type": "ViTImageProcessor", "size": {"height": 96, "width": 64}, "resample": 2},
     {**OF_HALF, "width": 64, "height": 96, "fit": "squash", "resize": "bilinear", "crop": 1}),
    ({**HALF, "feature_extractor_type": "ViTFeatureExtractor", "size": 48, "resample": 3},  # as written before sizes had sides
     {**OF_HALF, "width": 48, "height": 48, "fit": "squash", "resize": "bicubic"}),
    ({**IMAGENET, "do_center_crop": True, "crop_size": 56, "size": 64, "resample": 3},
     {**OF_IMAGENET, "width": 56, "height": 56, "fit": "crop", "crop": 0.875, "resize": "bicubic"}),
    ({**IMAGENET, "do_center_crop": True, "crop_size": {"height": 56, "width": 56}, "size": {"height": 64, "width": 64}, "resample": 3},
     {"width": 56, "fit": "squash", "resize_to": 64, "crop": 1}),
    ({**IMAGENET, "image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.875, "size": {"shortest_edge": 224}, "resample": 3},
     {"width": 224, "fit": "crop", "crop": 0.875}),
    ({**IMAGENET, "image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.875, "size": {"shortest_edge": 384}, "resample": 3},
     {"width": 384, "fit": "squash", "crop": 1}),
    ({**IMAGENET, "image_processor_type": "EfficientNetImageProcessor", "include_top": True, "size": {"height": 32, "width": 32},
      "rescale_factor": 1 / 255, "resample": 0},
     {"std": [58.395 * 0.229, 57.12 * 0.224, 57.375 * 0.225], "resize": "nearest", "fit": "squash"}),
    ({**HALF, "image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True, "rescale_factor": 1 / 127.5,
      "do_normalize": False, "size": {"height": 32, "width": 32}}, OF_HALF),
    ({"feature_extractor_type": "MobileViTFeatureExtractor", "do_flip_channel_order": True, "do_center_crop": True, "crop_size": 256,
      "size": 288}, {**NOTHING, "color": "BGR", "width": 256, "fit": "crop", "crop": 256 / 288}),
    ({**IMAGENET, "image_processor_type": "LevitImageProcessor", "do_center_crop": True, "size": {"shortest_edge": 224},
      "crop_size": {"height": 224, "width": 224}}, {"width": 224, "fit": "crop", "crop": 0.875}),
    ({**IMAGENET, "image_processor_type": "PerceiverImageProcessor", "do_center_crop": True, "size": {"height": 224, "width": 224},
      "crop_size": {"height": 256, "width": 256}}, {"width": 224, "fit": "crop", "crop": 0.875}),
    ({**IMAGENET, "do_rescale": False, "size": 32}, {"mean": IMAGENET["image_mean"], "std": IMAGENET["image_std"]}),
])
def test_photos_are_prepared_as_the_processor_does(models, tmp_path, processor, expected):
    ran = add(models, folder(tmp_path, preprocessor_config=processor), "x")
    assert ran.returncode == 0, ran.stderr
    assert "photos: preset preprocessor_config.json (it lies beside the file)\n" in ran.stdout and "assumed: the file" not in ran.stdout
    got = input_of(models, "x")
    for key, value in expected.items():
        assert got[key] == (pytest.approx(value, rel=1e-7) if isinstance(value, (list, float)) else value), key
    assert run("classify", "--models-dir", models, "--model", "x", COFFEE).returncode == 0
    told = json.loads(run("models", "check", "--json", tmp_path / "hub" / "model.onnx").stdout)
    assert told["preset"] == "preprocessor_config.json" and told["preset_known"] is True


@pytest.mark.parametrize("mode, share, expected", [("center", 0.95, {"fit": "crop", "crop": 0.95}), ("squash", 1.0, {"fit": "squash"}),
                                                   ("squash", 0.9, {"fit": "squash", "resize_to": 53}), (None, 0.875, {"crop": 0.875})])
def test_photos_are_prepared_as_timm_does(models, tmp_path, mode, share, expected):
    pretrained = {"input_size": [3, 48, 48], "interpolation": "bicubic", "crop_pct": share, "mean": IMAGENET["image_mean"],
                  "std": IMAGENET["image_std"], **({"crop_mode": mode} if mode else {})}
    file = folder(tmp_path, config={"pretrained_cfg": pretrained, "label_names": ["a", "b", "c", "d", "e"]})
    ran = add(models, file, "x")
    assert ran.returncode == 0 and "preset config.json" in ran.stdout
    expected = {**OF_IMAGENET, "width": 48, "height": 48, "resize": "bicubic", **expected}
    assert {key: input_of(models, "x").get(key) for key in expected} == expected
    assert (models / "x" / "labels.txt").read_text().split() == ["a", "b", "c", "d", "e"]


def test_classes_have_the_names_of_config_json(models, tmp_path):
    names = {"3": "three", "0": "tench, Tinca tinca", "1": "one", "2": "café", "4": "a, b, c"}
    ran = add(models, folder(tmp_path, "onnx", config={"id2label": names, "problem_type": "multi_label_classification"}), "x")
    assert ran.returncode == 0 and "classes: as config.json beside the file names them\n" in ran.stdout
    lines = (models / "x" / "labels.txt").read_text().splitlines()
    assert lines == ["tench, Tinca tinca\ttench\tTinca tinca", "one", "café", "three", "a, b, c\ta\tb\tc"]
    assert json.loads((models / "x" / "model.json").read_text())["head"] == "sigmoid"
    ran = run("classify", "--models-dir", models, "--model", "x", "--target", "Tinca tinca", COFFEE)
    assert ran.returncode == 0 and "tench, Tinca tinca" in ran.stdout


@pytest.mark.parametrize("config", [
    {"id2label": {str(i): f"LABEL_{i}" for i in range(5)}}, {"id2label": {str(i): f"n{i}" for i in range(4)}},
    {"id2label": {str(i + 1): f"n{i}" for i in range(5)}}, {"id2label": ["a", "b", 3, "d", "e"]}, {"id2label": {"0": "a\nb", "1": "c"}},
    {"id2label": 5, "pretrained_cfg": [1], "label_names": "abcde"}, {"pretrained_cfg": {"input_size": [3, 1], "mean": [1], "std": [0]}},
    "[1, 2]", "{", ""])
def test_a_config_json_of_something_else_is_passed_over(models, tmp_path, config):
    ran = add(models, folder(tmp_path, config=config), "x")
    assert ran.returncode == 0 and "classes: numbers" in ran.stdout and "preset imagenet (assumed" in ran.stdout, ran.stderr


@pytest.mark.parametrize("processor, why", [
    ("{", "preprocessor_config.json beside the file: not valid JSON"), ("[]", "preprocessor_config.json beside the file: it is an array"),
    ({"image_mean": [0.5, 0.5], "image_std": [0.5, 0.5]}, "no image_mean and image_std of three numbers"),
    ({"image_mean": 0.5, "image_std": 0}, "no image_mean and image_std"), ({**HALF, "rescale_factor": 0}, "no image_mean and image_std")])
def test_a_processor_that_cannot_be_read_is_said(models, tmp_path, processor, why):
    ran = add(models, folder(tmp_path, preprocessor_config=processor), "x")
    assert ran.returncode == 1 and why in ran.stderr and not (models / "x").exists()


def test_what_is_asked_for_and_what_the_network_shows_come_first(models, tmp_path):
    file = folder(tmp_path, preprocessor_config={**IMAGENET, "size": 64}, config={"id2label": {str(i): f"n{i}" for i in range(5)}})
    assert add(models, file, "asked", "--preset", "inception", "--size", "40").returncode == 0
    assert {**OF_HALF, "width": 40, "fit": "crop"}.items() <= input_of(models, "asked").items()
    network(file, scale=1 / 255)  # the network does it itself
    ran = add(models, file, "own")
    assert ran.returncode == 0 and "the network scales bytes itself" in ran.stdout
    assert input_of(models, "own")["std"] == [1, 1, 1]
