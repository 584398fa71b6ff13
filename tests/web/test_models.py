"""The page with models that are not ours: nothing on it may depend on a pooled head, a softmax or many classes."""
import math
import os
import pathlib
import re
import shutil
import subprocess
import urllib.parse

import pytest
from playwright.sync_api import expect

from conftest import PATIENT, PHOTOS, ROOT, answered, choose, file, number, overflow

NETS = ROOT / "tests" / "data" / "nets"
BIN = os.environ.get("INFOMASK_BIN", str(ROOT / "build" / "infomask"))
# a sigmoid over several labels, a softmax behind no head that a map could be made of
FOREIGN = {"net_20026": "infocam", "net_20022": "occlusion"}


@pytest.fixture(scope="session")
def foreign(tmp_path_factory, make_server):
    folder = tmp_path_factory.mktemp("foreign")
    for name in FOREIGN:
        subprocess.run([BIN, "models", "add", str(NETS / f"{name}.onnx"), "--name", name, "--preset", "unit",
                        "--models-dir", str(folder)], check=True, capture_output=True)
    return {name: make_server(*PATIENT, "--models-dir", str(folder), "--model", name) for name in FOREIGN}


@pytest.mark.parametrize("name, method", FOREIGN.items())
def test_a_model_is_asked_by_a_method_that_it_has(visit, foreign, name, method):
    one = visit()
    page = one.go(foreign[name].url + "/")
    answered(page)
    choose(page, file("photo.png", (PHOTOS / "coffee.png").read_bytes()))
    answered(page)
    expect(page.locator("#classes button")).to_have_count(5)
    page.locator("#classes button").nth(1).click()
    answered(page)
    expect(page.locator("#problem")).to_be_hidden()
    for request in one.posts():
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.url).query)
        assert query.get("method", ["infocam"]) == [method], request.url
    one.keep(f"model-{name}")
    assert one.problems == []


def test_a_model_whose_network_is_out_of_memory_can_be_chosen(visit, foreign, make_server):
    """Only one of the two fits: the page lists both, and asks the one that is out, which comes."""
    names = sorted(FOREIGN)
    flags = foreign[names[0]].process.args
    models = lambda server: {model["name"]: model for model in server.ask("GET", "/v1/models").json["models"]}
    most = max(model["memory_bytes"] for model in models(foreign[names[0]]).values())
    server = make_server(*PATIENT, "--models-dir", flags[flags.index("--models-dir") + 1], "--model", names[0],
                         "--models-memory", most)
    other = models(server)[names[1]]
    assert other["status"] == "unloaded" and other["usable"]
    one = visit()
    page = one.go(f"{server.url}/#model={names[1]}")
    answered(page)
    expect(page.locator("#problem")).to_be_hidden()
    assert one.posts()
    for request in one.posts():
        assert urllib.parse.parse_qs(urllib.parse.urlsplit(request.url).query).get("model") == [names[1]], request.url
    assert one.problems == []


AWKWARD = ["<img src=x onerror=alert(1)>", "\"q\" & 'it''s'", "\U0001f600 smile", "\u05e2\u05d1\u05e8\u05d9\u05ea", "group:even", "label:3", "2019", "a,b;c",
           "x" * 255, "back\\slash %41 \u202eturned"]


@pytest.fixture(scope="session")
def awkward(tmp_path_factory, make_server):
    """The digits under names that break what is not careful."""
    folder = tmp_path_factory.mktemp("awkward") / "awkward"
    shutil.copytree(ROOT / "config/models/digits", folder)
    (folder / "labels.txt").write_text("\n".join(AWKWARD) + "\n")
    (folder / "model.json").write_text((folder / "model.json").read_text().replace('"digits"', '"awkward"', 1))
    return make_server(*PATIENT, "--models-dir", str(folder.parent))


@pytest.mark.parametrize("width", [1280, 320])
def test_names_of_any_kind(visit, awkward, width):
    """They are shown as they are, are told apart, and a link of each leads back to it."""
    one = visit(width, 800, permissions=["clipboard-read", "clipboard-write"])
    one.page.on("dialog", lambda dialog: (one.problems.append(dialog.message), dialog.dismiss()))
    page = one.go(awkward.url + "/#photo=coffee")
    answered(page)
    for name in AWKWARD:
        page.fill("#target", name)
        page.keyboard.press("Enter")
        expect(page.locator("#sentence em")).to_have_text(f"“{name}”")
        answered(page)
        expect(page.locator("#problem")).to_be_hidden()
        assert overflow(page) == 0, name
        left, right = (page.locator(f"info-mask .{side}").inner_text().replace("\u2068", "").replace("\u2069", "") for side in ("left", "right"))
        assert left == f"what speaks for {name}" and (name in right or right in ("nothing taken away", "painted over")), (left, right)
        page.click("#link")
        expect(page.locator("#copied")).to_contain_text("Copied a link")
        link = page.evaluate("navigator.clipboard.readText()")
        other = visit()
        there = other.go(link)
        answered(there)
        expect(there.locator("#sentence em")).to_have_text(f"“{name}”")
        assert other.problems == []
    one.keep(f"awkward-{width}")
    assert one.problems == []


def test_what_is_written_from_right_to_left_turns_nothing_else(visit, awkward):
    page = visit().go(awkward.url + f"/#photo=coffee&target={urllib.parse.quote(AWKWARD[3])}")
    answered(page)
    places = page.evaluate("""() => { const range = document.createRange(), sentence = document.querySelector("#sentence"), name = sentence.querySelector("em");
      range.selectNode(sentence.lastChild); const rest = range.getClientRects()[0], at = name.getClientRects(); const last = at[at.length - 1];
      return [last.right, last.top, rest.left, rest.top]; }""")
    assert places[3] > places[1] + 5 or places[2] >= places[0] - 1, places  # "times ..." comes after the name
    assert "\u2068" in page.locator("#verdict-title").inner_text()


@pytest.mark.parametrize("target", ["2019", "x" * 255, "a,b;c"])
def test_the_worked_number_is_right(visit, awkward, target):
    """The logarithm of the number that stands there is the number that stands there, also of what speaks against."""
    page = visit().go(awkward.url + f"/#photo=coffee&target={AWKWARD.index(target)}")
    answered(page)
    text = page.locator("#nat-worked").text_content()
    ratio, says = re.search(r"log ([\d.,e+]+) = (\S+) nats", text).groups()
    pmi = number(page.locator("#classes button[aria-pressed=true] .nats").inner_text())
    assert number(says) == pmi and abs(math.log(float(ratio.replace(",", ""))) - abs(pmi)) < .011, text
    assert ("−log" in text) == (pmi < 0) and ("less likely" in text) == (pmi < 0)
