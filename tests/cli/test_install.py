"""make install and make uninstall: what is there, and what is left."""
import os
import re
import shutil
import subprocess
import urllib.parse

import pytest

from conftest import BINARY, ROOT

pytestmark = pytest.mark.skipif(shutil.which("objcopy") is None, reason="objcopy is not here")


def script(name, folder, *arguments):
    env = {**os.environ, "DESTDIR": str(folder), "PREFIX": "/usr/local", "STRIP": "0"}
    return subprocess.run(["sh", f"tools/{name}.sh", *arguments], cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_documents_find_each_other_and_their_pictures(tmp_path):
    script("install", tmp_path, str(BINARY))
    home, dead = tmp_path / "usr/local/share/doc/infomask", []
    assert (home / "docs/grafana.json").is_file() and (home / "docs/tutorials/deploy.md").is_file() and (home / "LICENSE").is_file()
    for page in home.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            source = ROOT / page.relative_to(home).parent / link
            inside = "://" not in link and (source.resolve().is_relative_to(ROOT / "docs") or source.resolve() == ROOT / "README.md")
            if inside and not (page.parent / urllib.parse.unquote(link)).exists():
                dead.append((page.name, link))
    assert dead == []


def test_what_was_not_installed_stays(tmp_path):
    script("install", tmp_path, str(BINARY))
    own = {"usr/local/share/infomask/models/mine/model.json", "usr/local/etc/infomask/infomask.ini"}
    for name in own:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    script("install", tmp_path, str(BINARY))  # once more, as an upgrade does
    assert own < files(tmp_path) and {(tmp_path / name).read_text() for name in own} == {"mine"}
    assert "mine" in script("uninstall", tmp_path)
    assert files(tmp_path) == own


def test_the_bill_of_materials_has_the_model(tmp_path):
    """Whoever makes it: without the model in the folder, that of a fresh clone was another one."""
    done = subprocess.run(["make", "-n", "sbom", f"MODEL={tmp_path}/model.onnx"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.index("convert_efficientnet_lite0.py") < done.stdout.index("tools/sbom.py")
