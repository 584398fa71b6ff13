"""A model that computes something else than its file says is not served: found out by `models check` and `models add`, kept
for the loads to come, and asked at each load.  The fault is a real one: a numeric library that computes one column
wrong, put before the true one by the system's loader.  And folders that hold what no model folder should."""
import json
import os
import pathlib
import shutil
import subprocess
import threading

import pytest

from conftest import BINARY, ENVIRONMENT, until
from test_access import bearer, write_keys

DIGITS = pathlib.Path(__file__).resolve().parents[2] / "config/models/digits"
FAULT = """
#define _GNU_SOURCE
#include <dlfcn.h>
typedef void gemm(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
gemm cblas_sgemm;
void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                 int ldb, float beta, float *c, int ldc)
{
    gemm *sound = (gemm *)dlsym(RTLD_NEXT, "cblas_sgemm");
    sound(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    for (int i = 0; tb == 112 && i < m; i++) /* CblasTrans: of products, as networks make them */
        c[(long)i * ldc + n - 1] *= 1.5F;
}
"""


@pytest.fixture(scope="module")
def fault(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fault")
    (folder / "fault.c").write_text(FAULT)
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", folder / "fault.so", folder / "fault.c", "-ldl"],
                   check=True)
    return {"LD_PRELOAD": str(folder / "fault.so")}


def copy_of(folder, name, **keys):
    shutil.copytree(DIGITS, folder / name)
    document = json.loads((DIGITS / "model.json").read_text())
    (folder / name / "model.json").write_text(json.dumps(dict(document, name=name, **keys)))
    return folder / name


@pytest.fixture
def models(tmp_path):
    copy_of(tmp_path, "digits")
    copy_of(tmp_path, "other")
    return tmp_path


def run(*arguments, env=None):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, env={**ENVIRONMENT, **(env or {})})


def check(models, name="other", env=None):
    return run("models", "check", "--isa", "blas", "--models-dir", models, name, env=env)


def record(models, name="other"):
    return json.loads((models / name / "check.json").read_text())["checks"][0]


class Served:
    """A service whose every request is the administrator's."""

    def __init__(self, make_server, models, *flags):
        keys = models / ".keys"
        write_keys(keys, root="admin,infer")
        self.server = make_server("--keys", keys, "--models-dir", models, "--model", "digits", *flags)

    def ask(self, method, path, body=b""):
        return self.server.ask(method, path, body, bearer("root"))

    def reload(self):
        return self.ask("POST", "/v1/models/reload").status


def status(server, name="other"):
    return server.ask("GET", f"/v1/models/{name}").json


needs_no_sanitizer = pytest.mark.skipif("san-" in BINARY, reason="a sanitizer's runtime must be loaded first")


@needs_no_sanitizer
def test_a_model_that_differs_is_not_served_until_it_is_found_equal(make_server, models, fault, png):
    found = check(models, env=fault)
    assert found.returncode == 1 and "DIFFERS" in found.stdout, found.stderr
    assert record(models)["equal"] is False and record(models)["error"] > record(models)["most"]

    server = Served(make_server, models, "--isa", "blas")
    assert status(server)["status"] == "failed" and "differs from its layers" in status(server)["reason"]
    answer = server.ask("POST", "/v1/classify?model=other", png)
    assert answer.status == 503 and answer.code == "model_failed" and "not served" in answer.json["detail"]
    index = {model["name"]: model for model in server.ask("POST", "/v2/repository/index", b"{}").json}
    assert index["other"]["state"] == "UNAVAILABLE" and "differs" in index["other"]["reason"]
    assert index["digits"]["state"] == "READY" and index["digits"]["reason"] == ""
    assert server.ask("POST", "/v1/classify", png).status == 200
    ran = run("classify", "--isa", "blas", "--models-dir", models, "--model", "other", DIGITS / "model.json")
    assert ran.returncode != 0 and "not served" in ran.stderr

    assert check(models).returncode == 0 and record(models)["equal"] is True
    assert server.reload() == 200
    assert server.ask("POST", "/v1/classify?model=other", png).status == 200

    assert check(models, env=fault).returncode == 1  # found out while it is served: its former version is the same file
    assert server.reload() == 200
    assert status(server)["status"] == "failed"


@needs_no_sanitizer
def test_each_load_asks_where_nothing_is_known(models, fault, tmp_path):
    arguments = ["--isa", "blas", "--models-dir", models]
    ran = run("models", *arguments, "digits", env=fault)
    assert ran.returncode == 1 and "differs from its layers" in ran.stderr
    assert run("models", *arguments, "digits").returncode == 0
    ran = run("models", "add", *arguments, "--name", "new", DIGITS / "model.onnx", env=fault)
    assert ran.returncode == 1 and "not added" in ran.stderr and not (models / "new").exists()
    assert run("models", "add", *arguments, "--name", "new", DIGITS / "model.onnx").returncode == 0
    assert record(models, "new")["equal"] is True


