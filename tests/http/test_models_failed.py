"""A model folder that cannot be loaded is told of, and costs the others nothing."""
import json
import os
import pathlib
import shutil
import signal
import tempfile

import pytest

from conftest import until

DIGITS = pathlib.Path(__file__).resolve().parents[2] / "config/models/digits"


@pytest.fixture(scope="module")
def server(make_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("digits", "cut", "bare"):
        shutil.copytree(DIGITS, folder / name)
    document = json.loads((DIGITS / "model.json").read_text())
    (folder / "cut/model.json").write_text(json.dumps(dict(document, name="cut")))
    (folder / "cut/model.onnx").write_bytes((DIGITS / "model.onnx").read_bytes()[:1000])
    (folder / "bare/model.json").unlink()
    return make_server("--models-dir", folder, "--model", "digits")


def test_a_broken_folder_is_listed_with_its_reason(server):
    models = {model["name"]: model for model in server.ask("GET", "/v1/models").json["models"]}
    assert models["digits"]["status"] == "ready" and models["digits"]["memory_bytes"] > 0
    assert models["digits"]["why_not"] is None
    assert models["cut"]["status"] == "failed" and "model.onnx" in models["cut"]["reason"]
    assert models["bare"]["status"] == "failed" and "there is no model.json" in models["bare"]["reason"]
    one = server.ask("GET", "/v1/models/cut")
    assert one.status == 200 and one.json["status"] == "failed" and "model.onnx" in one.json["reason"]


def test_asking_a_broken_model_says_why(server, png):
    answer = server.ask("POST", "/v1/classify?model=cut", png)
    assert answer.status == 503 and answer.code == "model_failed" and "cannot be served" in answer.json["detail"]
    answer = server.ask("GET", "/v2/models/cut")
    assert answer.status == 503 and "cannot be served" in answer.json["error"]
    assert server.ask("POST", "/v1/classify?model=nobody", png).code == "no_such_model"
    assert server.ask("POST", "/v1/classify", png).status == 200


def test_a_folder_that_is_mended_is_served_after_a_reload(make_server, tmp_path, png):
    shutil.copytree(DIGITS, tmp_path / "digits")
    shutil.copytree(DIGITS, tmp_path / "later")
    document = json.loads((DIGITS / "model.json").read_text())
    (tmp_path / "later/model.json").write_text(json.dumps(dict(document, name="later", prior="none.txt")))
    server = make_server("--models-dir", tmp_path, "--model", "digits")
    assert server.ask("POST", "/v1/classify?model=later", png).code == "model_failed"
    (tmp_path / "later/model.json").write_text(json.dumps(dict(document, name="later")))
    server.process.send_signal(signal.SIGHUP)
    assert until(lambda: server.ask("POST", "/v1/classify?model=later", png).status == 200)


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes a user who may not read")
def test_what_may_not_be_read_is_told_of(make_server):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="infomask-models-"))  # whose parents everybody may look into
    try:
        folder.chmod(0o755)
        for name in ("digits", "closed", "listed", "document", "network", "labels"):
            shutil.copytree(DIGITS, folder / name)
            document = json.loads((DIGITS / "model.json").read_text())
            document.pop("labels", None)
            document.pop("prior", None)
            (folder / name / "model.json").write_text(json.dumps(dict(document, name=name)))
            (folder / name / "labels.txt").write_text("".join(f"digit {i}\n" for i in range(10)))
        (folder / "closed").chmod(0)
        (folder / "listed").chmod(0o444)
        (folder / "document/model.json").chmod(0)
        (folder / "network/model.onnx").chmod(0)
        (folder / "labels/labels.txt").chmod(0)
        server = make_server("--user", "nobody", "--models-dir", folder, "--model", "digits", "--state-dir", folder / "state")
        models = {model["name"]: model for model in server.ask("GET", "/v1/models").json["models"]}
        assert models.pop("digits")["status"] == "ready"
        assert set(models) == {"closed", "listed", "document", "network", "labels"}
        for name, model in models.items():
            assert model["status"] == "failed" and "Permission denied" in model["reason"], name
        assert "labels.txt" in models["labels"]["reason"] and "looked into" in models["closed"]["reason"]
    finally:
        shutil.rmtree(folder)


def test_labels_that_lie_in_the_folder_are_used(make_server, tmp_path, png):
    shutil.copytree(DIGITS, tmp_path / "named")
    document = json.loads((DIGITS / "model.json").read_text())
    del document["labels"], document["prior"]
    (tmp_path / "named/model.json").write_text(json.dumps(dict(document, name="named")))
    (tmp_path / "named/labels.txt").write_text("".join(f"digit {i}\n" for i in range(10)))
    server = make_server("--models-dir", tmp_path)
    assert server.ask("POST", "/v1/classify", png).json["predictions"][0]["label"].startswith("digit ")
