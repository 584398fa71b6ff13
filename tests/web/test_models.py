"""The page with models that are not ours: nothing on it may depend on a pooled head, a softmax or many classes."""
import os
import pathlib
import subprocess
import urllib.parse

import pytest
from playwright.sync_api import expect

from conftest import PATIENT, PHOTOS, ROOT, answered, choose, file

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
