"""infomask train --data: networks from scratch, on small pictures in IDX files made here."""
import fcntl
import gzip
import json
import math
import os
import signal
import subprocess

import drawn
import numpy as np
import pytest
from PIL import Image

from conftest import BINARY

ARCH = "conv3x3:8,bn,relu,conv3x3:16/2,bn,relu,gap,dropout:0.1"
SHAPES = ["bar", "post", "slope"]


def drawing(kind, random):
    """12 x 12: a level, an upright or a sloping stroke somewhere, and noise."""
    picture, at = np.zeros((12, 12)), int(random.integers(2, 9))
    if kind == 0:
        picture[at, 1:11] = 1
    elif kind == 1:
        picture[1:11, at] = 1
    else:
        for i in range(10):
            picture[1 + i, (at + i) % 12] = 1
    return np.clip(200 * picture + random.normal(30, 25, (12, 12)), 0, 255).astype(np.uint8)


def idx(path, array):
    """An IDX file of bytes; gzip'ed if its name ends so."""
    data = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with the four files of MNIST's kind."""
    folder, random = tmp_path_factory.mktemp("idx"), np.random.default_rng(5)
    for part, count, end in (("train", 1500, ".gz"), ("t10k", 600, "")):
        labels = random.integers(0, 3, count).astype(np.uint8)
        idx(folder / f"{part}-labels-idx1-ubyte{end}", labels)
        idx(folder / f"{part}-images-idx3-ubyte{end}", np.stack([drawing(k, random) for k in labels]))
    return folder


@pytest.fixture
def places(tmp_path):
    (tmp_path / "models").mkdir()
    return ["--models-dir", tmp_path / "models", "--state-dir", tmp_path / "state"]


@pytest.fixture
def train(infomask, places):
    return lambda *arguments: infomask("train", *places, *arguments)


def test_every_epoch_tells_its_information(train, data, tmp_path, infomask):
    log, page = tmp_path / "log.jsonl", tmp_path / "page"
    result = train("--data", data, "--arch", ARCH, "--epochs", 15, "--batch", 32, "--name", "strokes", "--log", log, "--report",
                   page)
    assert result.code == 0, result.err
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 16))
    last = lines[-1]
    assert last["held_out_accuracy"] > 0.95 and last["held_out_information"] > 0.9
    assert all(line["held_out_information"] <= line["label_entropy"] <= math.log(3) + 1e-9 for line in lines)
    assert abs(last["held_out_loss"] - (last["label_entropy"] - last["held_out_information"])) < 1e-9
    assert sum("/15  loss " in line for line in result.out.splitlines()) == 15
    for name in ("information.svg", "accuracy.svg", "softmax.svg"):
        assert (page / name).read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert (page / "index.html").read_text().count("<svg") == 3

    folder = tmp_path / "models" / "strokes"
    document = json.loads((folder / "model.json").read_text())
    assert document["training"]["last_epoch"]["held_out_information"] == last["held_out_information"]
    assert document["training"]["held_out"]["information"] == pytest.approx(last["held_out_information"], abs=1e-5)
    assert 0.5 < document["training"]["held_out"]["lower_limit"] <= document["training"]["held_out"]["information"]
    random = np.random.default_rng(77)
    for kind in range(3):
        Image.fromarray(drawing(kind, random)).save(tmp_path / "one.png")
        answer = infomask("classify", "--model", folder, "--samples", 4, tmp_path / "one.png").json
        assert answer["predictions"][0]["label"] == str(kind)
        noise = answer["noise"]  # the dropout layer is in the file
        assert noise["model_information"] > 0
        assert noise["information"][1] - noise["information"][0] == pytest.approx(noise["model_information"], abs=1e-9)


def test_a_killed_run_goes_on_to_the_same_bits(train, data, places, tmp_path):
    arguments = ["--data", data, "--arch", "conv3x3:6/2,bn,relu,gap,dropout:0.1", "--epochs", 20, "--batch", 64, "--augment",
                 "shift=1,rotate=5", "--seed", 3]
    log, pipe = tmp_path / "log.jsonl", tmp_path / "pipe"
    command = [str(word) for word in [BINARY, "train", *places, *arguments, "--name", "cut", "--log", pipe, "--threads", 1]]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("INFOMASK_")}
    os.mkfifo(pipe)
    run = subprocess.Popen(command, env=clean, stdout=subprocess.DEVNULL)
    with open(pipe, "rb", buffering=0) as lines:  # a pipe of a few lines: nobody reads on, so the run cannot get to its end
        fcntl.fcntl(lines, fcntl.F_SETPIPE_SZ, 4096)
        assert lines.read(1) == b"{"
        while lines.read(1) != b"\n":
            pass
        run.send_signal(signal.SIGKILL)
        assert run.wait(60) == -signal.SIGKILL

    refused = train(*arguments[:-1], 4, "--name", "cut", "--resume")  # another seed
    assert refused.code == 1 and "other options, data or kernels" in refused.err
    resumed = train(*arguments, "--name", "cut", "--resume", "--log", log, "--threads", 3, "--json")
    assert resumed.code == 0, resumed.err
    whole = train(*arguments, "--name", "whole", "--threads", 2, "--json")
    assert (tmp_path / "models" / "cut" / "model.onnx").read_bytes() == (tmp_path / "models" / "whole" / "model.onnx").read_bytes()
    epochs = [[{key: value for key, value in epoch.items() if key not in ("seconds", "images_per_second")}
               for epoch in result.json["epochs"]] for result in (resumed, whole)]
    assert epochs[0] == epochs[1] and len(epochs[0]) == 20
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == list(range(1, 21))
    assert sorted(os.listdir(tmp_path / "models")) == ["cut", "whole"]  # what the killed run left is gone
    assert os.listdir(tmp_path / "state" / "training") == []


