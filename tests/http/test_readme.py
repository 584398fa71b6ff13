"""The examples of the README and of docs/ against a real daemon: every ```console block, command by command; and their links.

A line that begins with "$ " is a command; what follows is its output. "…" stands for anything; numbers may differ by a
part in a thousand.
"""
import os
import pathlib
import re
import subprocess

import pytest

from conftest import BINARY, PATIENCE, ROOT

README = (ROOT / "README.md").read_text()
NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def examples():
    for block in re.findall(r"^```console\n(.*?)^```$", "\n".join(page.read_text() for page in PAGES), re.M | re.S):
        for example in re.split(r"^\$ ", block, flags=re.M)[1:]:
            lines, taken = example.split("\n"), 1
            while "\n".join(lines[:taken]).count("'") % 2:  # a quoted script goes on over several lines
                taken += 1
            yield "\n".join(lines[:taken]), "\n".join(lines[taken:])


def pattern_of(expected):
    """A regular expression in which every number of the text is a group."""
    pieces = re.split(rf"({NUMBER})", expected)
    return "".join(f"({NUMBER})" if i % 2 else re.escape(piece).replace("…", ".*?") for i, piece in enumerate(pieces))


def check(output, expected):
    expected = expected.strip()
    found = re.fullmatch(pattern_of(expected), output.strip(), re.S)
    assert found, f"expected:\n{expected}\nfound:\n{output}"
    for want, have in zip(re.findall(NUMBER, expected), found.groups()):
        assert float(have) == pytest.approx(float(want), rel=1e-3, abs=1e-5), f"{want} in the README, {have} now"


EXAMPLES = list(examples())


def test_there_are_examples():
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("command, expected", EXAMPLES, ids=[command[:60] for command, _ in EXAMPLES])
def test_example(server, command, expected):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("INFOMASK_")}
    clean["PATH"] = f"{pathlib.Path(BINARY).parent}:{clean['PATH']}"
    command = command.replace("localhost:8080", f"127.0.0.1:{server.port}")
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=2 * PATIENCE)
    check(done.stdout + done.stderr, expected)


def test_the_api_table_names_routes_that_are_there(server):
    table = README[README.index("## Interface"):README.index("## Command line")]
    for path in re.findall(r"`(?:GET )?(/[\w./]*)`", table):
        assert server.ask("GET", path).status in (200, 501)
    for path in re.findall(r"`POST (/[\w./]*)`", table):
        assert server.ask("GET", path).status == 405


def commands_named():
    """Page, command and flags of every `infomask COMMAND --flag` in code, blocks and spans alike."""
    for page in PAGES:
        text = page.read_text()
        pieces = re.findall(r"^```(?:sh|console)\n(.*?)^```$", text, re.M | re.S) + re.findall(r"`([^`\n]+)`", text)
        for line in "\n".join(pieces).replace("\\\n", " ").splitlines():
            for command, rest in re.findall(r"\binfomask ((?:models )?[a-z]+)( [^|;#&]*)?", re.sub(r"'[^']*'", "''", line)):
                yield page, command, re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", rest)


def test_options_that_are_named_are_there():
    asked, missing = {}, []
    for page, command, flags in commands_named():
        if command not in asked:
            done = subprocess.run([BINARY, *command.split(), "--help"], capture_output=True, text=True, check=False)
            asked[command] = done.stdout if done.returncode == 0 else ""
        missing += [f"{page.name}: {command} {flag}" for flag in flags if not re.search(rf"{flag}\b(?!-)", asked[command])]
        if not asked[command] and flags:
            missing.append(f"{page.name}: {command}")
    assert missing == [] and sum(map(bool, asked.values())) > 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_targets_that_it_names_are_there(page):
    makefiles = [ROOT / "Makefile", *(ROOT / "mk").glob("*.mk")]
    targets = {name for file in makefiles for line in re.findall(r"^([\w %.-]+):(?!=)", file.read_text(), re.M)
               for name in line.split()}
    for text in re.findall(r"`make ([^`\n]*)`", page.read_text()):
        for word in re.sub(r"\w+=(\"[^\"]*\"|'[^']*')", "", text).split():
            assert "=" in word or word in targets, word


def test_the_rows_of_speed_are_those_of_the_speed_page():
    """Three rows, and each number of them, rounded, stands in a row of docs/speed.md that names the same things."""
    rows = [line for line in (ROOT / "docs/speed.md").read_text().splitlines() if line.startswith("|")]
    table = README[README.index("| | infomask | other |"):].split("\n\n")[0].splitlines()[2:]
    assert len(table) == 3

    def stands(number, *words):
        for row in rows:
            if all(word in row for word in words):
                digits = len(number.partition(".")[2])
                if number in [f"{float(cell):.{digits}f}" for cell in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])", row)]:
                    return True
        return False
    for line in table:
        precision = "bf16" if "bf16" in line else "f32"
        for number in re.findall(r"(\d+(?:\.\d+)?) (?:ms|photos|in|MB)", line):
            words = ("FastAPI + onnxruntime",) if number in line.partition("FastAPI")[2] else ("infomask " + precision,) if "HTTP" in line \
                else ("EfficientNet-Lite0", precision, "avx512", "| 1 | 1 | 224 |")
            assert stands(number, *words), f"{number} of {line}"


def heading(text):
    return re.sub(r"[^\w -]", "", text.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = {heading(line.lstrip("#")) for line in file.read_text().splitlines() if line.startswith("#")}
            assert anchor in headings, f"{page.name}: {target}"
