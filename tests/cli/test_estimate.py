"""infomask estimate: folders, lists, shards, merges, comparisons and tasks, against what infomask classify says."""
import base64
import contextlib
import csv
import io
import json
import math
import os
import pty
import re
import shutil
import sqlite3
import statistics
import subprocess
from xml.etree import ElementTree

import numpy
import pytest
from PIL import Image

from conftest import BINARY, MODEL

CLASSES = {"tabby": 3, "espresso": 2, "7": 2, "missile": 3}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """One subfolder a class, of noise pictures: no object, but the network says something about each."""
    root, seed = tmp_path_factory.mktemp("photos"), 0
    for label, count in CLASSES.items():
        (root / label / "deep").mkdir(parents=True)
        for i in range(count):
            pixels = numpy.random.default_rng(seed).integers(0, 256, (24, 30, 3), dtype=numpy.uint8)
            picture = Image.fromarray(pixels).resize((90, 72))
            picture.save(root / label / ("deep" if i == 0 else "") / f"{i}.png")
            seed += 1
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x.png").write_text("not looked at")
    return root


@pytest.fixture
def estimate(infomask, tmp_path):
    def run(*arguments, code=0, **keywords):
        done = infomask("estimate", *arguments, "--json", env={"STATE_DIRECTORY": str(tmp_path / "state")}, **keywords)
        assert done.code == code, done.err
        return done.json if code == 0 else done.err

    return run


def numbers(report):
    """A report without what a second run may say otherwise."""
    return {key: value for key, value in report.items() if key not in ("id", "name", "added", "known", "rejected", "rejected_in_all")}


def test_a_folder_is_what_its_photos_say(infomask, estimate, photos):
    report = estimate("--images", photos)
    assert report["added"] == report["samples"] == 10 and report["known"] == 0 and report["rejected"] == []
    log_q, rows = [], {}
    for label in CLASSES:
        for path in sorted((photos / label).rglob("*.png")):
            answer = infomask("classify", "--target", label, path).json
            log_q.append(answer["target"]["log_probability"])
            rows.setdefault(label, []).append(answer["target"]["pmi"])
    entropy = -sum(n / 10 * math.log(n / 10) for n in CLASSES.values())
    assert report["label_entropy"] == pytest.approx(entropy, abs=1e-9)
    assert report["mutual_information"]["estimate"] == pytest.approx(entropy + sum(log_q) / 10, abs=1e-9)
    for row in report["classes"]:
        label = str(row["index"]) if row["index"] == 7 else row["label"]
        assert row["samples"] == CLASSES[label] and row["mean_pmi"] == pytest.approx(statistics.mean(rows[label]), abs=1e-9)


def test_a_run_that_was_stopped_goes_on(estimate, photos, tmp_path):
    whole = estimate("--images", photos, "--store", "whole.db")
    half = tmp_path / "half"
    shutil.copytree(photos, half)
    shutil.move(half / "tabby", tmp_path / "aside")
    assert estimate("--images", half, "--store", "half.db")["samples"] == 7
    shutil.move(tmp_path / "aside", half / "tabby")
    rest = estimate("--images", half, "--store", "half.db")
    assert (rest["added"], rest["known"]) == (3, 7) and numbers(rest) == numbers(whole)
    again = estimate("--images", half, "--store", "half.db")
    assert (again["added"], again["known"]) == (0, 10) and numbers(again) == numbers(whole)
    assert estimate("--images", half, "--store", "half.db", "--fresh")["added"] == 10