def test_label_smoothing_and_pc_softmax_are_undone(train, data, tmp_path, infomask):
    reports = {}
    for name, more in {"plain": [], "smooth": ["--label-smoothing", 0.1], "pc": ["--objective", "pc-softmax"]}.items():
        result = train("--data", data, "--arch", ARCH, "--epochs", 15, "--batch", 32, "--name", name, "--json", *more)
        assert result.code == 0, result.err
        reports[name] = result.json["held_out"]["mutual_information"]
        document = json.loads((tmp_path / "models" / name / "model.json").read_text())
        assert document.get("label_smoothing") == (0.1 if name == "smooth" else None)
        assert document["logit_prior"] == ("uniform" if name == "pc" else "prior.txt")
        assert reports[name]["estimate"] > 0.85 and reports[name]["lower_limit"] <= reports[name]["estimate"]
    random = np.random.default_rng(8)
    Image.fromarray(drawing(1, random)).save(tmp_path / "one.png")
    answers = {name: infomask("classify", "--model", tmp_path / "models" / name, tmp_path / "one.png").json["predictions"][0]
               for name in reports}
    assert all(answer["label"] == "1" and answer["probability"] > 0.9 for answer in answers.values()), answers


@pytest.mark.parametrize("objective", ["softmax", "pc-softmax"])
def test_smoothing_is_undone_alike_in_training_and_in_service(train, places, tmp_path, infomask, objective):
    """Unbalanced, so that it matters under which prior the smoothing is undone."""
    random = np.random.default_rng(2)
    for part, counts in (("train", (900, 150, 50)), ("t10k", (240, 60, 30))):
        labels = np.repeat(np.arange(3), counts).astype(np.uint8)
        pictures = np.stack([drawing(k, random) for k in labels])
        idx(tmp_path / f"{part}-labels-idx1-ubyte", labels)
        idx(tmp_path / f"{part}-images-idx3-ubyte", pictures)
    for i, (label, picture) in enumerate(zip(labels, pictures)):
        (tmp_path / "photos" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "photos" / str(label) / f"{i}.png")
    trained = train("--data", tmp_path, "--arch", "conv3x3:8,bn,relu,gap", "--epochs", 3, "--batch", 32, "--name", "m", "--json",
                    "--label-smoothing", 0.2, "--objective", objective)
    assert trained.code == 0, trained.err
    served = infomask("estimate", *places, "--images", tmp_path / "photos", tmp_path / "models" / "m", "--json")
    assert served.code == 0, served.err
    for member in ("estimate", "standard_error"):
        assert abs(trained.json["held_out"]["mutual_information"][member] - served.json["mutual_information"][member]) < 1e-4
    assert abs(trained.json["held_out"]["plug_in"] - served.json["plug_in"]) < 1e-4


def test_shuffled_labels_teach_nothing(train, data):
    result = train("--data", data, "--arch", "linear:16,relu", "--epochs", 3, "--name", "m", "--shuffle-labels", "--json")
    assert result.json["held_out"]["mutual_information"]["lower_limit"] <= 0


def test_folders_of_photos_are_split(train, tmp_path, infomask):
    folder = drawn.folders(tmp_path / "photos", {"mug": 30, "umbrella": 30}, 4)
    (folder / "mug" / "bad.png").write_text("no picture")
    result = train("--data", folder, "--size", 24, "--arch", "conv3x3:8/2,bn,relu,gap", "--epochs", 3, "--batch", 16, "--name",
                   "photos", "--json")
    assert result.code == 0, result.err
    assert "bad.png: " in result.err
    assert result.json["samples"] == 48 and result.json["held_out"]["samples"] == 12
    answer = infomask("classify", "--model", tmp_path / "models" / "photos", folder / "mug" / "00.png").json
    assert {row["label"] for row in answer["predictions"]} == {"mug", "umbrella"}
    mask = infomask("mask", "--model", tmp_path / "models" / "photos", folder / "mug" / "00.png").json
    assert mask["map"]["mean"] == pytest.approx(mask["map"]["pmi"], abs=1e-4)


