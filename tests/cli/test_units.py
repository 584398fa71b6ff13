"""The unit files that are installed, read by systemd itself."""
import shutil
import subprocess

import pytest

from conftest import BINARY, ROOT

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


@pytest.fixture
def units(tmp_path):
    for name in ("infomask.service", "infomask.socket"):
        text = (ROOT / "config" / name).read_text().replace("@BINDIR@/infomask", str(BINARY))
        (tmp_path / name).write_text(text.replace("@SYSCONFDIR@", "/etc"))
    return tmp_path


def systemd_analyze(units, *arguments):
    return subprocess.run(["systemd-analyze", *arguments], cwd=units, capture_output=True, text=True)


def test_the_units_are_read_without_a_word(units):
    done = systemd_analyze(units, "verify", "--man=no", "./infomask.service", "./infomask.socket")
    assert done.returncode == 0 and done.stdout + done.stderr == "", done


def test_the_service_is_confined(units):
    """Exposure 1.5 of 10 at most, by systemd's own count; with all capabilities it would be over it."""
    assert systemd_analyze(units, "security", "--offline=true", "--threshold=15", "./infomask.service").returncode == 0
    service = units / "infomask.service"
    text = service.read_text()
    service.write_text(text.replace("CapabilityBoundingSet=\n", ""))
    assert systemd_analyze(units, "security", "--offline=true", "--threshold=15", "./infomask.service").returncode != 0