def test_a_store_of_the_version_before_is_read_and_gone_on_with(estimate, photos, tmp_path):
    whole = estimate("--images", photos, "--store", "x.db")
    db = sqlite3.connect(tmp_path / "x.db")
    db.executescript("""DROP INDEX sample_digest; ALTER TABLE sample DROP COLUMN digest; ALTER TABLE estimate DROP COLUMN audit;
                        ALTER TABLE estimate DROP COLUMN duplicates; ALTER TABLE sample DROP COLUMN unit;
                        ALTER TABLE estimate DROP COLUMN limit_units; UPDATE estimate SET betting = 9;
                        DROP TABLE traffic; DROP TABLE traffic_part; DROP TABLE traffic_step;
                        PRAGMA user_version = 1;""")
    db.close()
    again = estimate("--images", photos, "--store", "x.db")
    assert again["known"] == 10 and numbers(again) == numbers(whole)
    db = sqlite3.connect(tmp_path / "x.db")
    db.execute("PRAGMA user_version = 0")
    db.close()
    assert "not written by infomask" in estimate("--images", photos, "--store", "x.db", code=1)


def test_somebody_else_s_file_is_left_as_it_is(estimate, photos, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "mine.db")) as db:
        db.executescript("CREATE TABLE mine(x); INSERT INTO mine VALUES (1);")
    before = (tmp_path / "mine.db").read_bytes()
    assert "not written by infomask" in estimate("--images", photos, "--store", "mine.db", code=1)
    assert (tmp_path / "mine.db").read_bytes() == before and not (tmp_path / "mine.db-wal").exists()


def test_names_say_nothing(estimate, photos, tmp_path):
    """The limit is of the set of photos, whatever they are called; the fold of a sample in the audit goes by its name."""
    other = tmp_path / "renamed"
    shutil.copytree(photos, other)
    for path in list(other.rglob("*.png")):
        path.rename(path.with_name("z" + path.name))
    a, b = estimate("--images", photos), estimate("--images", other)
    assert a["mutual_information"] == b["mutual_information"]
    assert [s["pmi"] for s in a["suspects"]] == [s["pmi"] for s in b["suspects"]]


def test_copies_of_rows_tell_nothing(estimate, tmp_path):
    """Noise five times over: a fold never knows the labels of another one's rows."""
    rng = numpy.random.default_rng(3)
    x, y = rng.normal(size=(120, 3)).astype("float32"), rng.integers(0, 2, 120)
    numpy.save(tmp_path / "x.npy", numpy.repeat(x, 5, 0))
    numpy.save(tmp_path / "y.npy", numpy.repeat(y, 5))
    report = estimate("--data", tmp_path / "x.npy", "--labels", tmp_path / "y.npy")
    value = report["mutual_information"]
    assert report["table"]["duplicates"] == 480 and (value["limit_samples"], value["units"]) == (600, 120)
    assert value["estimate"] < 0.1 and value["lower_limit"] < 0
    numpy.save(tmp_path / "codes.npy", rng.integers(0, 5, (300, 2)).astype("float32"))  # equal by nature, not copies
    numpy.save(tmp_path / "y.npy", rng.integers(0, 2, 300))
    report = estimate("--data", tmp_path / "codes.npy", "--labels", tmp_path / "y.npy")
    assert report["table"]["duplicates"] == 0 and report["mutual_information"]["units"] == 300


def test_photos_of_one_folder_are_one_group(infomask, estimate, photos, tmp_path):
    """A folder below two classes' is one group (the same person); photos in none are by themselves."""
    plain, grouped = estimate("--images", photos), estimate("--images", photos, "--group-by", "folder")
    a, b = plain["mutual_information"], grouped["mutual_information"]
    assert (a["limit_samples"], a["units"]) == (10, 10) and (b["limit_samples"], b["units"]) == (10, 7)
    assert a["estimate"] == b["estimate"] and b["lower_limit_t"] is None and grouped["added"] == 10
    by = estimate("--images", photos, "--by", "folder")["subgroups"]
    assert {s["name"]: s["samples"] for s in by} == {"": 6, "deep": 4}
    shutil.copytree(photos / "tabby", tmp_path / "one" / "tabby")
    shutil.rmtree(tmp_path / "one" / "tabby" / "deep")
    assert "no photo lies in a folder" in estimate("--images", tmp_path / "one", "--group-by", "folder", code=1)
    for path in (tmp_path / "one" / "tabby").glob("*.png"):
        (tmp_path / "two" / "tabby" / "same").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "two" / "tabby" / "same")
    assert "all photos are of one group" in estimate("--images", tmp_path / "two", "--group-by", "folder", code=1)


