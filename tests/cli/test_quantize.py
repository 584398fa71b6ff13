"""int8 weights: made from photos, recorded in the model's folder, and run."""
import json
import shutil

import pytest
from PIL import Image

from conftest import ROOT

DIGITS = ROOT / "config" / "models" / "digits"


@pytest.fixture
def folder(tmp_path):
    """A copy of the digits model, and a folder of digits to quantise it on: those at hand, shifted and turned."""
    shutil.copytree(DIGITS, tmp_path / "digits")
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for i, path in enumerate(sorted((ROOT / "tests" / "data" / "digits").glob("*.png"))):
        digit = Image.open(path).convert("L").resize((28, 28))
        for j in range(4):
            digit.rotate(4 * j - 6, translate=(j - 2, 1 - j)).save(tmp_path / "photos" / "more" / f"{i}-{j}.png")
    (tmp_path / "photos" / "notes.txt").write_text("no photo\n")
    return tmp_path


def quantize(infomask, folder, *more):
    return infomask("models", "quantize", "--images", folder / "photos", "--crops", "24", "--held-out", "40",
                    *more, folder / "digits", timeout=600)


def has_int8(infomask):
    return infomask("models", "--precision", "int8", "digits", "--models-dir", ROOT / "config" / "models").err \
        .find("needs a processor") < 0


def test_quantize(infomask, folder):
    if not has_int8(infomask):
        pytest.skip("no int8 kernels here")
    before = json.loads((folder / "digits" / "model.json").read_text())
    done = quantize(infomask, folder)
    assert done.code == 0, done.err
    assert "layers in int8" in done.out and "other photos" in done.out and "(1 files could not be read" in done.out
    after = json.loads((folder / "digits" / "model.json").read_text())
    record = after.pop("precisions")["int8"]
    assert after == before
    assert record["file"] == "model.int8" and record["crops"] == 40 and record["held_out"] is True
    assert record["agreement"] >= 0.9 and 0 < record["log_probability_error"] < 0.5

    digit = next((ROOT / "tests" / "data" / "digits").glob("*.png"))
    exact, rounded = (infomask("classify", "--model", folder / "digits", "--precision", p, digit).json
                      for p in ("f32", "int8"))
    assert exact["predictions"][0]["index"] == rounded["predictions"][0]["index"]
    assert exact["predictions"] != rounded["predictions"]
    kept = json.loads((folder / "digits" / "check.json").read_text())  # the first load has compared them
    assert [row["equal"] for row in kept["checks"] if row["precision"] == "int8"] == [True], kept
    shown = infomask("models", "--precision", "int8", folder / "digits")
    assert "int8" in shown.out
    checked = infomask("models", "check", "--json", "--precision", "int8", folder / "digits")
    assert checked.code == 0 and checked.json["precision"] == "int8" and checked.json["equal"]
    assert checked.json["error"] <= checked.json["most"] == 0.05
    kept = json.loads((folder / "digits" / "check.json").read_text())
    assert any(row["precision"] == "int8" and row["equal"] for row in kept["checks"]), kept
    assert 0 < record["clear"] <= 1 and record["clear_agreement"] >= record["agreement"] - 0.05
    for agreement, clear, error, chosen in ((0.5, 0.99, 0.1, "int8"), (1, 0.98, 0.01, "f32"), (1, 1, 0.11, "f32"),
                                            (0.99, None, 0.1, "int8"), (0.98, None, 0.01, "f32")):
        record.update(agreement=agreement, clear_agreement=clear, log_probability_error=error)
        (folder / "digits" / "model.json").write_text(json.dumps({**after, "precisions": {"int8": record}}))
        assert chosen in infomask("models", "--precision", "auto", folder / "digits").out, (agreement, clear, error)


def test_the_same_for_any_threads(infomask, folder):
    if not has_int8(infomask):
        pytest.skip("no int8 kernels here")
    files = []
    for threads in ("1", "3"):
        assert quantize(infomask, folder, "--threads", threads).code == 0
        files.append((folder / "digits" / "model.int8").read_bytes())
    assert files[0] == files[1]


def test_dry_run_changes_nothing(infomask, folder):
    if not has_int8(infomask):
        pytest.skip("no int8 kernels here")
    before = (folder / "digits" / "model.json").read_bytes()
    done = quantize(infomask, folder, "--dry-run", "--json", "--nearest", "--keep-bf16", "*")
    assert done.code == 0, done.err
    assert done.json["calibration"]["layers"] == 0 and done.json["calibration"]["kept_bf16"] > 0
    assert (folder / "digits" / "model.json").read_bytes() == before
    assert not (folder / "digits" / "model.int8").exists()


def test_the_folder_may_say_what_to_keep(infomask, folder):
    if not has_int8(infomask):
        pytest.skip("no int8 kernels here")
    file = folder / "digits" / "model.json"
    document = json.loads(file.read_text())
    kept = []
    for word, more in ("*", []), ("*", ["--keep-bf16", ""]), ("a,,b", []):
        file.write_text(json.dumps({**document, "quantize": {"keep_bf16": word}}))
        done = quantize(infomask, folder, "--dry-run", "--json", "--nearest", *more)
        kept.append(done.json["calibration"]["kept_bf16"] if done.code == 0 else done.err)
        assert "unknown key" not in done.err
    assert kept[0] > 0 and kept[1] == 0 and "quantize.keep_bf16" in kept[2]


def test_damaged_weights_are_refused(infomask, folder):
    if not has_int8(infomask):
        pytest.skip("no int8 kernels here")
    assert quantize(infomask, folder, "--nearest").code == 0
    weights = folder / "digits" / "model.int8"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    shown = infomask("models", "--precision", "int8", folder / "digits")
    assert shown.code == 1 and "the file of int8 weights is damaged" in shown.err
    weights.unlink()
    shown = infomask("models", "--precision", "int8", folder / "digits")
    assert shown.code == 1 and "its int8 weights are not there: infomask models quantize makes them" in shown.err
    assert infomask("models", folder / "digits").code == 0


@pytest.mark.parametrize("arguments, code, sentence", [
    ([], 2, "--images is needed"),
    (["--images", "."], 1, "no photos"),
    (["--images", "photos", "--crops", "0"], 2, "--crops takes a number"),
    (["--images", "photos", "--keep-bf16", "a,,b"], 2, "--keep-bf16 takes"),
    (["--images", "photos", "--keep-bf16", "nobody", "--crops", "2"], 1, "has an output like 'nobody'"),
    (["--images", "photos", "nosuchmodel"], 1, "nosuchmodel"),
])
def test_refusals(infomask, folder, arguments, code, sentence):
    (folder / "empty").mkdir()
    at = folder / "empty" if "." in arguments else folder
    model = [] if "nosuchmodel" in arguments else [folder / "digits"]
    done = infomask("models", "quantize", *arguments, *model, cwd=at)
    if "needs a processor" in done.err:
        pytest.skip("no int8 kernels here")
    assert done.code == code and sentence in done.err, done.err
