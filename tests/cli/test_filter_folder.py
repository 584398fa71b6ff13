"""infomask filter DIR -o OUT: every photo of a folder, once."""
import json
import resource
import signal
import subprocess

import numpy as np
import pytest
from PIL import Image

from conftest import BINARY, PHOTOS

FAST = ("--quality=fast", "--fill=mean")


@pytest.fixture
def album(tmp_path):
    album = tmp_path / "album"
    (album / "more" / "deep").mkdir(parents=True)
    cat = Image.open(PHOTOS / "chelsea.png").convert("RGB")
    cat.save(album / "cat.png")
    cat.save(album / "cat.jpg", quality=95)
    cat.transpose(Image.FLIP_LEFT_RIGHT).save(album / "more" / "deep" / "mirrored.png")
    (album / "more" / "coffee.png").write_bytes((PHOTOS / "coffee.png").read_bytes())
    (album / "notes.txt").write_text("no photo")
    return album


def lines(out):
    return {line["sample"]: line for line in map(json.loads, (out / "verdicts.jsonl").read_text().splitlines())}


def test_all_of_a_folder(infomask, album, tmp_path):
    done = infomask("filter", "--target=cat", "album", "-o", "out", "--sheet=sheet.jpg", *FAST)
    assert done.code == 0 and "3 filtered, 1 without the target" in done.err
    assert "notes.txt: the bytes are not a JPEG, PNG or WebP image\n" in done.err
    list_ = lines(tmp_path / "out")
    assert set(list_) == {"cat.png", "cat.jpg", "more/coffee.png", "more/deep/mirrored.png"}
    assert list_["cat.png"]["output"] == "cat.png.png" and list_["cat.jpg"]["output"] == "cat.jpg.png"
    coffee = list_["more/coffee.png"]
    assert coffee["untouched"] and coffee["verdict"] is None
    assert (tmp_path / "out/more/coffee.png").read_bytes() == (PHOTOS / "coffee.png").read_bytes()
    cat = list_["more/deep/mirrored.png"]
    assert cat["output"] == "more/deep/mirrored.png" and cat["verdict"] in ("removed", "weakened", "failed")
    assert cat["pmi_after"] < cat["pmi_before"] and cat["units"] == "nats" and cat["reason"]
    before, after = (np.asarray(Image.open(folder / "more/deep/mirrored.png")) for folder in (album, tmp_path / "out"))
    assert before.shape == after.shape and (before != after).any()
    sheet = Image.open(tmp_path / "sheet.jpg")
    assert sheet.format == "JPEG" and sheet.width > 1000 and sheet.height > 160


def test_it_goes_on_where_it_was(infomask, album, tmp_path):
    assert infomask("filter", "--target=cat", "album", "-o", "out", "--sheet=sheet.jpg", *FAST).code == 0
    whole = (tmp_path / "out/verdicts.jsonl").read_text()
    kept = whole.splitlines(keepends=True)
    (tmp_path / "out/verdicts.jsonl").write_text("".join(kept[:2]) + kept[2][:20])  # it was ended while it wrote
    done = infomask("filter", "--target=cat", "album", "-o", "out", *FAST)
    assert done.code == 0 and "2 done before" in done.err and (tmp_path / "out/verdicts.jsonl").read_text() == whole
    again = infomask("filter", "--target=cat", "album", "-o", "out", "--sheet=again.jpg", *FAST)
    assert (tmp_path / "again.jpg").read_bytes() == (tmp_path / "sheet.jpg").read_bytes()
    assert "0 filtered, 0 without the target copied as they are, 4 done before" in again.err


@pytest.mark.parametrize("form", [(), ("--tsv",)])
def test_a_list_of_another_question_is_not_gone_on_with(infomask, album, tmp_path, form):
    ask = ("filter", "album", "-o", "out", "--quality=fast", *form)
    assert infomask(*ask, "--target=cat", "--fill=mean").code == 0
    list_ = next((tmp_path / "out").glob("verdicts.*"))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for other in (("--target=dog", "--fill=mean"), ("--target=cat", "--fill=blur"), ("--target=cat",)):
        done = infomask(*ask, *other)
        assert done.code == 1 and "was asked model=efficientnet-lite0&target=cat&quality=fast&fill=mean" in done.err
        assert "give another folder" in done.err and all(path.read_bytes() == data for path, data in before.items())
    assert "4 done before" in infomask(*ask, "--fill=mean", "--target=cat").err
    if form:  # a list of a version that did not say
        list_.write_text("".join(line[:line.rindex("\t")] + "\n" for line in list_.read_text().splitlines()))
    else:
        list_.write_text("".join(json.dumps({k: v for k, v in json.loads(line).items() if k != "asked"}) + "\n"
                                 for line in list_.read_text().splitlines()))
    assert "4 done before" in infomask(*ask, "--target=dog").err


