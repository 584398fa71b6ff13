"""infomask keys add: a key that the service takes, shown once; the file keeps its hash."""
import hashlib
import re
import stat


def test_a_key_is_made(infomask, tmp_path):
    file = tmp_path / "keys"
    first = infomask("keys", "add", "anna", "infer,estimates", "--keys", file)
    assert first.code == 0 and re.fullmatch(r"[0-9a-f]{64}\n", first.out)
    key = first.out.strip()
    assert file.read_text() == f"anna infer,estimates {hashlib.sha256(key.encode()).hexdigest()}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and key not in first.err and "shown once" in first.err
    second = infomask("keys", "add", "bert", "admin", "--keys", file)
    assert second.code == 0 and second.out != first.out and len(file.read_text().splitlines()) == 2


def test_a_line_without_an_end_stays_whole(infomask, tmp_path):
    file = tmp_path / "keys"
    file.write_text("# ours\nold infer " + "0" * 64)
    assert infomask("keys", "add", "new", "infer", "--keys", file).code == 0
    assert [line.split()[0] for line in file.read_text().splitlines()] == ["#", "old", "new"]


def test_what_is_refused(infomask, tmp_path):
    file = tmp_path / "keys"
    infomask("keys", "add", "anna", "infer", "--keys", file)
    before = file.read_text()
    for arguments, code, words in [
        (("add", "anna", "infer"), 1, "already"), (("add", "a b", "infer"), 2, "name"), (("add", "b", "everything"), 2, "scopes"),
        (("add", "b", "infer,"), 2, "scopes"), (("add", "b"), 2, "keys add NAME SCOPES"), (("remove", "b", "infer"), 2, "keys add NAME SCOPES"),
    ]:
        result = infomask("keys", *arguments, "--keys", file)
        assert result.code == code and words in result.err and result.out == "", arguments
    assert file.read_text() == before
    assert infomask("keys", "add", "b", "infer").code == 2  # no file is set
    assert infomask("keys", "add", "b", "infer", "--keys", tmp_path / "none" / "keys").code == 1