def test_killed_and_run_again(estimate, photos, tmp_path):
    arguments = [BINARY, "estimate", "--images", str(photos), "--store", "killed.db", "--threads", "1"]
    for delay in 0.02, 0.1, 0.2:
        try:
            subprocess.run(arguments, cwd=tmp_path, capture_output=True, timeout=delay)
        except subprocess.TimeoutExpired:  # which killed it
            pass
    assert numbers(estimate("--images", photos, "--store", "killed.db")) == numbers(estimate("--images", photos))


def test_threads_change_nothing(estimate, photos):
    reports = [estimate("--images", photos, "--store", f"{n}.db", "--threads", n) for n in (1, 2)]
    assert numbers(reports[0]) == numbers(reports[1])


def test_shards_add_up_exactly(estimate, photos):
    whole = estimate("--images", photos)
    parts = [estimate("--images", photos, "--store", f"{i}.db", "--shard", f"{i}/3") for i in range(3)]
    assert sum(part["samples"] for part in parts) == 10 and max(part["samples"] for part in parts) < 10
    merged = estimate("--merge", "0.db", "1.db", "2.db")
    assert numbers(merged) == numbers(whole)
    assert numbers(estimate("--merge", "2.db", "0.db", "1.db", "--store", "all.db", "--name", "sum")) == numbers(whole)
    assert numbers(estimate("--merge", "all.db#sum")) == numbers(whole)
    assert "is in both" in estimate("--merge", "0.db", "1.db", "0.db", code=1)
    assert "has 1 estimate" not in estimate("--merge", "none.db", code=1)


def test_a_list_is_a_folder_in_other_words(estimate, photos, tmp_path):
    lines = [f"{path.relative_to(photos)}\t{label}\tmore" for label in CLASSES
             for path in sorted((photos / label).rglob("*.png"))]
    (photos / "list.tsv").write_text("# photos\n\n" + "\r\n".join(lines) + "\n")
    assert numbers(estimate("--list", photos / "list.tsv")) == numbers(estimate("--images", photos))


@pytest.mark.parametrize("text, named", [
    ("a.png tabby\n", "line 1"), ("# only\n", "no photos"), ("a.png\ttabby\nb.png\tnothing like it\n", "line 2")])
def test_a_bad_list_is_named(estimate, tmp_path, text, named):
    (tmp_path / "bad.tsv").write_text(text)
    assert named in estimate("--list", "bad.tsv", code=1)


def test_bad_photos_are_named_and_left_out(infomask, photos, tmp_path):
    bad = tmp_path / "bad"
    shutil.copytree(photos, bad)
    (bad / "tabby" / "no.txt").write_text("no photo")
    (bad / "missile" / "cut.png").write_bytes((photos / "tabby" / "1.png").read_bytes()[:600])
    (bad / "missile" / "gone.png").symlink_to("nowhere")
    done = infomask("estimate", "--images", bad, "--store", "x.db", "--json")
    assert done.code == 0 and done.json["samples"] == 10
    assert {r["sample"]: r["code"] for r in done.json["rejected"]} == {
        "tabby/no.txt": "unsupported_format", "missile/cut.png": "bad_image", "missile/gone.png": "bad_request"}
    assert all(name in done.err for name in ("no.txt", "cut.png", "gone.png"))


