"""Black-box tests of the command line: each starts the real binary.  INFOMASK_BIN names another one."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("INFOMASK_BIN", str(ROOT / "build" / "infomask"))
PHOTOS = ROOT / "tests" / "data" / "photos"
MODEL = ROOT / "config" / "models" / "efficientnet-lite0"

# a shell that starts the tests in the background has them ignore it, and what they start would too
signal.signal(signal.SIGINT, signal.default_int_handler)


class Result:
    def __init__(self, done):
        self.code, self.out, self.raw = done.returncode, done.stdout.decode(errors="replace"), done.stdout
        self.err = done.stderr.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def infomask(tmp_path):
    """infomask(*arguments, env=..., cwd=..., stdin=...) -> Result, in a folder of its own and a clean environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("INFOMASK_")}
    clean["XDG_DATA_HOME"] = str(tmp_path / "data-home")  # the models of whoever runs the tests are not ours

    def run(*arguments, env=None, cwd=tmp_path, stdin=b"", timeout=120):
        done = subprocess.run([BINARY, *map(str, arguments)], input=stdin, capture_output=True, cwd=cwd,
                              env={**clean, **(env or {})}, timeout=timeout)
        return Result(done)

    return run


@pytest.fixture
def coffee():
    return PHOTOS / "coffee.png"


@pytest.fixture
def chelsea():
    return PHOTOS / "chelsea.png"


@pytest.fixture
def rocket():
    return PHOTOS / "rocket.jpg"
