"""Groups of classes: the file, the numbers, and masks of a whole kind."""
import math
import pathlib
import shutil
import subprocess
import sys

import pytest

from conftest import MODEL, ROOT

WORDNET = next((f for f in (pathlib.Path("/usr/share/wordnet"), ROOT / "build/wordnet") if (f / "data.noun").exists()), None)


@pytest.mark.skipif(WORDNET is None, reason="WordNet is not here: make groups fetches it")
def test_the_file_is_what_wordnet_says():
    made = subprocess.run([sys.executable, ROOT / "config/make_groups.py", MODEL / "labels.txt", WORDNET],
                          capture_output=True, text=True, check=True)
    assert made.stdout == (MODEL / "groups.tsv").read_text()
    made = subprocess.run([sys.executable, ROOT / "config/make_groups.py", "--aliases", MODEL / "labels.txt", WORDNET],
                          capture_output=True, text=True, check=True)
    assert made.stdout == (MODEL / "labels.txt").read_text()


def dissolved():
    lines = {}
    for line in (MODEL / "groups.tsv").read_text().splitlines():
        if not line.startswith("#"):
            name, aliases, members = line.split("\t")
            lines[name] = members.split(",")

    def members(name):
        return {c for m in lines[name] for c in (members(m[1:]) if m[0] == "@" else {int(m)})}

    return {name: members(name) for name in lines}


def test_people_find_their_words():
    groups = dissolved()
    assert len(groups["dog"]) == 118 and groups["cat"] > groups["domestic cat"] and groups["feline"] > groups["cat"]
    assert len(groups["bird"]) == 59 and 151 in groups["dog"] and min(map(len, groups.values())) >= 2
    assert not {"device", "container", "abstraction", "part", "entity", "artifact"} & set(groups)
    assert all(name == name.lower() and "_" not in name for name in groups)


@pytest.mark.parametrize("word,label", [
    ("horse", "sorrel"), ("pig", "hog"), ("owl", "great grey owl"), ("mug", "coffee mug"), ("mobile phone", "cellular telephone"),
    ("sofa", "studio couch"), ("airplane", "airliner"), ("eyeglasses", "sunglasses"), ("apple", "Granny Smith")])
def test_the_only_class_of_a_kind_has_its_name(infomask, chelsea, word, label):
    assert infomask("classify", f"--target={word}", chelsea).json["target"]["label"] == label


def test_no_alias_means_two_things():
    rows = [line.split("\t") for line in (MODEL / "labels.txt").read_text().splitlines()]
    aliases = [name.lower() for row in rows for name in row[1:]]
    groups = [name.lower() for line in (MODEL / "groups.tsv").read_text().splitlines() if line[0] != "#"
              for name in [line.split("\t")[0], *line.split("\t")[1].split("|")]]
    assert len(aliases) == len(set(aliases)) and not set(aliases) & ({row[0].lower() for row in rows} | set(groups))


def test_a_group_adds_up_exactly(infomask, chelsea):
    answer = infomask("classify", "--target=dog", "--groups=true", "--top-k=1000", chelsea).json
    p = {row["index"]: row["probability"] for row in answer["predictions"]}
    dog, row = dissolved()["dog"], answer["target"]
    assert abs(row["probability"] - sum(p[c] for c in dog)) < 1e-9 and (row["group"], row["size"]) == ("dog", 118)
    assert abs(row["pmi"] - (math.log(row["probability"]) - math.log(.118))) < 1e-9 and "index" not in row
    best = answer["predictions"][0]["groups"]
    assert best[:3] == ["domestic cat", "cat", "feline"]
    assert answer["surely"]["group"] == "domestic cat" and answer["surely"]["probability"] > .5


def test_a_mask_of_a_kind(infomask, chelsea):
    answer = infomask("mask", "--quality=fast", "--target=feline", chelsea).json
    cells = [v for row in answer["map"]["cells"] for v in row]
    assert answer["target"]["group"] == "feline" and answer["mask"]["area"] > .2
    assert abs(sum(cells) / len(cells) - answer["map"]["pmi"]) < 1e-9 and answer["map"]["pmi"] < -math.log(.013)
    assert infomask("mask", "--quality=fast", "--target=dog", chelsea).json["mask"]["empty"]


@pytest.mark.parametrize("method", ["cam", "infocam+", "gradcam++", "layercam"])
def test_every_method_knows_groups(infomask, chelsea, method):
    answer = infomask("mask", "--quality=fast", "--target=cat", "--method", method, chelsea).json
    assert answer["mask"]["area"] > .05


def test_even_digits_are_filtered_out(infomask, tmp_path):
    canvas = ROOT / "docs/digits.png"
    even = infomask("mask", "--model=digits", "--target=even", canvas).json
    each = infomask("mask", "--model=digits", *(f"--target={d}" for d in (0, 2, 4, 6, 8)), canvas).json
    assert even["target"]["group"] == "even" and even["mask"]["objects"] and each["mask"]["png"] == even["mask"]["png"]


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(ROOT / "config/models/digits", tmp_path / "own")
    return tmp_path / "own"


def test_labels_win_and_prefixes_force(infomask, folder):
    (folder / "groups.tsv").write_text("zero\tround|three\t0,6\nlow\tround\t0,1,2,3,@zero\n")
    (folder / "labels.txt").write_text("zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n")
    digit = ROOT / "tests/data/digits/0.png"

    def ask(target):
        return infomask("classify", "--model", folder, f"--target={target}", digit)

    assert ask("zero").json["target"]["index"] == 0 and ask("label:zero").json["target"]["index"] == 0
    assert ask("group:zero").json["target"]["size"] == 2 and ask("three").json["target"]["index"] == 3
    assert ask("LOW").json["target"]["size"] == 5
    assert ask("round").code != 0 and '"zero"' in ask("round").err and '"low"' in ask("round").err
    assert "no group" in ask("group:high").err and "no class or group" in ask("high").err


@pytest.mark.parametrize("said, meant", [
    ("dogs", '"dog"'), ("FOXES", '"fox": of these the model knows only "red fox", "kit fox", "Arctic fox" and "grey fox"'),
    ("butterflies", '"butterfly"'), ("geese", '"goose"'), ("puppy", '"dog"'), ("tv", '"television"'),
    *((word, '"person": of these the model knows only "ballplayer", "groom" and "scuba diver"') for word in ("man", "people", "kids"))])
def test_what_people_say_for_it_is_told_in_the_models_words(infomask, coffee, said, meant):
    asked = infomask("classify", f"--target={said}", coffee)
    assert asked.code == 1
    assert f'no class or group is named "{said}"; the nearest in meaning is {meant}\n' in asked.err


def test_a_model_without_people_is_not_asked_for_them(infomask):
    asked = infomask("classify", "--model=digits", "--target=people", ROOT / "tests/data/digits/0.png")
    assert asked.code == 1 and "nearest in meaning" not in asked.err and "the nearest classes are" in asked.err


def test_a_bad_file_is_refused_with_its_line(infomask, folder):
    (folder / "groups.tsv").write_text("low\t\t0,1\nhigh\t\t8,99\n")
    refused = infomask("classify", "--model", folder, ROOT / "tests/data/digits/0.png")
    assert refused.code == 1 and "groups.tsv: line 2" in refused.err and "99" in refused.err