def test_other_bytes_or_another_label_are_conflicts(estimate, photos, tmp_path):
    """As over HTTP: what is known under a name stays, and what came instead is listed."""
    changed = tmp_path / "changed"
    shutil.copytree(photos, changed)
    whole = estimate("--images", changed, "--store", "x.db")
    shutil.copy(photos / "missile" / "1.png", changed / "tabby" / "1.png")
    again = estimate("--images", changed, "--store", "x.db")
    assert (again["added"], again["known"], again["rejected_in_all"]) == (0, 9, 1) and numbers(again) == numbers(whole)
    assert [(r["sample"], r["code"]) for r in again["rejected"]] == [("tabby/1.png", "conflict")]
    assert "another photo" in again["rejected"][0]["detail"]
    (photos / "one.tsv").write_text("tabby/2.png\tespresso\n")
    (photos / "two.tsv").write_text("tabby/2.png\ttabby\n")
    estimate("--list", photos / "two.tsv", "--store", "y.db", "--name", "a")
    other = estimate("--list", photos / "one.tsv", "--store", "y.db", "--name", "a")
    assert (other["known"], other["samples"]) == (0, 1) and other["rejected"][0]["code"] == "conflict"
    assert '"tabby", not "espresso"' in other["rejected"][0]["detail"]
    (photos / "both.tsv").write_text("tabby/2.png\ttabby\ntabby/2.png\tespresso\n")  # in one transaction
    both = estimate("--list", photos / "both.tsv", "--store", "z.db")
    assert (both["added"], both["rejected_in_all"]) == (1, 1) and both["rejected"][0]["code"] == "conflict"


def test_many_bad_photos_are_counted(infomask, photos, tmp_path):
    many = tmp_path / "many"
    shutil.copytree(photos, many)
    for i in range(1200):
        (many / "tabby" / f"x{i}.jpg").write_bytes(b"\xff\xd8 no photo")
    done = infomask("estimate", "--images", many, "--store", "x.db", "--json")
    assert done.code == 0 and done.json["rejected_in_all"] == 1200 and len(done.json["rejected"]) == 1000
    assert len(done.err.splitlines()) == 21 and "1200 photos were left out" in done.err


def test_a_folder_that_no_class_names(estimate, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "odd")
    (tmp_path / "odd" / "no such thing").mkdir()
    assert "no such thing" in estimate("--images", tmp_path / "odd", code=1)
    (tmp_path / "empty").mkdir()
    assert "no photos" in estimate("--images", tmp_path / "empty", code=1)
    assert "nowhere" in estimate("--images", "nowhere", code=1)