@pytest.mark.parametrize("key, other", [("digest", "0" * 64), ("isa", "avx2"), ("precision", "int8"), ("build", "0" * 40)])
def test_a_record_holds_for_its_file_build_and_kernels_only(models, key, other):
    assert check(models).returncode == 0
    path = models / "other/check.json"
    document = json.loads(path.read_text())
    document["checks"][0].update(equal=False, error=0.5)
    path.write_text(json.dumps(document))
    arguments = ["models", "--isa", "blas", "--models-dir", models, "other"]
    assert "differs" in run(*arguments).stderr
    (document if key == "build" else document["checks"][0])[key] = other
    path.write_text(json.dumps(document))
    assert run(*arguments).returncode == 0
    path.write_text("{ not JSON")
    assert run(*arguments).returncode == 0


def test_where_the_folder_cannot_be_written_the_state_keeps_it(models, tmp_path):
    (models / "other/check.json").mkdir()  # root may write everywhere, but not here
    state = tmp_path / "state"
    assert check(models, env={"STATE_DIRECTORY": str(state)}).returncode == 0
    path = state / "checks/other.json"
    document = json.loads(path.read_text())
    assert document["checks"][0]["equal"] is True
    document["checks"][0]["equal"] = False
    path.write_text(json.dumps(document))
    arguments = ["models", "--isa", "blas", "--models-dir", models, "other"]
    assert "differs" in run(*arguments, env={"STATE_DIRECTORY": str(state)}).stderr
    assert run(*arguments, env={"STATE_DIRECTORY": str(tmp_path / "none")}).returncode == 0


def replace(path, make):
    path.unlink()
    make(path)


def test_whatever_lies_in_a_folder_the_service_starts(make_server, tmp_path, png):
    copy_of(tmp_path, "digits")
    replace(copy_of(tmp_path, "pipe") / "model.onnx", os.mkfifo)
    replace(copy_of(tmp_path, "pipe-document") / "model.json", os.mkfifo)
    replace(copy_of(tmp_path, "pipe-labels") / "labels.txt", os.mkfifo)
    replace(copy_of(tmp_path, "folder") / "model.onnx", pathlib.Path.mkdir)
    replace(copy_of(tmp_path, "zeros") / "model.onnx", lambda path: path.symlink_to("/dev/zero"))
    replace(copy_of(tmp_path, "loop") / "model.onnx", lambda path: path.symlink_to(path))
    replace(copy_of(tmp_path, "empty") / "model.onnx", pathlib.Path.touch)
    (copy_of(tmp_path, "huge") / "model.json").write_text("[" + "0," * 3_000_000 + "0]")
    os.mkfifo(copy_of(tmp_path, "pipe-record") / "check.json")
    embeddings = copy_of(tmp_path, "pipe-embeddings")
    os.mkfifo(embeddings / "head.npy")
    document = json.loads((embeddings / "model.json").read_text())
    (embeddings / "model.json").write_text(json.dumps(dict(document, head_scale=100)))
    (tmp_path / "around").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "nowhere")
    server = Served(make_server, tmp_path)
    listed = {model["name"]: model for model in server.ask("GET", "/v1/models").json["models"]}
    for name in ("pipe", "pipe-document", "pipe-labels", "folder", "zeros", "loop", "empty", "huge",
                 "pipe-embeddings"):
        assert listed[name]["status"] == "failed" and listed[name]["reason"], name
    assert listed["pipe-record"]["status"] == "ready"
    assert server.reload() == 200
    assert server.ask("POST", "/v1/classify", png).status == 200


def test_files_may_change_while_they_are_read(make_server, models, png):
    """Cut, written and replaced under reloads, and the names of two models exchanged: the service answers all along."""
    server = Served(make_server, models)
    network, whole = models / "other/model.onnx", (DIGITS / "model.onnx").read_bytes()
    done = threading.Event()

    def spoil():
        while not done.is_set():
            with open(network, "r+b") as file:
                file.truncate(len(whole) // 3)
                file.write(whole)
            (models / "other").rename(models / ".aside")
            (models / "digits").rename(models / "other")
            (models / ".aside").rename(models / "digits")

    spoiler = threading.Thread(target=spoil)
    spoiler.start()
    try:
        for _ in range(30):
            assert server.reload() in (200, 500, 503, 400)
            assert server.ask("POST", "/v1/classify", png).status == 200
    finally:
        done.set()
        spoiler.join()
    for name in ("digits", "other"):
        document = json.loads((models / name / "model.json").read_text())
        (models / name / "model.json").write_text(json.dumps(dict(document, name=name)))
        (models / name / "model.onnx").write_bytes(whole)
    assert until(lambda: server.reload() == 200)
    assert server.ask("POST", "/v1/classify?model=other", png).status == 200
