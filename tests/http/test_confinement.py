"""What the running process may still do: nothing but its work (app/host/confine.h); tests/unit/server/test_confine.c tries
each thing that is taken away."""
import json
import os
import pathlib
import platform
import pwd
import re
import shutil
import signal
import subprocess
import sys

import pytest

import conftest
from conftest import BINARY, CLASSIFY, ENVIRONMENT, ROOT, SLOW, said

VERSION = subprocess.run([BINARY, "version"], capture_output=True, text=True, env=ENVIRONMENT).stdout
FILES_HELD = re.search(r"confinement here: .*Landlock \d", VERSION) and "sanitizer" not in VERSION
DIGITS = ROOT / "config" / "models" / "digits"


def status(server):
    """The fields of every thread's status."""
    tasks = pathlib.Path(f"/proc/{server.process.pid}/task").iterdir()
    return [dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line) for task in tasks]


@pytest.mark.skipif("no seccomp here" in VERSION, reason="this kernel has no seccomp")
def test_every_thread_is_confined(server):
    threads = status(server)
    assert len(threads) >= 4
    for thread in threads:
        assert thread["NoNewPrivs"] == "1" and thread["Seccomp"] == "2", thread["Name"]
    assert "no new privileges, seccomp" in said(server, "confined: ")


def test_it_can_be_left_out(make_server, png):
    server = make_server("--confine", "false")
    assert {thread["Seccomp"] for thread in status(server)} == {"0"}
    assert "not confined" in said(server, "confined: |not confined")
    assert server.ask("POST", CLASSIFY, png).status == 200


def test_version_tells_what_the_kernel_has():
    assert re.search(r"^confinement here: no new privileges, (no )?seccomp( here)?, (Landlock \d|no Landlock)", VERSION, re.M)


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copytree(DIGITS, folder / "digits")
    return folder


def reloads(server, models_line):
    server.lines.clear()
    server.signal(signal.SIGHUP)
    return said(server, models_line)


def test_models_are_reloaded_from_their_folder_only(make_server, models, tmp_path):
    """A model that is put into the folder is found; a link made after the start leads out of it, and nowhere."""
    server = make_server("--models-dir", models)
    shutil.copytree(DIGITS, models / "second")
    document = json.loads((models / "second" / "model.json").read_text())
    (models / "second" / "model.json").write_text(json.dumps({**document, "name": "second"}))
    assert "1 added" in reloads(server, "models: ")
    outside = tmp_path / "outside"
    shutil.copytree(models / "second", outside)
    (outside / "model.json").write_text(json.dumps({**document, "name": "third"}))
    (models / "third").symlink_to(outside)
    line = reloads(server, "models: ")
    names = [model["name"] for model in server.ask(path="/v1/models").json["models"] if model["status"] == "ready"]
    if FILES_HELD:
        assert "third" not in names and "0 added" in line
    else:
        assert "third" in names
    assert "second" in names


def test_a_folder_of_models_made_after_the_start(make_server, models, tmp_path):
    """Confined, it cannot be looked into, and a reload says so; not confined, its models are found."""
    for confine in ("true", "false"):
        later = tmp_path / f"later-{confine}"
        server = make_server(f"--models-dir={models}:{later}", f"--confine={confine}")
        assert "0 added" in reloads(server, "models: ")
        assert not any(str(later) in line for line in server.lines)
        shutil.copytree(DIGITS, later / "second")
        document = json.loads((later / "second/model.json").read_text())
        (later / "second/model.json").write_text(json.dumps({**document, "name": "second"}))
        held = FILES_HELD and confine == "true"
        assert ("0 added" if held else "1 added") in reloads(server, "models: ")
        assert any(f"the models in {later} are not seen" in line for line in server.lines) == bool(held)


def test_links_made_before_the_start_are_meant(make_server, models, tmp_path, png):
    """A model folder, or a model's file, that is a link elsewhere: as volumes and model caches make them."""
    store = tmp_path / "store"
    shutil.move(models / "digits", store)
    (models / "digits").symlink_to(store)
    blob = tmp_path / "blob"
    shutil.move(store / "model.onnx", blob)
    (store / "model.onnx").symlink_to(blob)
    server = make_server("--models-dir", models)
    assert server.ask("POST", CLASSIFY, png).json["model"]["name"] == "digits"
    os.utime(blob)
    assert "1 changed" in reloads(server, "models: ") and server.ask("POST", CLASSIFY, png).status == 200


def test_state_is_kept(make_server, png, tmp_path):
    server = make_server("--state-dir", tmp_path / "state")
    created = server.ask("POST", "/v1/estimates", b'{"name": "confined"}')
    assert created.status == 201
    path = f"/v1/estimates/{created.json['id']}"
    assert server.ask("POST", path + "/samples?label=0", png).status == 201
    assert server.ask(path=path).json["samples"] == 1
    assert server.ask("DELETE", path).status == 204


OLD_KERNEL = """#!{python}
# Makes landlock_create_ruleset and seccomp "not there" (ENOSYS), as on an old kernel, and becomes the server.
import ctypes, os, struct, sys
def statement(code, yes, no, value): return struct.pack("HBBI", code, yes, no, value)
program = b"".join([statement(0x20, 0, 0, 0), statement(0x15, 2, 0, 444), statement(0x15, 1, 0, 317),
                    statement(0x06, 0, 0, 0x7FFF0000), statement(0x06, 0, 0, 0x00050000 | 38)])
code = ctypes.create_string_buffer(program, len(program))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv("{binary}", ["{binary}", *sys.argv[1:]])
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of the calls are those of x86-64")
def test_what_the_kernel_lacks_is_left_out(make_server, monkeypatch, tmp_path, png):
    """One warning says so, and everything else works."""
    script = tmp_path / "serve"
    script.write_text(OLD_KERNEL.format(python=sys.executable, binary=BINARY))
    script.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(conftest, "BINARY", str(script))
        server = make_server("--state-dir", tmp_path / "state")
    line = json.loads(said(server, "confined: "))
    assert line["level"] == "warning" and "no seccomp here" in line["message"] and "no Landlock here" in line["message"]
    assert sum("confined: " in line for line in server.lines) == 1
    assert server.ask("POST", CLASSIFY, png).status == 200
    assert server.ask("POST", "/v1/estimates", b"{}").status == 201


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give it up")
def test_root_is_given_up(make_server, png, tmp_path):
    nobody = pwd.getpwnam("nobody")
    tmp_path.chmod(0o711)
    for folder in (tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o011)
    models, state = tmp_path / "models", tmp_path / "state"
    shutil.copytree(DIGITS, models / "digits")
    state.mkdir()
    server = make_server("--user", "nobody", "--models-dir", models, "--state-dir", state)
    for thread in status(server):
        assert thread["Uid"].split() == [str(nobody.pw_uid)] * 4 and thread["Gid"].split() == [str(nobody.pw_gid)] * 4
        assert int(thread["CapEff"], 16) == 0 and int(thread["CapPrm"], 16) == 0
    assert server.ask("POST", CLASSIFY, png).status == 200
    assert server.ask("POST", "/v1/estimates", b"{}").status == 201
    assert server.ask(path="/metrics").status == 200 and server.metric("infomask_resident_bytes") > 0


def test_unknown_user():
    done = subprocess.run([BINARY, "serve", "--port", "0", "--user", "nobody-of-that-name"], capture_output=True, cwd=ROOT,
                          env=ENVIRONMENT, timeout=20 * SLOW)
    assert done.returncode == 1 and b"nobody-of-that-name" in done.stderr