def test_a_pair_of_idx_files_is_split(train, data, tmp_path):
    pair = f"{data}/train-images-idx3-ubyte.gz,{data}/train-labels-idx1-ubyte.gz"
    result = train("--data", pair, "--held-out-share", 0.1, "--arch", "linear:8,relu", "--epochs", 1, "--name", "m", "--json")
    assert result.code == 0, result.err
    assert result.json["samples"] == 1350 and result.json["held_out"]["samples"] == 150


def test_a_task_of_known_information_bounds_what_is_learnt(train, tmp_path):
    result = train("--data", "task:ref-imb-d2", "--arch", "linear:32,relu", "--epochs", 4, "--batch", 256, "--rate", 0.01, "--name",
                   "m", "--json", "--report", tmp_path / "page")
    report = result.json
    information = report["held_out"]["mutual_information"]
    assert report["truth"] == pytest.approx(1.2393, abs=1e-3)
    assert report["truth"] - 0.15 < information["estimate"] < report["truth"] + 4 * information["standard_error"]
    assert information["lower_limit"] < report["truth"]
    assert 'class="truth"' in (tmp_path / "page" / "information.svg").read_text()


@pytest.mark.parametrize("objective", ["softmax", "pc-softmax"])
def test_the_exported_model_is_calibrated(train, places, tmp_path, infomask, objective):
    """A third of the labels is wrong and the network learns them by heart: a temperature fitted to every second held-out
    picture makes it sure of less, and the service says of the others what the report says."""
    random = np.random.default_rng(3)
    for part, count in ("train", 150), ("t10k", 240):
        labels = np.sort(random.integers(0, 3, count)).astype(np.uint8)
        pictures = np.stack([drawing(k, random) for k in labels])
        order = random.permutation(count)
        labels, pictures = labels[order], pictures[order]
        labels = np.where(random.random(count) < 0.3, random.integers(0, 3, count), labels).astype(np.uint8)
        idx(tmp_path / f"{part}-labels-idx1-ubyte", labels)
        idx(tmp_path / f"{part}-images-idx3-ubyte", pictures)
    for i in range(1, 240, 2):
        (tmp_path / "photos" / str(labels[i])).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures[i]).save(tmp_path / "photos" / str(labels[i]) / f"{i}.png")
    trained = train("--data", tmp_path, "--arch", "conv3x3:16,relu,conv3x3:16/2,relu,linear:64,relu", "--epochs", 25, "--batch",
                    16, "--name", "m", "--json", "--objective", objective)
    assert trained.code == 0, trained.err
    calibration = trained.json["calibration"]
    document = json.loads((tmp_path / "models" / "m" / "model.json").read_text())
    assert document["temperature"] == calibration["temperature"] > 1.2 and calibration["samples"] == 120
    assert calibration["log_loss"] < calibration["log_loss_without"] - 0.05
    served = infomask("estimate", *places, "--images", tmp_path / "photos", tmp_path / "models" / "m", "--json")
    assert served.code == 0, served.err
    assert served.json["calibration"]["log_loss"] == pytest.approx(calibration["log_loss"], abs=1e-3)


def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_anew(train):
    """So that a script may say --resume always."""
    task = ("--data", "task:line-bal-d1-s1.0", "--arch", "linear:8,relu", "--epochs", 1, "--json", "--name")
    resumed = train(*task, "a", "--resume")
    assert resumed.code == 0 and "no checkpoint yet" in resumed.err
    again = train(*task, "b")
    assert again.json["held_out"]["mutual_information"] == resumed.json["held_out"]["mutual_information"]


@pytest.mark.parametrize("arguments, code, reason", [
    (["--data", "task:nothing", "--name", "m"], 1, 'no task "nothing"'),
    (["--data", "DATA", "--name", "m", "--arch", "conv3x3:8,swish"], 1, 'layer 2, "swish"'),
    (["--data", "DATA", "--name", "m", "--epochs", "0"], 2, '"0" is not a value'),
    (["--data", "DATA", "--name", "m", "--augment", "crop"], 2, '"crop" is not a value of --augment here'),
    (["--data", "nowhere", "--name", "m"], 1, "neither a folder nor IMAGES,LABELS"),
    (["--data", "DATA/train-labels-idx1-ubyte.gz,DATA/t10k-labels-idx1-ubyte", "--name", "m"], 1, "3 or 4 dimensions"),
    (["--images", "DATA", "--data", "DATA", "--name", "m"], 2, "one of --images"),
    (["--images", "DATA", "--name", "m", "--arch", "gap"], 2, "networks from scratch"),
])
def test_wrong_use_is_explained(train, data, tmp_path, arguments, code, reason):
    result = train("--epochs", 3, *[a.replace("DATA", str(data)) for a in arguments])
    assert result.code == code and reason in result.err, (result.out, result.err)
    assert os.listdir(tmp_path / "models") == []
