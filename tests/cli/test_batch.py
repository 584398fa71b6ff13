"""Many photos: folders, lists, lines as they are done, what is kept when it ends early, answers for people."""
import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import termios
import time

import pytest
from PIL import Image

from conftest import BINARY, PHOTOS


@pytest.fixture
def album(tmp_path):
    album = tmp_path / "album"
    (album / "more" / "deep").mkdir(parents=True)
    for i, name in enumerate(["a.png", "b.jpg", "more/c.png", "more/deep/d.webp", "more/deep/without-an-ending"]):
        photo = Image.open(PHOTOS / ["chelsea.png", "rocket.jpg", "coffee.png"][i % 3]).convert("RGB").resize((320, 240))
        photo.save(album / name, {"jpg": "JPEG", "webp": "WEBP"}.get(name.split(".")[-1], "PNG"))
    (album / "notes.txt").write_text("no photo")
    (album / ".hidden.png").write_text("not looked at")
    return album


NAMES = ["album/a.png", "album/b.jpg", "album/more/c.png", "album/more/deep/d.webp", "album/more/deep/without-an-ending"]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def answer_of(line):
    return {key: value for key, value in line.items() if key not in ("file", "timing_ms")}


# ---- Which photos ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_every_photo_below_it(infomask, album):
    done = infomask("classify", "album", "--jsonl")
    assert done.code == 0 and [line["file"] for line in lines(done.out)] == NAMES
    assert "1 file left out" in done.err and "notes.txt" not in done.err


def test_what_is_no_photo_is_left_out_and_what_is_named_one_is_told(infomask, album):
    """Empty files and links that lead nowhere, as they lie about in folders."""
    (album / "empty.txt").write_bytes(b"")
    (album / ".hidden.lock").symlink_to("nobody@here:1")
    (album / "current").symlink_to("nowhere")
    done = infomask("classify", "album", "--jsonl")
    assert done.code == 0 and [line["file"] for line in lines(done.out)] == NAMES and "3 files left out" in done.err
    (album / "gone.png").symlink_to("nowhere")
    done = infomask("classify", "album", "--jsonl")
    assert done.code == 1 and "album/gone.png: cannot be read" in done.err and "3 files left out" in done.err


def test_lines_are_what_one_photo_gets(infomask, album):
    for threads in (1, 3):
        for line in lines(infomask("classify", "album", "--jsonl", "--threads", threads).out):
            assert answer_of(line) == answer_of(infomask("classify", line["file"], "--threads=1").json)


def test_a_file_that_is_named_a_photo_must_be_one(infomask, album):
    (album / "b2.jpg").write_text("an error page that was saved")
    (album / "empty.png").write_bytes(b"")
    done = infomask("classify", "album", "--jsonl")
    found = lines(done.out)
    assert done.code == 1 and len(found) == 7 and done.err.count("infomask classify: album/") == 2
    bad = {line["file"]: line for line in found if "code" in line}
    assert set(bad) == {"album/b2.jpg", "album/empty.png"} and bad["album/b2.jpg"]["code"] == "unsupported_format"


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\0"])
def test_names_come_from_a_list(infomask, album, tmp_path, separator):
    names = ["album/b.jpg", "album/more", "no/such.png"]
    (tmp_path / "list").write_text(separator.join(names) + separator)
    from_file = infomask("classify", "--files-from", "list", "--jsonl")
    from_pipe = infomask("classify", "--files-from", "-", "--jsonl", stdin=separator.join(names).encode())
    for done in (from_file, from_pipe):
        found = lines(done.out)
        assert done.code == 1 and "no/such.png: cannot be read: No such file" in done.err
        assert [line["file"] for line in found] == ["album/b.jpg"] + NAMES[2:] + ["no/such.png"]