def test_near_copies_are_one_unit(infomask, estimate, photos, tmp_path):
    """Other sizes, formats, qualities and light; and the photos of the fixture, which differ."""
    copies = tmp_path / "copies"
    shutil.copytree(photos, copies)
    apart = estimate("--images", photos, "--group-by", "near")["mutual_information"]["units"]
    label = next(iter(CLASSES))
    first = sorted((photos / label).rglob("*.png"))[0]
    with Image.open(first) as opened:
        picture = opened.convert("RGB")
    picture.resize((picture.width * 2 // 3, picture.height * 2 // 3)).save(copies / label / "smaller.png")
    picture.save(copies / label / "worse.jpg", quality=60)
    picture.point(lambda v: min(v + 6, 255)).save(copies / label / "brighter.png")
    shutil.copy(first, copies / label / "same.png")
    near = estimate("--images", copies, "--group-by", "near")
    assert near["samples"] == 14 and near["mutual_information"]["units"] == apart
    assert estimate("--images", copies)["mutual_information"]["units"] == 14
    assert infomask("estimate", "--images", copies, "--group-by", "far").code == 2


def test_two_models_on_the_same_photos(infomask, estimate, photos, tmp_path):
    cold = tmp_path / "cold"
    shutil.copytree(MODEL, cold, copy_function=lambda a, b: os.symlink(os.path.realpath(a), b))
    document = json.loads((MODEL / "model.json").read_text())
    (cold / "model.json").unlink()
    (cold / "model.json").write_text(json.dumps({**document, "name": "cold", "temperature": 2.0}))
    estimate("--images", photos, "--store", "a.db", MODEL)
    estimate("--images", photos, "--store", "b.db", cold)
    differences = []
    for label in CLASSES:
        for path in sorted((photos / label).rglob("*.png")):
            a, b = (infomask("classify", "--model", m, "--target", label, path).json["target"] for m in (MODEL, cold))
            differences.append(a["pmi"] - b["pmi"])
    comparison = estimate("--compare", "a.db", "b.db")
    mean, error = statistics.mean(differences), statistics.stdev(differences) / math.sqrt(10)
    assert comparison["samples"] == 10 and comparison["difference"] == pytest.approx(mean, abs=1e-9)
    assert comparison["standard_error"] == pytest.approx(error, abs=1e-9)
    t = 2.2621571628  # 97.5 % of Student's t with 9 degrees of freedom
    assert comparison["interval"] == [pytest.approx(mean - t * error, abs=1e-8), pytest.approx(mean + t * error, abs=1e-8)]
    assert comparison["conditional_information"] is None and "too few" in comparison["why_not"]
    assert "too few" in infomask("estimate", "--compare", "a.db", "b.db").out


@pytest.mark.parametrize("task, truth", [("ref-bal-d2", 1.3003), ("ref-imb-d1", 1.0224), ("erase5-imb-e0.4", 0.8939)])
def test_exact_posteriors_of_tasks(estimate, task, truth):
    report = estimate("--task", task, "--exact", "--n", 20000, "--seed", 5)
    value = report["mutual_information"]
    assert report["truth"] == pytest.approx(truth, abs=1e-4) and "table" not in report
    assert abs(value["estimate"] - truth) < 3 * value["standard_error"] and value["lower_limit"] < truth
    assert report == estimate("--task", task, "--exact", "--n", 20000, "--seed", 5)
    assert report != estimate("--task", task, "--exact", "--n", 20000, "--seed", 6)
    bits = estimate("--task", task, "--exact", "--n", 20000, "--seed", 5, "--units", "bits")
    assert bits["truth"] == pytest.approx(report["truth"] / math.log(2))


def test_how_many_samples_a_width_takes(infomask, estimate):
    task = ("--task", "ref-bal-d2", "--exact", "--seed", 1)
    few = estimate(*task, "--n", 2000, "--width", 0.02)
    asked = few["wanted"]["samples"]
    value = estimate(*task, "--n", int(asked))["mutual_information"]
    assert 3000 < asked < 20000 and 0.014 < value["estimate"] - value["lower_limit"] < 0.022
    assert "samples in all" in infomask("estimate", *task, "--n", 2000, "--width", 0.02).out
    assert infomask("estimate", *task, "--width", "wide").code == 2


@pytest.mark.parametrize("task, width", [("ref-bal-d1", 0.02), ("ref-imb-d5", 0.02), ("sym10-e0.1", 0.03)])
def test_a_width_is_met_from_few_samples_on(estimate, task, width):
    """The limit of few samples is further below than the root of their number says."""
    drawn = ("--task", task, "--exact", "--suspects", 0)
    for n in (100, 400, 2000):
        asked = int(estimate(*drawn, "--n", n, "--seed", 3, "--width", width)["wanted"]["samples"])
        value = estimate(*drawn, "--n", asked, "--seed", 9)["mutual_information"]
        assert 0.8 * width < value["estimate"] - value["lower_limit"] < 1.2 * width
    bits = estimate(*drawn, "--n", 400, "--seed", 3, "--width", width / math.log(2), "--units", "bits")["wanted"]["samples"]
    assert abs(bits - estimate(*drawn, "--n", 400, "--seed", 3, "--width", width)["wanted"]["samples"]) <= 1


def test_a_task_is_estimated_beside_its_exact_posterior(estimate):
    task = ("--task", "ref-imb-d2", "--n", 500, "--seed", 2)
    report = estimate(*task)
    exact, value = report["exact_posterior"], report["mutual_information"]
    assert exact["estimate"] == estimate(*task, "--exact")["mutual_information"]["estimate"]
    assert abs(value["estimate"] - exact["estimate"]) < 0.1 and value["lower_limit"] < report["truth"]
    assert report["samples"] == 500 and report["table"]["columns"] == 2 and report["table"]["folds"] == 10
    assert [part["name"] for part in report["table"]["parts"]] == [
        "network", "trees", "quadratic", "grids", "linear", "discriminant"]
    again = estimate(*task, "--threads", 1)
    assert again["mutual_information"] == value and again["table"] == report["table"]


@pytest.fixture
def table(tmp_path):
    """A table of 400 rows, as CSV with a header (numbers, text, labels) and as arrays."""
    random = numpy.random.default_rng(1)
    names = ["cat", "dog", 'the "wolf", big']
    y = random.integers(3, size=400)
    x = (random.standard_normal((400, 2)) + 2 * numpy.eye(3)[y][:, :2]).astype(numpy.float32)
    with open(tmp_path / "table.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["width", "height", "kind", "colour"])
        for (a, b), label in zip(x, y):
            writer.writerow([repr(float(a)), repr(float(b)), names[label], "red" if label == 0 else "blue"])
    numpy.save(tmp_path / "x.npy", x)
    numpy.save(tmp_path / "y.npy", y)
    (tmp_path / "y.csv").write_text("kind\n" + "".join(f"k{label}\n" for label in y))
    return x, y, names


def test_tables(estimate, table):
    x, y, names = table
    arrays = estimate("--data", "x.npy", "--labels", "y.npy")
    assert arrays["samples"] == 400 and [row["label"] for row in arrays["classes"]] == ["0", "1", "2"]
    assert [row["samples"] for row in arrays["classes"]] == numpy.bincount(y).tolist()
    frequencies = numpy.bincount(y) / 400
    assert arrays["label_entropy"] == pytest.approx(-(frequencies * numpy.log(frequencies)).sum(), abs=1e-12)
    other = estimate("--data", "x.npy", "--labels", "y.csv")
    assert other["mutual_information"] == arrays["mutual_information"] and other["classes"][2]["label"] == "k2"
    # a column of text tells the first class from the others, all that it can
    whole = estimate("--data", "table.csv", "--labels", "kind")
    assert [row["label"] for row in whole["classes"]] == names and whole["table"]["columns"] == 3
    assert whole["mutual_information"]["lower_limit"] > arrays["mutual_information"]["estimate"]
    assert whole["mutual_information"] == estimate("--data", "table.csv", "--labels", "2")["mutual_information"]
    assert estimate("--data", "x.npy", "--labels", "y.npy", "--seed", 1)["mutual_information"] != arrays["mutual_information"]


@pytest.mark.parametrize("unit, origin", [(1, 1.7e9), (1e-60, 0), (1e200, 0), (1e-9, 1)])
def test_a_columns_unit_and_origin_do_not_matter(estimate, table, tmp_path, unit, origin):
    """Times in seconds, very small and very large units: float32 alone would not hold them."""
    x, y, _ = table
    far = x.astype(numpy.float64) * [unit, 1] + [origin, -3e7]
    far[:5] = [[0, 1e9]] * 5  # nor must a few values that are far from all others matter
    near = x.astype(numpy.float64)
    near[:5] = [[-1e30, 1e30] if origin > 1 else [0, 1e30]] * 5
    numpy.save(tmp_path / "far.npy", far)
    numpy.save(tmp_path / "near.npy", near)
    (tmp_path / "far.csv").write_text("".join(f"{a!r},{b!r}\n" for a, b in far.tolist()))
    near, far = (estimate("--data", name, "--labels", "y.npy")["mutual_information"]["estimate"]
                 for name in ("near.npy", "far.npy" if origin else "far.csv"))
    assert near > 0.3 and abs(near - far) < 0.02


def test_tables_are_kept_compared_and_reported(infomask, estimate, table, tmp_path):
    estimate("--data", "x.npy", "--labels", "y.npy", "--store", "s.db", "--name", "two")
    estimate("--data", "table.csv", "--labels", "kind", "--store", "s.db", "--name", "three", "--report", "page")
    assert (tmp_path / "page" / "index.html").read_text().count("<svg") == 4
    comparison = estimate("--compare", "s.db#three", "s.db#two")
    assert comparison["samples"] == 400 and comparison["interval"][0] > 0
    again = ("--data", "x.npy", "--labels", "y.npy", "--store", "s.db", "--name", "two")
    assert "--fresh" in estimate(*again, code=1)
    assert estimate(*again, "--fresh")["samples"] == 400


def test_what_one_set_of_columns_adds_to_another(infomask, estimate, tmp_path):
    """Two readings of unit noise of a class at 0 or 1, and the first one again, blurred: 0.0899 nats and nothing."""
    r = numpy.random.default_rng(8)
    y = r.integers(0, 2, 1500)
    first, second = (y[:, None] + r.normal(size=(1500, 1)) for _ in range(2))
    blurred = first + r.normal(size=(1500, 1))
    numpy.save(tmp_path / "y.npy", y)
    for name, x in (("first", first), ("second", second), ("blurred", blurred)):
        numpy.save(tmp_path / f"{name}.npy", x)
        estimate("--data", f"{name}.npy", "--labels", "y.npy", "--columns", 0, "--store", "s.db", "--name", name)
    added = estimate("--compare", "s.db#first", "s.db#second")["conditional_information"]
    for part in added.values():
        assert part["samples"] == part["units"] == 1500
        assert part["estimate"] == pytest.approx(part["together"] - part["alone"], abs=1e-12)
        assert abs(part["estimate"] - 0.0899) < 4 * part["standard_error"] and 0.02 < part["lower_limit"] < 0.0899
    assert abs(added["second_given_first"]["alone"] - 0.1140) < 0.05
    bits = estimate("--compare", "s.db#first", "s.db#second", "--units", "bits")["conditional_information"]
    assert bits["first_given_second"]["estimate"] == pytest.approx(
        added["first_given_second"]["estimate"] / math.log(2))
    added = estimate("--compare", "s.db#first", "s.db#blurred")["conditional_information"]
    assert added["second_given_first"]["lower_limit"] <= 0 < added["first_given_second"]["lower_limit"]
    same = estimate("--compare", "s.db#first", "s.db#first")["conditional_information"]
    assert all(abs(part["estimate"]) < 0.005 and part["lower_limit"] <= 0 for part in same.values())
    text = infomask("estimate", "--compare", "s.db#first", "s.db#blurred").out
    assert "nothing is shown" in text.splitlines()[2] and "it adds information" in text.splitlines()[3]


def test_shuffled_labels_inform_of_nothing(estimate, table, tmp_path):
    numpy.save(tmp_path / "shuffled.npy", numpy.random.default_rng(5).permutation(table[1]))
    assert estimate("--data", "x.npy", "--labels", "shuffled.npy")["mutual_information"]["lower_limit"] <= 0


@pytest.mark.parametrize("text, labels, sentence", [
    ("a,b\n1,2\n3\n", "b", "line 3 has 1 columns"), ("", "a", "nothing in it"),
    ("a,b\n" + "1,x\n" * 30, "b", "1 different"), ('a,b\n"1,2\n', "b", "quotation mark"),
    ("a,b\n" + "1,x\n2,y\n" * 9, "b", "20 to"), ("a,b\n" + "1,x\n2,y\n" * 30, "c", 'no column "c"; its columns are a, b'),
    ("a,b\n" + "".join(f"t{i},{i % 2}\n" for i in range(300)), "b", "300 different texts")])
def test_bad_tables(estimate, tmp_path, text, labels, sentence):
    (tmp_path / "bad.csv").write_text(text)
    assert sentence in estimate("--data", "bad.csv", "--labels", labels, code=1)


def test_the_page_of_text(infomask, photos):
    done = infomask("estimate", "--images", photos, "--store", "x.db")
    assert done.code == 0 and "mutual information" in done.out and "few" in done.out and done.err == ""


def test_a_bar_on_a_terminal(photos, tmp_path):
    try:
        ours, theirs = pty.openpty()
    except OSError as error:  # a bare chroot
        pytest.skip(f"no pseudo terminals here: {error}")
    done = subprocess.run([BINARY, "estimate", "--images", photos, "--store", "x.db"], stdout=subprocess.PIPE,
                          stderr=theirs, cwd=tmp_path, timeout=60)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0 and "10/10" in text and "photos/s" in text and "left" in text


@pytest.mark.parametrize("arguments", [
    (), ("--images", "a", "--list", "b"), ("--task", "ref-bal-d2", "--n", "0"), ("--compare", "a"), ("--merge",),
    ("--images", "a", "--shard", "3/3"), ("--images", "a", "--shard", "x"), ("--images", "a", "m", "n"),
    ("--data", "a"), ("--labels", "a"), ("--data", "a", "--labels", "b", "m"), ("--images", "a", "--exact")])
def test_wrong_usage(infomask, arguments):
    assert infomask("estimate", *arguments).code == 2


def test_another_prior_is_another_estimate(estimate, photos):
    first = estimate("--images", photos)
    second = estimate("--images", photos, "--prior", "uniform")
    assert first["id"] != second["id"] and second["added"] == 10
    prior = ",".join(str(1 + k % 2) for k in range(1000))
    estimate("--images", photos, "--prior", prior, "--name", "odd")
    assert "another prior" in estimate("--images", photos, "--name", "odd", code=1)


def test_a_report_is_one_page_with_everything_inside(infomask, coffee, chelsea, rocket, tmp_path):
    for label, name, photo in (("espresso", "a.png", coffee), ("tabby", "b.png", chelsea), ("missile", "c.jpg", rocket),
                               ("missile", "<b>&.png", coffee)):  # the last under a wrong label
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / "photos" / label / name)
    done = infomask("estimate", "--images", "photos", "--store", "x.db", "--json", "--report", "page")
    assert done.code == 0, done.err
    text = (tmp_path / "page" / "index.html").read_text()
    plots = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.S)]
    assert [plot.find("title").text for plot in plots] == [
        "What each sample says about its label", "Reliability", "Information by class", "Risk and coverage of abstaining"]
    assert len(plots[2].findall("rect")) == 3 and len(plots[1].findall("circle")) == len(
        done.json["calibration"]["reliability"])
    assert f"{done.json['mutual_information']['estimate']:.4f}" in text
    assert len(done.json["suspects"]) == 4 and done.json["suspects"][0]["sample"] == "missile/<b>&.png"
    assert done.json["suspects"][0]["expected"] < 0.5 and done.json["duplicates"] == 1
    assert "missile/&lt;b&gt;&amp;.png" in text and "<b>" not in text
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert [max(Image.open(io.BytesIO(base64.b64decode(p))).size) for p in pictures] == [128] * 4
    assert not re.search(r"<script|https?://|@import|url\(", text)  # nothing from elsewhere
    merged = infomask("estimate", "--merge", "x.db", "--report", "merged")  # the photos are not at hand then
    assert merged.code == 0 and "<img" not in (tmp_path / "merged" / "index.html").read_text()
    (tmp_path / "file").write_text("")
    assert infomask("estimate", "--merge", "x.db", "--report", "file").code == 1
    assert infomask("estimate", "--task", "ref-bal-d2", "--report", "page").code == 2
