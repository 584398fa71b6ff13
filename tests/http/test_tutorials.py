"""The tutorials, command by command: every ```sh block of docs/tutorials/ runs, in a folder with photos as they are told of.

A line that starts a service gets a port of its own; the others must end with 0, or with what the tutorial says.
"""
import os
import pathlib
import re
import subprocess

import numpy
import pytest
from PIL import Image

from conftest import BINARY, PATIENCE, ROOT, encode

TUTORIALS = ROOT / "docs" / "tutorials"
COFFEE, CAT = (Image.open(ROOT / "tests/data/photos" / name).convert("RGB") for name in ("coffee.png", "chelsea.png"))


def flat(folder):
    (folder / "photos").mkdir()
    for i, photo in enumerate((COFFEE, CAT)):
        photo.save(folder / "photos" / f"{i}.jpg")


def in_classes(folder):
    for name, photo in (("espresso", COFFEE), ("tiger cat", CAT)):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(6):
            photo.rotate(4 * i - 10).resize((300, 200)).save(folder / "photos" / name / f"{i}.jpg")


def textures(folder):
    """As make textures makes them, but drawn."""
    rng = numpy.random.default_rng(3)
    for name, low, high in (("brick", (120, 40, 30), (190, 90, 70)), ("grass", (20, 80, 10), (90, 180, 60)), ("gravel", (90, 90, 90), (200, 200, 200))):
        where = folder / "build/data/textures" / name
        where.mkdir(parents=True)
        for i in range(16):
            Image.fromarray(rng.integers(low, high, (128, 128, 3), dtype=numpy.uint8)).save(where / f"{i:02}.png")


PHOTOS = {"redact.md": flat, "learnable.md": in_classes, "own-classes.md": textures}


def commands(page):
    for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.M | re.S):
        yield from block.replace("\\\n", " ").strip().splitlines()


class Place:
    """A folder with what a tutorial takes for granted, and a service if it starts one."""

    def __init__(self, folder, page):
        self.folder, self.server = folder, None
        COFFEE.save(folder / "photo.jpg")
        PHOTOS.get(page.name, lambda _: None)(folder)
        (folder / "bin").mkdir()
        (folder / "bin" / "infomask").symlink_to(BINARY)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("INFOMASK_")}
        self.environment = {**clean, "PATH": f"{folder}/bin:{clean['PATH']}", "STATE_DIRECTORY": str(folder / "state"),
                            "INFOMASK_MODELS_DIR": f"{folder}/models:{ROOT}/config/models"}
        (folder / "models").mkdir()

    def start(self, command):
        self.server = subprocess.Popen(["bash", "-c", f"exec {command} --port 0"], cwd=self.folder, env=self.environment,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found = re.match(r"listening on (\S+)", self.server.stdout.readline())
        assert found, command
        self.url = found[1]

    def run(self, command):
        command = command.replace("/etc/infomask/keys", str(self.folder / "keys"))
        if command.startswith("make "):
            return None  # fetches; what it would leave is there
        if command.startswith("infomask serve"):
            return self.start(command)
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True,
                              timeout=2 * PATIENCE, check=False)
        fine = (0, 3) if "--require" in command else (0,)  # as the tutorial says
        assert done.returncode in fine, f"{command}\n{done.stderr}"
        return done.stdout

    def stop(self):
        if self.server:
            self.server.terminate()
            self.server.wait()


@pytest.fixture
def place(tmp_path, request):
    made = Place(tmp_path, TUTORIALS / request.param)
    yield made, {command: made.run(command) for command in commands(TUTORIALS / request.param)}
    made.stop()


def output(told, begins):
    return next(text for command, text in told.items() if command.startswith(begins))


@pytest.mark.parametrize("place", ["redact.md"], indirect=True)
def test_redact(place):
    made, _ = place
    assert Image.open(made.folder / "without.png").size == (600, 400)
    assert len(list((made.folder / "redacted").glob("*.png"))) == 2


