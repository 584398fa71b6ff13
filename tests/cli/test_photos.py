"""classify, mask and filter: the same JSON and the same images as the service."""
import base64
import io
import json
import math
import subprocess

import numpy as np
import pytest
from PIL import Image

from conftest import BINARY, PHOTOS


def picture(data):
    return Image.open(io.BytesIO(data))


def test_classify_prints_the_answer_of_the_service(infomask, coffee):
    result = infomask("classify", coffee)
    answer = result.json
    assert result.code == 0 and result.err == "" and result.out.count("\n") == 1
    best = answer["predictions"][0]
    assert best["label"] == "espresso" and abs(best["probability"] - 0.951) < 0.01
    assert abs(best["pmi"] - (best["log_probability"] + math.log(1000))) < 1e-9
    assert abs(best["log_probability"] - math.log(best["probability"])) < 1e-12
    assert abs(answer["information"] + answer["entropy"] - answer["prior_entropy"]) < 1e-9
    assert answer["image"] == {"format": "png", "width": 600, "height": 400, "orientation": 1}
    assert list(answer["timing_ms"]) == ["queue", "decode", "preprocess", "network", "encode", "total"]
    assert [answer[key] for key in ("units", "prior", "classes", "abstain", "noise")] == ["nats", "train", 1000, False, None]


def test_bits_are_nats_in_another_unit(infomask, coffee):
    nats, bits = infomask("classify", coffee).json, infomask("classify", "--units=bits", coffee).json
    for key in ("information", "entropy", "prior_entropy"):
        assert abs(bits[key] * math.log(2) - nats[key]) < 1e-9
    for a, b in zip(nats["predictions"], bits["predictions"]):
        assert abs(b["pmi"] * math.log(2) - a["pmi"]) < 1e-9 and a["probability"] == b["probability"]


def test_a_target_gets_a_row(infomask, coffee):
    for name in ("tabby", "281", "label:tabby", "n02123045"):
        assert infomask("classify", "--target", name, coffee).json["target"]["index"] == 281


@pytest.mark.parametrize("arguments, code, reason", [
    (["--target", "tabbi"], 1, 'no class or group is named "tabbi"; the nearest classes are "tabby"'),
    (["--target", "1000"], 1, "the indices are 0 to 999"),
    (["--top-k", "0"], 2, "--top-k must be"),
    (["--top-k", "1001"], 2, "top_k must be"),
    (["--units", "bytes"], 2, "units must be"),
    (["--samples", "257"], 2, "samples must be"),
    (["--prior", "1,2,3"], 2, "prior must have 1000 numbers"),
    (["--model", "nothing"], 1, "model nothing"),
    (["--quality", "fast"], 2, "unrecognized option"),
])
def test_wrong_parameters_are_named(infomask, coffee, arguments, code, reason):
    result = infomask("classify", coffee, *arguments)
    assert result.code == code and result.out == "" and reason in result.err


def test_samples_bound_what_the_noise_leaves(infomask, coffee):
    noise = infomask("classify", "--samples=8", "--seed=3", coffee).json["noise"]
    lower, upper = noise["information"]
    assert noise["samples"] == 8 and noise["seed"] == 3
    assert lower <= upper and abs(upper - lower - noise["model_information"]) < 1e-9