def test_a_list_is_answered_as_it_comes(album, tmp_path):
    run = subprocess.Popen([BINARY, "classify", "--files-from=-", "--jsonl", "--top-k=1"], cwd=tmp_path,
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for name in NAMES[:3]:
        run.stdin.write(name.encode() + b"\n")
        run.stdin.flush()
        assert select.select([run.stdout], [], [], 60)[0], "no answer while the list is open"
        assert json.loads(run.stdout.readline())["file"] == name
    run.stdin.close()
    assert run.wait(timeout=60) == 0 and run.stdout.read() == b""


def test_a_circle_of_links_ends(infomask, album):
    (album / "more" / "up").symlink_to("..")
    assert len(lines(infomask("classify", "album", "--jsonl").out)) == 5


@pytest.mark.parametrize("arguments, reason", [
    (["empty"], "there are no photos in empty"), (["--files-from", "nowhere"], "nowhere: cannot be read"),
    (["--files-from", "-", "-"], "standard input can be read once")])
def test_no_photos_are_a_failure(infomask, tmp_path, arguments, reason):
    (tmp_path / "empty").mkdir()
    done = infomask("classify", *arguments)
    assert done.code in (1, 2) and done.out == "" and reason in done.err


def test_masks_of_a_folder_lie_as_the_photos_do(infomask, album, tmp_path):
    (album / "a.jpg").write_bytes((album / "b.jpg").read_bytes())
    done = infomask("mask", "album", "-o", "masks", "--quality=fast")
    found = sorted(str(path.relative_to(tmp_path / "masks")) for path in (tmp_path / "masks").rglob("*.png"))
    assert done.code == 0 and done.err.count(" % of the picture") == 6
    assert found == ["a.jpg.png", "a.png.png", "b.png", "more/c.png", "more/deep/d.png", "more/deep/without-an-ending.png"]


def test_photos_of_one_name_are_refused(infomask, album, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes((album / "a.png").read_bytes())
    done = infomask("mask", "x/a.png", "y/a.png", "-o", "masks/", "--quality=fast")
    assert done.code == 2 and "would be written to the same file" in done.err


# ---- What is kept ---------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_where_it_was(infomask, album, tmp_path):
    assert infomask("classify", "album", "-o", "all.jsonl").code == 0
    whole = (tmp_path / "all.jsonl").read_text().splitlines(keepends=True)
    problem = json.dumps({"file": NAMES[2], "code": "bad_image", "detail": "it was being copied"}) + "\n"
    (tmp_path / "all.jsonl").write_text(whole[0] + problem + whole[1] + whole[3][:40])
    assert infomask("classify", "album", "-o", "all.jsonl").code == 2  # hours of work are not written over
    done = infomask("classify", "album", "-o", "all.jsonl", "--resume")
    found = lines((tmp_path / "all.jsonl").read_text())
    assert done.code == 0 and "3 photos done, 0 failed, 2 done before" in done.err
    assert [line["file"] for line in found] == NAMES[:2] + NAMES[2:] and all("predictions" in line for line in found)
    assert not list(tmp_path.glob("all.jsonl.*"))


def test_a_file_of_something_else_is_not_gone_on_with(infomask, album, tmp_path):
    for text in ('{"a": 1}\n', "no JSON\n"):
        (tmp_path / "x.jsonl").write_text(text)
        done = infomask("classify", "album", "-o", "x.jsonl", "--resume")
        assert done.code == 1 and "x.jsonl: line 1" in done.err and (tmp_path / "x.jsonl").read_text() == text


def test_masks_go_on_where_they_were(infomask, album, tmp_path):
    (tmp_path / "masks" / "more").mkdir(parents=True)
    (tmp_path / "masks" / "more" / "c.png").write_text("as it was")
    done = infomask("mask", "album", "-o", "masks", "--resume", "--quality=fast")
    assert done.code == 0 and "4 photos done, 0 failed, 1 done before" in done.err
    assert (tmp_path / "masks" / "more" / "c.png").read_text() == "as it was"


def files_of(process):
    """What a process has open."""
    folder = f"/proc/{process}/fd"
    return [path for path in (f"{folder}/{name}" for name in os.listdir(folder)) if os.path.lexists(path)]


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_done(infomask, album, tmp_path, number, code):
    run = subprocess.Popen([BINARY, "classify", "--files-from=-", "-o", "all.jsonl"], cwd=tmp_path, stdin=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    run.stdin.write(b"album/a.png\nalbum/b.jpg\n")
    run.stdin.flush()
    deadline = time.monotonic() + 60
    while not (tmp_path / "all.jsonl").exists() or (tmp_path / "all.jsonl").read_text().count("\n") < 2:
        assert time.monotonic() < deadline
        time.sleep(.02)
    run.send_signal(number)
    assert run.wait(timeout=60) == code
    assert b"2 photos are done, --resume goes on with the rest" in run.stderr.read()
    assert len(lines((tmp_path / "all.jsonl").read_text())) == 2
    run.stdin.close()
    assert infomask("classify", "album", "-o", "all.jsonl", "--resume").err.count("2 done before") == 1


def test_a_signal_leaves_whole_json(album, tmp_path):
    run = subprocess.Popen([BINARY, "classify", "--files-from=-", "--json"], cwd=tmp_path, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run.stdin.write(b"album/a.png\nno/such.png\n")
    run.stdin.flush()
    assert b"no/such.png" in run.stderr.readline()  # it comes second
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    results = json.loads(out)["results"]
    assert run.returncode == 130 and results[0]["file"] == "album/a.png" and results[1]["code"] == "bad_request"


def test_a_signal_ends_the_wait_for_a_pipe(album, tmp_path):
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it
    run = subprocess.Popen([BINARY, "classify", "pipe", "album/a.png", "--json"], cwd=tmp_path, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not any(os.readlink(fd) == str(tmp_path / "pipe") for fd in files_of(run.pid)):
        assert time.monotonic() < deadline
        time.sleep(.02)
    run.send_signal(signal.SIGINT)
    out, error = run.communicate(timeout=60)
    assert run.returncode == 130 and b"pipe: cannot be read" in error
    assert json.loads(out)["results"][0]["code"] == "bad_request"


def test_a_full_disk_ends_the_run(infomask, album, tmp_path):
    """Not one sentence for each of a hundred thousand photos, after the work of each; /dev/full stands for the disk."""
    (tmp_path / "masks" / "more").mkdir(parents=True)
    (tmp_path / "masks" / "more" / "c.png").symlink_to("/dev/full")
    done = infomask("mask", "album", "-o", "masks", "--quality=fast", "--threads=1")
    assert done.code == 1 and done.err.count("No space left on device") == 1
    finished = len([path for path in (tmp_path / "masks").rglob("*") if path.is_file()])
    assert finished in (2, 3) and f"{finished} photos are done, --resume goes on with the rest" in done.err
    (tmp_path / "masks" / "more" / "c.png").unlink()
    done = infomask("mask", "album", "-o", "masks", "--quality=fast", "--resume")
    assert done.code == 0 and f"{finished} done before" in done.err


def test_answers_that_were_not_written_do_not_count(infomask, album, tmp_path):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = subprocess.run([BINARY, "classify", "album", "-o", "all.jsonl"], cwd=tmp_path, capture_output=True, text=True,
                          preexec_fn=small, timeout=120)
    whole = (tmp_path / "all.jsonl").read_text().count("\n")
    assert done.returncode == 1 and whole < 5 and "cannot be written: File too large" in done.stderr
    assert f"{whole} photos are done, --resume goes on with the rest" in done.stderr
    assert f"{whole} done before" in infomask("classify", "album", "-o", "all.jsonl", "--resume").err
    assert [line["file"] for line in lines((tmp_path / "all.jsonl").read_text())] == NAMES


# ---- The name of -o -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command, name, code", [
    ("classify", "x.json", 0), ("classify", "x.JSON", 0), ("classify", "x.jsonl", 0), ("classify", "x.txt", 0),
    ("classify", "x", 0), ("classify", "x.png", 2), ("classify", "x.webp", 2),
    ("mask", "x.png", 0), ("mask", "x.PNG", 0), ("mask", "x.JSON", 0), ("mask", "x.ndjson", 0), ("mask", "x", 0),
    ("mask", "x.jpg", 2), ("mask", "x.webp", 0), ("mask", "x.gif", 2), ("mask", "x.what", 2),
    ("filter", "x.png", 0), ("filter", "x.JPEG", 0), ("filter", "x.JSON", 0), ("filter", "x.jsonl", 0),
    ("filter", "x.webp", 0), ("filter", "x.tiff", 2), ("filter", "x.txt", 2)])
def test_a_name_is_its_format_or_refused(infomask, album, tmp_path, command, name, code):
    fast = [] if command == "classify" else ["--quality=fast"] + (["--fill=mean"] if command == "filter" else [])
    done = infomask(command, "album/a.png", "-o", name, *fast)
    assert done.code == code and done.out == "" and (tmp_path / name).exists() == (code == 0)
    if code == 2:
        assert name in done.err
        return
    data = (tmp_path / name).read_bytes()
    starts = {"png": b"\x89PNG", "jpeg": b"\xff\xd8", "webp": b"RIFF", "json": b"{", "jsonl": b"{", "ndjson": b"{", "txt": b"album/a.png"}
    assert data.startswith(starts.get(name.lower().partition(".")[2], b"{" if command == "classify" else b"\x89PNG"))


def test_pictures_as_webp(infomask, album, tmp_path):
    done = infomask("mask", "--quality=fast", "--format=webp", "album/more", "-o", "masks")
    made = [path for path in (tmp_path / "masks").rglob("*") if path.is_file()]
    assert done.code == 0 and len(made) == 3 and all(path.suffix == ".webp" and path.read_bytes()[8:12] == b"WEBP" for path in made)
    done = infomask("mask", "--quality=fast", "--output=map", "album/a.png", "-o", "map.webp")
    assert done.code == 1 and "16 bits" in done.err and not (tmp_path / "map.webp").exists()


@pytest.mark.parametrize("command, arguments", [
    ("mask", ["--format=png", "-o", "x.json"]), ("mask", ["--format=webp", "-o", "x.png"]), ("mask", ["--json", "-o", "x.png"]), ("filter", ["--format=png", "-o", "x.jpg"]),
    ("classify", ["--json", "--text"]), ("mask", ["--format=png", "--jsonl"]), ("classify", ["--resume"]),
    ("classify", ["--resume", "-o", "x.json"]), ("classify", ["-o", "album/a.png"]), ("classify", ["--json", "-o", "album/a.png"])])
def test_what_contradicts_itself_is_refused(infomask, album, tmp_path, command, arguments):
    before = (album / "a.png").read_bytes()
    done = infomask(command, "album/a.png", *arguments)
    assert done.code == 2 and done.err and not list(tmp_path.glob("x.*")) and (album / "a.png").read_bytes() == before


def test_a_photo_is_not_written_over_by_json(infomask, album, tmp_path):
    (tmp_path / "photo.json").write_bytes((album / "a.png").read_bytes())
    done = infomask("classify", "photo.json", "-o", "photo.json")
    assert done.code == 2 and "would be written over" in done.err


def test_a_dash_is_standard_output(infomask, album):
    assert "predictions" in infomask("classify", "album/a.png", "-o", "-").json
    assert "mask" in infomask("mask", "album/a.png", "-o", "-", "--quality=fast").json
    assert infomask("mask", "album/a.png", "-o", "-", "--quality=fast", "--format=png").raw.startswith(b"\x89PNG")
    assert infomask("filter", "album/a.png", "-o", "-", "--quality=fast", "--fill=mean").raw.startswith(b"\x89PNG")


def test_a_link_is_written_through(infomask, album, tmp_path):
    """A link to /proc/self/fd/1, as /dev/stdout is one: standard output in a file was lost, and the link became a file."""
    command = ["filter", "album/a.png", "--quality=fast", "--fill=mean", "--format=png", "-o", "out"]
    (tmp_path / "out").symlink_to("/proc/self/fd/1")
    with open(tmp_path / "log", "wb") as log:
        log.write(b"before")
        log.flush()
        assert subprocess.run([BINARY, *command], cwd=tmp_path, stdout=log).returncode == 0
    assert (tmp_path / "log").read_bytes().startswith(b"before\x89PNG")
    assert infomask(*command).raw.startswith(b"\x89PNG") and (tmp_path / "out").is_symlink()

    (tmp_path / "out").unlink()
    (tmp_path / "out").symlink_to("other.png")
    for size in (0, 1 << 20):  # not there yet, and longer than what is written
        if size:
            (tmp_path / "other.png").write_bytes(bytes(size))
        assert infomask(*command).code == 0
        Image.open(tmp_path / "other.png").load()
        assert (tmp_path / "out").is_symlink() and (tmp_path / "other.png").stat().st_size < 1 << 20


# ---- For people -----------------------------------------------------------------------------------------------------------


def on_terminal(arguments, cwd, env=None, seconds=120, columns=None):
    """The command with a terminal for all three streams; (its exit code, what the terminal got)."""
    pid, fd = pty.fork()
    if pid == 0:
        if columns:
            termios.tcsetwinsize(0, (24, columns))
        os.chdir(cwd)
        os.environ.update({"LC_ALL": "C.UTF-8", "TERM": "xterm", **(env or {})})
        os.execv(BINARY, [BINARY, *map(str, arguments)])
    data, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if select.select([fd], [], [], .2)[0]:
                more = os.read(fd, 65536)
                data += more
        except OSError:  # its other end is closed
            break
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), data.decode()


def rows(text):
    return [line for line in re.sub(r"\r?[^\n]*\r\x1b\[K|\x1b\[K", "", text.replace("\r\n", "\n")).split("\n") if line]


def test_a_terminal_gets_classes_with_bars(album, tmp_path):
    code, text = on_terminal(["classify", "album/more/c.png"], tmp_path)
    found = text.replace("\r\n", "\n").splitlines()
    assert code == 0 and found[0] == "album/more/c.png  (png, 320 x 240)" and len(found) == 7
    assert re.fullmatch(r"  espresso +\d\d\.\d %  +6\.\d\d nats  █+[▏▎▍▌▋▊▉]?", found[1])
    assert re.fullmatch(r"  it tells 6\.\d\d of 6\.91 nats about its class", found[6])
    assert "#" in on_terminal(["classify", "album/more/c.png"], tmp_path, {"LC_ALL": "C"})[1]


def test_text_is_what_the_json_says(infomask, album):
    answer = infomask("classify", "album/a.png", "--units=bits").json
    text = infomask("classify", "album/a.png", "--text", "--units=bits").out.splitlines()
    for row, line in zip(answer["predictions"], text[1:6]):
        assert re.fullmatch(r"  (.+?) +([\d.]+) % +(-?[\d.]+) bits  .*", line).groups() == (
            row["label"], f"{100 * row['probability']:.1f}", f"{row['pmi']:.2f}")
    target = infomask("classify", "album/a.png", "--text", "--target=tabby").out.splitlines()[6]
    assert target.startswith("> tabby ")


def test_a_terminal_gets_a_line_a_photo_and_a_bar(album, tmp_path):
    (album / "bad.png").write_text("no")
    code, text = on_terminal(["classify", "album"], tmp_path)
    found = rows(text)
    assert code == 1 and re.search(r"\r\x1b\[K#+-* \d/7", text)
    assert [line.split()[0] for line in found if " nats " in line] == NAMES
    assert sum("bad.png: " in line for line in found) == 1
    assert not re.search(r"\d/7", on_terminal(["classify", "album", "-q"], tmp_path)[1])


@pytest.mark.parametrize("columns", [20, 40, 62, 80])
def test_a_narrow_terminal(album, tmp_path, columns):
    """Bars give way: no line of the progress is wider than the terminal, and rows are only where their text is."""
    code, text = on_terminal(["classify", "album"], tmp_path, columns=columns)
    drawn = re.findall(r"\r\x1b\[K([^\r\n\x1b]*\d/\d[^\r\n\x1b]*)", text)
    assert code == 0 and drawn and max(map(len, drawn)) < columns
    assert all(re.match(r"[#-]{24} \d/\d  " if columns > 62 else r"([#-]{24} )?\d/\d  ", line) for line in drawn)
    for line in (line for line in rows(text) if " nats " in line):
        written, bar = re.fullmatch(r"(.* nats  )([█▏▎▍▌▋▊▉]*)", line).groups()
        assert len(written) + len(bar) <= max(columns, len(written)) and len(bar) <= 24


def test_a_terminal_gets_json_when_asked(album, tmp_path):
    for flag in ("--json", "--pretty"):
        code, text = on_terminal(["classify", "album/a.png", flag], tmp_path)
        assert code == 0 and json.loads(text)["predictions"]
    code, text = on_terminal(["classify", "album", "--jsonl", "-q"], tmp_path)
    assert [line["file"] for line in lines(text)] == NAMES


def test_masks_and_filters_at_a_terminal(album, tmp_path):
    code, text = on_terminal(["mask", "album/more/c.png", "--quality=fast"], tmp_path)
    assert code == 0 and re.search(r"album/more/c.png: espresso, .* % of the picture", text)
    code, text = on_terminal(["filter", "album/more/c.png"], tmp_path)
    assert code == 2 and "a picture needs -o FILE" in text


def test_ctrl_c_at_a_terminal(album, tmp_path):
    (tmp_path / "list").write_text("\n".join(NAMES * 400))
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv(BINARY, [BINARY, "classify", "--files-from", "list", "-o", "all.jsonl"])
    text = b""
    while b"/2000" not in text:
        text += os.read(fd, 4096)
    os.write(fd, b"\x03")
    try:
        while True:
            text += os.read(fd, 4096)
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    os.close(fd)
    done = len(lines((tmp_path / "all.jsonl").read_text()))
    assert f"{done} photos are done, --resume goes on".encode() in text and 0 < done < 2000


def test_a_name_cannot_steer_the_terminal(infomask, album, tmp_path):
    evil = album / "a\x1b]0;owned\x07\u202eb.png"
    evil.write_bytes((album / "a.png").read_bytes())
    out = infomask("classify", evil, "--text").out
    assert "a?]0;owned??b.png" in out and "\x1b" not in out
    evil.write_text("no photo")
    for arguments in (["classify", evil], ["classify", album], ["mask", evil], ["classify", "no\x1b[31m"],
                      ["classify", album / "a.png", "--target=\x1b[31m"], ["estimate", "--images", "\x1b[31m"]):
        err = infomask(*arguments).err
        assert err.startswith("infomask ") and err.endswith("\n") and "?" in err and "\x1b" not in err and "\u202e" not in err


def test_filters_of_a_list_and_as_lines(infomask, album, tmp_path):
    fast = ["--quality=fast", "--fill=mean"]
    done = infomask("filter", "--files-from", "-", "-o", "out", *fast, stdin=b"album/a.png\nalbum/more\n")
    found = {line["sample"]: line["output"] for line in lines((tmp_path / "out/verdicts.jsonl").read_text())}
    assert done.code == 0 and found == {"album/a.png": "album/a.png", "c.png": "c.png", "deep/d.webp": "deep/d.png",
                                        "deep/without-an-ending": "deep/without-an-ending.png"}
    found = lines(infomask("filter", "album", "--jsonl", *fast).out)
    assert [line["file"] for line in found] == NAMES and all("verification" in line for line in found)