@pytest.mark.parametrize("place", ["learnable.md"], indirect=True)
def test_learnable(place):
    made, told = place
    assert "nats" in output(told, "infomask estimate --images photos/ efficientnet-lite0") and (made.folder / "models/mine/model.onnx").exists()


@pytest.mark.parametrize("place", ["own-classes.md"], indirect=True)
def test_own_classes(place):
    import json
    made, told = place
    answer = json.loads(output(told, "infomask classify --model textures"))
    assert answer["classes"] == 3 and answer["predictions"][0]["label"] == "brick"
    assert Image.open(made.folder / "where.png").size == (128, 128)


@pytest.mark.parametrize("place", ["deploy.md"], indirect=True)
def test_deploy(place):
    import urllib.error
    import urllib.request
    made, told = place
    key = output(told, "infomask keys add").strip().split()[-1]
    for header, status in (({"Authorization": f"Bearer {key}"}, 200), ({}, 401)):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{made.url}/v1/classify", encode(COFFEE, "JPEG"), header)) as answer:
                found = answer.status
        except urllib.error.HTTPError as error:
            found = error.code
        assert found == status


@pytest.mark.parametrize("place", ["web-page.md"], indirect=True)
def test_web_page(place):
    """The service that it starts lets the page's origin ask; the page itself is looked at by make test-web."""
    import urllib.request
    made, _ = place
    with urllib.request.urlopen(urllib.request.Request(f"{made.url}/v1/models", headers={"Origin": "https://shop.example"})) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"


def test_many_photos_of_the_readme(tmp_path):
    """Its block, but for the line that looks through a whole disk."""
    page = ROOT / "README.md"
    made = Place(tmp_path, page)
    flat(tmp_path)
    block = next(block for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.M | re.S) if "--resume" in block)
    for command in block.strip().splitlines():
        if not command.startswith("find /"):
            made.run(command)
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 2 and len(list((tmp_path / "masks").glob("*.png"))) == 2


def test_every_tutorial_is_run():
    told = (pathlib.Path(__file__)).read_text()
    assert all(f'["{page.name}"]' in told for page in TUTORIALS.glob("*.md"))


def test_the_figure_of_nats_is_what_its_script_draws():
    """And its bars are as long as its numbers say."""
    import sys
    drawn = subprocess.run([sys.executable, ROOT / "tools/nats_figure.py"], capture_output=True, check=True).stdout
    assert drawn == (ROOT / "docs/nats.svg").read_bytes()
    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="20"', drawn.decode())]
    numbers = [float(number) for number in re.findall(r'class="n">([\d.]+)<', drawn.decode())]
    assert len(numbers) == len(widths) == 6
    assert [width / widths[-1] for width in widths] == pytest.approx([number / numbers[-1] for number in numbers], abs=1e-2)


def test_the_figures_of_information_are_what_their_script_draws(tmp_path):
    """Lengths may differ where other kernels round otherwise: by what nobody can see."""
    import sys
    subprocess.run([sys.executable, ROOT / "tools/information_figures.py", BINARY, tmp_path], check=True)
    for name in ("confidence", "limit", "cells"):
        drawn, kept = ((folder / f"{name}.svg").read_text() for folder in (tmp_path, ROOT / "docs/information"))
        number = re.compile(r"-?\d+(?:\.\d+)?")
        assert number.sub("#", drawn) == number.sub("#", kept), name
        assert [float(v) for v in number.findall(drawn)] == pytest.approx([float(v) for v in number.findall(kept)], abs=1.6)
        assert f"information/{name}.svg" in (ROOT / "docs/information.md").read_text() and len(kept) < 12000
    confidence = [[tuple(map(float, point.split(","))) for point in points.split()]
                  for points in re.findall(r'points="([^"]*)"', (ROOT / "docs/information/confidence.svg").read_text())]
    assert confidence[1].index(min(confidence[1], key=lambda point: point[1])) == 24  # the estimate's top is at 1
    assert confidence[0][24] == pytest.approx(confidence[1][24], abs=0.2)  # and there is the plug-in
