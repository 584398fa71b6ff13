"""Where models are looked for and where new ones go: the user's own folder beside what was installed."""
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest

from conftest import BINARY, ROOT
from test_models_add import network

DIGITS = ROOT / "config/models/digits"
ZERO = ROOT / "tests/data/digits/0.png"


class Installed:
    """A copy of the binary where `make install` puts it, with a home of its own."""

    def __init__(self, tmp_path):
        self.prefix, self.home = tmp_path / "prefix", tmp_path / "home"
        (self.prefix / "bin").mkdir(parents=True)
        self.home.mkdir()
        shutil.copy(BINARY, self.prefix / "bin/infomask")
        self.share = self.prefix / "share/infomask/models"
        shutil.copytree(DIGITS, self.share / "digits")
        self.own = self.home / ".local/share/infomask/models"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("INFOMASK_", "XDG_"))}
        self.environment = {**clean, "HOME": str(self.home)}

    def __call__(self, *arguments, **more):
        return subprocess.run([self.prefix / "bin/infomask", *map(str, arguments)], capture_output=True, text=True,
                              cwd=self.home, env={**self.environment, **more}, timeout=120)

    def names(self, **more):
        return [model["name"] for model in json.loads(self("models", "--json", **more).stdout)["models"]]

    def put(self, folder, name, version):
        shutil.copytree(DIGITS, folder / name)
        document = json.loads((folder / name / "model.json").read_text())
        (folder / name / "model.json").write_text(json.dumps({**document, "name": name, "version": version}))


@pytest.fixture
def installed(tmp_path):
    return Installed(tmp_path)


def test_new_models_go_to_the_users_own_folder(installed, tmp_path):
    file = network(tmp_path / "net.onnx")
    assert installed.names() == ["digits"] and not installed.own.exists()
    added = installed("models", "add", file, "--name", "mine")
    assert added.returncode == 0, added.stderr
    assert (installed.own / "mine/model.json").exists() and installed.names() == ["digits", "mine"]
    answer = json.loads(installed("classify", "--model", "mine", ROOT / "tests/data/photos/coffee.png").stdout)
    assert answer["model"]["name"] == "mine"
    assert installed("models", "remove", "mine").returncode == 0 and installed.names() == ["digits"]


def test_a_trained_model_goes_there_too(installed, tmp_path):
    done = installed("train", "--data", "task:ref-bal-d2", "--arch", "linear:4,relu", "--epochs", "1", "--name", "taught")
    assert done.returncode == 0, done.stderr
    assert (installed.own / "taught/model.onnx").exists()


def test_the_users_own_wins(installed):
    installed.put(installed.own, "digits", "of the user")
    assert "version of the user" in installed("models", "digits").stdout
    assert "version of the user" in installed("models").stdout and installed.names() == ["digits"]
    assert installed("models").stderr == ""  # that is no conflict
    elsewhere = installed.home / "data"
    installed.put(elsewhere / "infomask/models", "digits", "of XDG")
    assert "version of XDG" in installed("models", "digits", XDG_DATA_HOME=str(elsewhere)).stdout
    assert "version of the user" in installed("models", "digits", XDG_DATA_HOME="data").stdout  # it must be absolute


def test_a_setting_is_all_that_is_looked_at(installed, tmp_path):
    installed.put(installed.own, "mine", "1")
    for folder, name in (("a", "x"), ("a", "both"), ("b", "both"), ("b", "y")):
        installed.put(tmp_path / folder, name, f"of {folder}")
    path = f"{tmp_path}/a:{tmp_path}/b"
    assert installed.names(INFOMASK_MODELS_DIR=path) == ["both", "x", "y"]
    assert "version of a" in installed("models", "both", INFOMASK_MODELS_DIR=path).stdout
    (tmp_path / "with:colon").mkdir()
    installed.put(tmp_path / "with:colon", "z", "1")
    assert installed.names(INFOMASK_MODELS_DIR=f"{tmp_path}/with:colon") == ["z"]


def test_without_a_home_what_is_installed_is_served(installed):
    del installed.environment["HOME"]
    assert installed.names() == ["digits"]
    (installed.home / "none").mkdir()
    assert installed("models", "add", "nothing.onnx", "--name", "x").returncode == 1


def test_a_mistyped_model_is_guessed(installed):
    installed.put(installed.own, "tableware", "1")
    for name, guess in (("digit", "digits"), ("tablewear", "tableware")):
        done = installed("classify", "--model", name, ZERO)
        assert done.returncode == 1 and f"did you mean {guess}?" in done.stderr
    assert "did you mean" not in installed("classify", "--model", "something-else", ZERO).stderr


def test_the_service_serves_both_and_reads_the_users_again(installed):
    installed.put(installed.own, "mine", "1")
    service = subprocess.Popen([installed.prefix / "bin/infomask", "serve", "--port=0"], cwd=installed.home, text=True,
                               env=installed.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        address = service.stdout.readline().split()[-1]
        names = lambda: {m["name"] for m in json.load(urllib.request.urlopen(address + "/v1/models"))["models"]}
        assert names() == {"digits", "mine"}
        installed.put(installed.own, "later", "1")
        service.send_signal(signal.SIGHUP)
        for _ in range(200):
            if "later" in names():
                break
            time.sleep(.05)
        assert names() == {"digits", "mine", "later"}  # the confined process still reads there
    finally:
        service.terminate()
        assert service.wait(timeout=60) == 0


def test_uninstall_leaves_the_users_models(installed):
    installed.put(installed.own, "mine", "1")
    installed.put(installed.share, "added-by-hand", "1")
    files = [path for path in installed.prefix.rglob("*") if path.is_file() and "added-by-hand" not in path.parts]
    (installed.prefix / "share/infomask/installed").write_text("".join(f"{path}\n" for path in files))
    done = subprocess.run(["sh", ROOT / "tools/uninstall.sh"], env={**os.environ, "PREFIX": str(installed.prefix)},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (installed.share / "digits").exists() and (installed.share / "added-by-hand/model.json").exists()
    assert (installed.own / "mine/model.onnx").exists()
