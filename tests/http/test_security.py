"""docs/security.md is true as far as a test can tell: every defence names a test, and that test exists.  And what has no
better place: what errors, names and log lines give away."""
import json
import re

import pytest

from conftest import CLASSIFY, ROOT, encode, said
from wire import form

PAGE = (ROOT / "docs/security.md").read_text()
NAMED = re.findall(r"`(test_\w+\.(?:py|c))::(\w+)`", PAGE)


def sources(name):
    return [path for top in ("tests/http", "tests/unit", "tests/cli") for path in (ROOT / top).rglob(name)]


@pytest.mark.parametrize("file,test", sorted(set(NAMED)))
def test_the_test_exists(file, test):
    definition = rf"^def {test}\(" if file.endswith(".py") else rf"^static void {test}\(void"
    found = [path for path in sources(file) if re.search(definition, path.read_text(), re.M)]
    assert len(found) == 1
    if file.endswith(".c"):
        assert re.search(rf"(cmocka_unit_test\w*|TEST)\({test}\b", found[0].read_text())


def test_every_row_has_a_test():
    rows = [line for section in re.split(r"^## ", PAGE, flags=re.M) if section.split("\n")[0] in ("Limits", "Defended", "Confinement")
            for line in section.split("\n") if line.startswith("| ") and not line.endswith("| test |")]
    assert len(rows) > 30
    for row in rows:
        assert "::" in row.split("|")[-2], row


def test_every_setting_exists():
    settings = (ROOT / "config/infomask.ini").read_text()
    limits = PAGE.split("## Limits")[1].split("## Defended")[0]
    for row in limits.split("\n"):
        for name in re.findall(r"`([a-z_]+)`", row.split("|")[2]) if row.startswith("| ") else []:
            assert re.search(rf"^#{name} =", settings, re.M), name


SECRETS = [str(ROOT), "/tmp", "/proc", "/home", "libjpeg", "libpng", "png_", "jpeg_", "libwebp", "sqlite", "SQL", "microhttpd",
           "errno", ".c:", "No such file", "Permission denied", "0x"]


@pytest.mark.parametrize("path", [CLASSIFY + "?top_k=%0d%0aX:+y%1b%5b2J", "/v1/mask?threshold=a%0ab%7f", "/v1/mask?model=a%0ab", "/v1/mask?%0a=1"])
def test_sentences_stay_on_one_line(server, png, path):
    """Whatever of the request they quote."""
    response = server.ask("POST", path, png)
    assert response.status in (400, 404) and not re.search(r"[\x00-\x1f\x7f]", response.json["detail"])


def test_errors_tell_nothing_of_the_machine(server, png, jpeg):
    answers = []
    for photo in (png, jpeg, b"RIFF\x10\0\0\0WEBPVP8 nonsense"):
        for size in range(1, len(photo), max(1, len(photo) // 25)):
            answers.append(server.ask("POST", CLASSIFY, photo[:size]))
            answers.append(server.ask("POST", CLASSIFY, photo[:size] + b"\xff" * 40 + photo[size + 40:]))
    for path in ["/nope", "/v1/models/nope", "/v1/estimates/nope", "/v1/jobs/nope", "/v2/models/nope", "/v1/models/%2e%2e/labels"]:
        answers.append(server.ask(path=path))
    for body in [b"", b"{", b"[" * 100, b'{"model": "/etc/passwd"}', b'{"name": 3}']:
        answers.append(server.ask("POST", "/v1/estimates", body))
    answers.append(server.ask("POST", CLASSIFY + "?model=/etc/passwd", png))
    answers = [answer for answer in answers if answer.status != 200]
    assert len(answers) > 60
    for answer in answers:
        assert 400 <= answer.status < 500
        assert not [secret for secret in SECRETS if secret in answer.text], answer.text


@pytest.mark.parametrize("name", ["../models/digits", "./digits", "digits/", "config/models/digits", "/etc", "..", "digits%00", "%2e%2e%2fdigits"])
def test_names_are_no_paths(server, png, name):
    assert server.ask("POST", f"{CLASSIFY}?model={name}", png).status in (400, 404)
    assert server.ask(path=f"/v1/models/{name}").status in (400, 404)


def test_log_lines_are_not_forged(make_server, png):
    server = make_server("--log-rate", 0)
    forged = '{"time":"2000-01-01T00:00:00Z","level":"info","event":"forged"}'
    path = "/nope%0a" + "".join(f"%{ord(letter):02x}" for letter in forged)
    assert server.ask(path=path, headers=[("X-Request-Id", "forger")]).status == 404
    headers, body = form([('a"\\', "x\u2028.png", png), ("image", "\x01.png", b"x")])
    assert server.ask("POST", CLASSIFY, body, [*headers, ("X-Request-Id", "forger-2")]).status in (200, 400)
    assert json.loads(said(server, '"forger"'))["path"] == "/nope\n" + forged
    said(server, '"forger-2"')
    assert not any(json.loads(line)["event"] == "forged" for line in server.lines if line.startswith("{"))
