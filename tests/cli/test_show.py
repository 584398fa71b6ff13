"""--show: a picture on the terminal, by what the terminal is; nearest names."""
import base64
import io
import re

import pytest
from PIL import Image

from conftest import PHOTOS

COFFEE = PHOTOS / "coffee.png"
PLAIN = {"TERM": "xterm-256color", "KITTY_WINDOW_ID": "", "TERM_PROGRAM": ""}


def show(infomask, *arguments, **env):
    clean = {name: value for name, value in {**PLAIN, **env}.items() if value}
    result = infomask("mask", "--quality", "fast", "--show", COFFEE, *arguments, env=clean)
    assert result.code == 0, result.err
    return result


def mask_of(infomask, tmp_path):
    infomask("mask", "--quality", "fast", COFFEE, "-o", tmp_path / "mask.png")
    return Image.open(tmp_path / "mask.png")


def test_half_blocks(infomask, tmp_path):
    """Two pixels a cell; their colours are those of the mask made small."""
    lines = show(infomask).out.rstrip("\n").split("\n")
    cells = [re.findall(r"\x1b\[38;2;(\d+);\d+;\d+m\x1b\[48;2;(\d+);\d+;\d+m▀", line) for line in lines]
    assert {len(row) for row in cells} == {80} and all(line.endswith("\x1b[0m") for line in lines)
    rows = [[int(cell[k]) for cell in row] for row in cells for k in (0, 1)]
    small = mask_of(infomask, tmp_path).resize((80, len(rows)), Image.BICUBIC)
    wrong = sum(abs(rows[y][x] - small.getpixel((x, y))) > 2 for y in range(len(rows)) for x in range(80))
    assert wrong == 0


def test_kitty_gets_the_file_itself(infomask, tmp_path):
    out = show(infomask, TERM="xterm-kitty").out
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", out)
    assert chunks[0][0].startswith("f=100,a=T") and [keys[-3:] for keys, _ in chunks][-1] == "m=0"
    data = base64.b64decode("".join(text for _, text in chunks))
    mask_of(infomask, tmp_path)
    assert data == (tmp_path / "mask.png").read_bytes()


def test_sixels(infomask):
    out = show(infomask, TERM="foot").out
    found = re.fullmatch(r'\x1bPq"1;1;(\d+);(\d+)(.*)\x1b\\\n', out, re.S)
    width, height, body = int(found[1]), int(found[2]), found[3]
    bands = re.sub(r"#\d+;2;\d+;\d+;\d+", "", body).rstrip("-").split("-")
    assert len(bands) == -(-height // 6)
    for band in bands:
        for row in filter(None, band.split("$")):
            signs = re.sub(r"#\d+", "", row)
            assert sum(int(count or 1) for count, _ in re.findall(r"(?:!(\d+))?([?-~])", signs)) == width


@pytest.mark.parametrize("env", [{"NO_COLOR": "1", "TERM": "xterm-kitty"}, {"TERM": "dumb"}], ids=lambda env: " ".join(env))
def test_no_color(infomask, env):
    out = show(infomask, **env).out
    assert "\x1b" not in out and len(out.split("\n")[0]) == 80


def test_beside_a_file(infomask, tmp_path):
    result = show(infomask, "-o", tmp_path / "both.png")
    assert "▀" in result.out and Image.open(tmp_path / "both.png").size == (600, 400)


@pytest.mark.parametrize("wrong, right", [("--treshold", "--threshold"), ("--max_aera", "--max-area"), ("--zzzzzzz", None)])
def test_nearest_options(infomask, wrong, right):
    result = infomask("filter", wrong, "1", "x")
    assert result.code == 2 and "unrecognized option" in result.err
    assert (f"Did you mean {right}?" in result.err) if right else ("mean" not in result.err)

