"""The manual page and the completions say what the binary's own help says."""
import functools
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import BINARY, ROOT


@functools.lru_cache
def made(form):
    return subprocess.run([sys.executable, ROOT / "tools/manual.py", form, BINARY], check=True, capture_output=True, text=True).stdout


def commands(infomask):
    return re.findall(r"^  (\w+)\s{2,}", infomask("--help").out.split("Commands:")[1], re.M)


def options(infomask, command):
    return re.findall(r"^  (?:-\w, |    )--([\w-]+)", infomask(*command.split(), "--help").out, re.M)


def commands_of_models(infomask):
    return re.findall(r"^infomask (models \w+)", infomask("models", "--help").out, re.M)


def test_the_manual_has_every_command_and_option(infomask):
    page = made("man").replace("\\-", "-")
    assert len(commands_of_models(infomask)) == 6
    for command in commands(infomask) + commands_of_models(infomask):
        assert f".B infomask {command}" in page, command
        for option in options(infomask, command):
            assert f"\\fB--{option}\\fR" in page, (command, option)
    assert ".TP\n130, 143\n" in page and "~/.local/share/infomask/models" in page


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not here")
def test_the_manual_is_read_without_a_warning(tmp_path):
    (tmp_path / "infomask.1").write_text(made("man"))
    done = subprocess.run(["man", "--warnings", "-l", "infomask.1"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "" and "EXIT STATUS" in done.stdout


@pytest.mark.parametrize("line, expected", [
    ("infomask doc", {"doctor"}), ("infomask classify --files", {"--files-from"}), ("infomask mask --res", {"--resume"}),
    ("infomask filter --fill ma", {"match"}), ("infomask help doct", {"doctor"}), ("infomask models rem", {"remove"}),
    ("infomask models add --pres", {"--preset"}), ("infomask models --la", {"--labels"}), ("infomask doctor cert", {"certificate"})])
def test_bash_completes(tmp_path, line, expected):
    (tmp_path / "completion").write_text(made("bash"))
    words = line.split()
    script = (f"source completion; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _infomask; "
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert expected <= set(done.stdout.split()) and all(word.startswith(words[-1]) for word in done.stdout.split()), done


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not here")
@pytest.mark.parametrize("line, expected", [
    ("infomask doc", "doctor"), ("infomask he", "help"), ("infomask classify --files", "--files-from"),
    ("infomask filter --fill ma", "match"), ("infomask help doc", "doctor"), ("infomask models rem", "remove"),
    ("infomask models add --pres", "--preset"), ("infomask models --lab", "--labels"), ("infomask doctor cert", "certificate")])
def test_fish_completes(tmp_path, line, expected):
    (tmp_path / "completion.fish").write_text(made("fish"))
    done = subprocess.run(["fish", "--no-config", "-c", f"source completion.fish; complete -C '{line}'"], cwd=tmp_path,
                          capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)})
    assert expected in [row.split("\t")[0] for row in done.stdout.splitlines()] and not done.stderr, done


# a zsh on a terminal of its own: the line is typed and completed, then shown
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; show() { print -r -- \"<\$BUFFER>\" }; zle -N show
    bindkey '^X' show; bindkey '^I' complete-word; print -r 'RE''ADY'"
zpty -r -m shell said '*READY*'
zpty -w -n shell "$2"$'\t\x18'
zpty -r -m shell said '*<infomask *>*'
[[ $said =~ '<(infomask [^>]*)>' ]] && print -r -- $match[1]
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not here")
@pytest.mark.parametrize("line, expected", [
    ("infomask clas", "infomask classify "), ("infomask classify --files", "infomask classify --files-from="),
    ("infomask filter --fill=ma", "infomask filter --fill=match "), ("infomask help doc", "infomask help doctor "),
    ("infomask models rem", "infomask models remove "), ("infomask models add --pres", "infomask models add --preset="),
    ("infomask doctor cert", "infomask doctor certificate ")])
def test_zsh_completes(tmp_path, line, expected):
    (tmp_path / "_infomask").write_text(made("zsh"))
    done = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", tmp_path, line], cwd=tmp_path, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120)
    assert done.stdout == expected + "\n", done


def test_other_shells_know_the_new_ones(infomask):
    fish, zsh = made("fish"), made("zsh")
    for command in commands(infomask):
        assert f"-a {command} " in fish and f"    '{command}:" in zsh
    for command in commands(infomask) + commands_of_models(infomask):
        for option in options(infomask, command):
            assert f"-l {option} " in fish and f"'--{option}" in zsh