def test_tsv_and_a_verdict_that_is_required(infomask, album, tmp_path):
    done = infomask("filter", "--target=cat", "album", "-o", "out", "--tsv", "--require=removed", "--max-area=.03", *FAST)
    rows = [line.split("\t") for line in (tmp_path / "out/verdicts.tsv").read_text().splitlines()]
    assert done.code == 3 and rows[0][:3] == ["sample", "output", "verdict"] and len(rows) == 5
    assert all(len(row) == len(rows[0]) for row in rows)


def test_no_room_for_a_mask_is_not_no_target(infomask, album, tmp_path):
    """Copied as they are, but told apart from photos without the target, and short of what is required."""
    options = ("--target=cat", "album", "-o", "out", "--dilate=100", *FAST)
    done = infomask("filter", "--require=weakened", *options)
    assert done.code == 3 and "0 filtered, 1 without the target copied as they are, 0 done before" in done.err
    assert "\n3 copied as they are although the target is there: max_area leaves no room\n" in done.err
    list_ = lines(tmp_path / "out")
    assert all(line["untouched"] and line["verdict"] is None for line in list_.values())
    assert [name for name, line in list_.items() if line["reason"].startswith("max_area")] == sorted(set(list_) - {"more/coffee.png"})


@pytest.mark.parametrize("form", [(), ("--tsv",)])
def test_what_is_required_counts_what_was_done_before(infomask, album, tmp_path, form):
    """The second run has nothing to do, and is as short of it as the first; photos without the target are not."""
    for target, more, code in (("cat", "--max-area=.03", 3), ("cat", "--dilate=100", 3), ("jeep", "--fill-seed=1", 0)):
        ask = ("filter", f"--target={target}", more, "album", "-o", target + more[2:6], *form, *FAST)
        assert infomask(*ask).code == 0
        again = infomask(*ask, "--require=removed")
        assert again.code == code and "4 done before" in again.err, more


@pytest.mark.parametrize("more", [(), ("--tsv",)])
def test_a_list_that_cannot_be_written_ends_the_run(infomask, album, tmp_path, more):
    """A picture without its line would be made again, and nobody would know why."""
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    (tmp_path / "out").mkdir()
    old = tmp_path / "out" / ("verdicts.tsv" if more else "verdicts.jsonl")
    filler = "head\tof\tit\n" + 4000 * ("x" * 98 + "\t\n") if more else 4000 * ('{"sample":"' + 86 * "x" + '"}\n')
    old.write_text(filler[:400_000])  # full but for less than a line
    done = subprocess.run([BINARY, "filter", "--target=cat", "album", "-o", "out", *more, *FAST, "--format=jpeg"], cwd=tmp_path,
                          capture_output=True, text=True, preexec_fn=small, timeout=120)
    assert done.returncode == 1 and "cannot be written: File too large" in done.stderr
    assert "the same command goes on with the rest" in done.stderr and "0 filtered" in done.stderr
    done = infomask("filter", "--target=cat", "album", "-o", "out", *more, *FAST, "--format=jpeg")
    assert done.code == 0 and "3 filtered, 1 without the target" in done.err


def test_a_table_knows_names_with_tabs(infomask, album, tmp_path):
    (album / "cat.png").rename(album / "a\tcat\n.png")
    (album / "cat.jpg").rename(album / "sample")  # as the head of the column
    for done_before in (0, 4):
        done = infomask("filter", "--target=cat", "album", "-o", "out", "--tsv", *FAST)
        assert done.code == 0 and f"{done_before} done before" in done.err
    assert (tmp_path / "out/verdicts.tsv").read_text().count("\n") == 5


@pytest.mark.parametrize("arguments", [
    ("album", "-o", "album"), ("album", "-o", "album/"), ("album", "-o", "album/out"), ("album",),
    ("album", "album", "-o", "out"), ("album", "-o", "out", "--mask=album/cat.png"),
    ("album/cat.png", "-o", "out.png", "--sheet=sheet.jpg")])
def test_what_cannot_be_is_refused(infomask, album, arguments):
    before = sorted(p.name for p in album.rglob("*"))
    assert infomask("filter", *arguments).code == 2 and sorted(p.name for p in album.rglob("*")) == before


@pytest.mark.parametrize("arguments", [("cat.png", "-o", "cat.png"), ("cat.png", "-o", "."), ("cat.png", "-o", "./")])
def test_a_photo_is_not_written_over(infomask, album, arguments):
    before = (album / "cat.png").read_bytes()
    refused = infomask("filter", *FAST, *arguments, cwd=album)
    assert refused.code == 2 and "written over" in refused.err and (album / "cat.png").read_bytes() == before