def test_several_photos_are_results(infomask, coffee, chelsea, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    result = infomask("classify", coffee, bad, chelsea, "/no/such/file")
    first, second, third, fourth = result.json["results"]
    assert result.code == 1
    assert first["file"] == str(coffee) and first["predictions"][0]["label"] == "espresso"
    assert second["status"] == 415 and second["code"] == "unsupported_format" and "bad.png" in second["detail"]
    assert third["predictions"][0]["label"] == "tiger cat"
    assert fourth["code"] == "bad_request" and "No such file" in fourth["detail"]
    assert "bad.png" in result.err and "/no/such/file" in result.err


def test_standard_input_is_a_photo(infomask, coffee):
    assert infomask("classify", "-", stdin=coffee.read_bytes()).json["predictions"][0]["label"] == "espresso"


def test_json_goes_into_a_file(infomask, coffee, tmp_path):
    result = infomask("classify", coffee, "-o", "answer.json")
    assert result.code == 0 and result.out == ""
    assert json.loads((tmp_path / "answer.json").read_text())["predictions"][0]["label"] == "espresso"
    assert infomask("classify", coffee, "-o", "no/such/folder/answer.json").code == 1


def test_a_full_device_is_a_failure(infomask, coffee):
    assert infomask("classify", coffee, "-o", "/dev/full").code == 1


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["version"], ["help", "mask"], ["models"], ["doctor", "limits"]])
def test_what_standard_output_does_not_take_is_a_failure(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr == "infomask: standard output: cannot be written: No space left on device\n"


def test_the_threads_change_no_bit(infomask, coffee):
    one, two = (infomask("classify", "--top-k=1000", "--threads", n, coffee).json for n in (1, 2))
    assert one["predictions"] == two["predictions"]


# ---- Masks ----------------------------------------------------------------------------------------------------------------


def test_a_mask_is_a_picture_of_the_same_size(infomask, coffee, tmp_path):
    result = infomask("mask", coffee, "-o", "mask.png")
    image = Image.open(tmp_path / "mask.png")
    assert result.code == 0 and result.out == "" and "espresso, 6.86 nats" in result.err
    assert image.mode == "L" and image.size == (600, 400)
    assert set(np.unique(np.asarray(image))) == {0, 255}


def test_a_mask_as_json(infomask, coffee):
    answer = infomask("mask", coffee).json
    cells = np.array(answer["map"]["cells"])
    assert cells.shape == (answer["map"]["rows"], answer["map"]["columns"])
    assert abs(cells.mean() - answer["map"]["pmi"]) < 1e-4 and abs(cells.mean() - answer["map"]["mean"]) < 1e-9
    mask = np.asarray(picture(base64.b64decode(answer["mask"]["png"])))
    assert mask.shape == (400, 600) and abs((mask > 0).mean() - answer["mask"]["area"]) < 1e-6
    for thing in answer["mask"]["objects"]:
        x, y, width, height = thing["box"]
        assert 0 <= x and 0 <= y and x + width <= 600 and y + height <= 400
        assert mask[thing["peak"][1], thing["peak"][0]] == 255
    assert answer["target"]["label"] == "espresso" and "pictures" not in answer and "targets" not in answer


def test_a_mask_in_bits(infomask, coffee):
    nats, bits = infomask("mask", coffee).json, infomask("mask", "--units=bits", coffee).json
    assert np.allclose(np.array(bits["map"]["cells"]) * math.log(2), nats["map"]["cells"], atol=1e-9)
    assert abs(bits["map"]["largest_window_pmi"] * math.log(2) - nats["map"]["largest_window_pmi"]) < 1e-9
    assert bits["mask"]["png"] == nats["mask"]["png"]


def test_several_targets_have_a_map_each(infomask, coffee):
    answer = infomask("mask", "--target=espresso", "--target=cup", "--quality=fast", coffee).json
    assert [row["label"] for row in answer["targets"]] == ["espresso", "cup"]
    assert len(answer["maps"]) == 2 and answer["map"] == answer["maps"][0]


@pytest.mark.parametrize("output, mode", [("overlay", "RGB"), ("map", "I;16"), ("saliency", "I;16")])
def test_other_pictures(infomask, coffee, tmp_path, output, mode):
    assert infomask("mask", coffee, "--quality=fast", "--output", output, "-o", "x.png", "-q").err == ""
    image = Image.open(tmp_path / "x.png")
    assert image.size == (600, 400) and image.mode in (mode, "I")
    answer = infomask("mask", coffee, "--quality=fast", "--output", output, "--format=json").json
    assert picture(base64.b64decode(answer["pictures"][output])).size == (600, 400)


def test_a_folder_takes_several_pictures(infomask, coffee, rocket, tmp_path):
    result = infomask("mask", "--quality=fast", coffee, rocket, "-o", "masks/")
    assert result.code == 0
    assert Image.open(tmp_path / "masks/coffee.png").size == (600, 400)
    assert (tmp_path / "masks/rocket.png").exists()


def test_several_pictures_need_a_folder(infomask, coffee, rocket):
    assert infomask("mask", coffee, rocket, "-o", "one.png").code == 2
    assert infomask("filter", coffee, rocket).code == 2


def test_no_two_photos_are_written_to_one_file(infomask, coffee, tmp_path):
    copy = tmp_path / "coffee.jpg"
    copy.write_bytes(coffee.read_bytes())
    assert infomask("mask", "--quality=fast", coffee, copy, "-o", "masks/").code == 0
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {"coffee.png.png", "coffee.jpg.png"}


# ---- Filters --------------------------------------------------------------------------------------------------------------


def test_a_filtered_photo_says_less_about_the_target(infomask, coffee, tmp_path):
    result = infomask("filter", coffee, "-o", "filtered.png")
    assert result.code == 0 and "espresso, 6.86 -> " in result.err
    image = Image.open(tmp_path / "filtered.png")
    assert image.size == (600, 400) and image.mode == "RGB"
    again = infomask("classify", "--target=espresso", "filtered.png").json["target"]["pmi"]
    assert again < 3


def test_the_verification_is_of_the_very_bytes(infomask, coffee, tmp_path):
    answer = infomask("filter", "--format=json", "--quality=fast", coffee).json
    (tmp_path / "returned.png").write_bytes(base64.b64decode(answer["image"]))
    checked = infomask("classify", "--target=espresso", "returned.png").json["target"]
    assert abs(checked["pmi"] - answer["verification"]["pmi_after"]) < 1e-4
    assert abs(checked["probability"] - answer["verification"]["probability_after"]) < 1e-4
    assert answer["image_type"] == "image/png" and answer["verification"]["passes"] in (1, 2)


def test_the_name_says_jpeg(infomask, coffee, tmp_path):
    assert infomask("filter", "--quality=fast", coffee, "-o", "filtered.jpg").code == 0
    assert Image.open(tmp_path / "filtered.jpg").format == "JPEG"
    assert infomask("filter", "--quality=fast", "--fill=transparent", coffee, "-o", "f.jpg").code != 0


def test_a_picture_may_go_into_a_pipe(infomask, coffee):
    assert picture(infomask("filter", "--quality=fast", "--fill=mean", coffee).raw).size == (600, 400)


def test_digits_are_read(infomask):
    """The model that the project comes with; "7" is an index, "label:7" the digit."""
    digits = PHOTOS.parent / "digits"
    answer = infomask("classify", "--model", "digits", "--target", "label:7", *(digits / f"{d}.png" for d in range(10)))
    results = answer.json["results"]
    assert [result["predictions"][0]["label"] for result in results] == [str(d) for d in range(10)]
    assert all(result["target"]["label"] == "7" for result in results) and results[7]["target"]["pmi"] > 2


@pytest.mark.parametrize("setting, most, enough", [("max_pixels", 239999, 240000), ("max_side", 599, 600), ("max_body", 2000, "1M")])
def test_a_limit_names_the_option_that_raises_it(infomask, coffee, setting, most, enough):
    option = "--" + setting.replace("_", "-")
    refused = infomask("classify", f"{option}={most}", coffee)
    assert refused.code == 1 and str(most) in refused.err and f"({setting})" in refused.err
    assert infomask("classify", f"{option}={enough}", coffee).code == 0
