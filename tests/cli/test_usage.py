"""Help, versions, exit codes, settings: what every command has in common."""
import os
import re
import subprocess

import pytest

from conftest import BINARY, ROOT

COMMANDS = ["serve", "classify", "mask", "filter", "models", "run", "bench", "config", "doctor", "keys", "healthcheck", "version"]

PHOTO = ROOT / "tests" / "data" / "digits" / "7.png"


def test_no_command_is_wrong_usage(infomask):
    result = infomask()
    assert result.code == 2 and result.out == "" and "Usage: infomask COMMAND" in result.err


def test_an_unknown_command_is_named(infomask):
    result = infomask("clasify")
    assert result.code == 2 and 'there is no command "clasify"' in result.err


def test_a_mistyped_command_is_guessed(infomask):
    assert 'did you mean "classify"?' in infomask("clasify").err
    assert 'did you mean "filter"?' in infomask("help", "fitler").err
    assert 'did you mean "classify"?' in infomask("class").err  # it begins so
    assert "did you mean" not in infomask("nothing").err  # a guess without a reason helps nobody


def test_a_mistyped_model_is_guessed(infomask, coffee):
    for wrong in ("efficientnet", "eficientnet-lite0"):
        assert "efficientnet-lite0" in infomask("classify", "--model", wrong, coffee).err


def test_a_mistyped_word_of_models_is_guessed(infomask):
    done = infomask("models", "ad", "x.onnx")
    assert done.code == 2 and 'did you mean "models add"?' in done.err
    assert "one MODEL at a time" in infomask("models", "digits", "efficientnet-lite0").err


@pytest.mark.parametrize("arguments, option", [
    (["classify", "--top-k", "0"], "--top-k must be an integer from 1"), (["classify", "--top_k=x"], "--top-k must be an integer from 1"),
    (["config", "--port", "70000"], "--port must be an integer from 0 to 65535"), (["serve", "--max-body", "7"], "--max-body must be an integer from 1024"),
    (["bench", "--size", "0x7"], "--size must be"), (["bench", "--batch", "0"], "--batch must be an integer from 1 to 1024"),
    (["bench", "--seconds", "soon"], "--seconds must be from 0 to 3600")])
def test_a_value_out_of_range_is_told_with_its_option(infomask, arguments, option):
    """As it is typed, with the range and the value."""
    done = infomask(*arguments)
    assert done.code == 2 and f"infomask {arguments[0]}: {option}" in done.err and f'not "{arguments[-1].split("=")[-1]}"' in done.err


def test_help_of_a_command_is_its_own(infomask):
    result = infomask("help", "mask")
    assert result.code == 0 and result.out == infomask("mask", "--help").out


@pytest.mark.parametrize("words", [["models", "add"], ["models", "check"], ["models", "fetch"]])
def test_help_of_a_command_of_a_command_is_its_own(infomask, words):
    result = infomask("help", *words)
    assert result.code == 0 and result.out == infomask(*words, "--help").out and f"Usage: infomask {' '.join(words)} " in result.out


def test_help_of_help_is_the_help(infomask):
    assert infomask("help", "help").out == infomask("help").out == infomask("--help").out


def test_the_help_lists_every_command(infomask):
    result = infomask("--help")
    assert result.code == 0 and result.err == ""
    assert [command for command in COMMANDS if not re.search(rf"^  {command} ", result.out, re.M)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(infomask, command):
    result = infomask(command, "--help")
    assert result.code == 0 and result.err == ""
    assert result.out.startswith(f"Usage: infomask {command}")
    assert all(len(line) <= 110 and line == line.rstrip() for line in result.out.splitlines())
    options = result.out.partition("\nOptions:\n")[2].partition("\n\n")[0].splitlines()
    assert options and all(re.match(r"  (-\w, |    )--\w|\s{30}\S", line) for line in options)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_wrong_usage(infomask, command):
    result = infomask(command, "--no-such-thing")
    assert result.code == 2 and result.out == ""
    assert "unrecognized option '--no-such-thing'" in result.err and f"infomask {command} --help" in result.err


@pytest.mark.skipif(not (ROOT / "Makefile").exists(), reason="needs the sources")
def test_a_build_counts_up_to_what_it_compiles(tmp_path):
    done = subprocess.run(["make", "-n", f"B={tmp_path}", f"BIN={tmp_path}/infomask", "all"], cwd=ROOT, capture_output=True, text=True, check=True)
    counts = [(int(at), int(of)) for at, of in re.findall(r"compiling %d of %d: %s' (\d+) \\?\s*(\d+)", done.stdout)]
    assert len(counts) > 300 and [at for at, _ in counts] == list(range(1, counts[0][1] + 1)) and len({of for _, of in counts}) == 1


@pytest.mark.skipif(not (ROOT / ".github").exists(), reason="needs the sources")
def test_workflows_run_what_make_has():
    """Every target that they name, those of a matrix too, and every fuzz target each night."""
    rules = "".join(path.read_text() for path in [ROOT / "Makefile", *(ROOT / "mk").glob("*.mk")])
    targets = set(re.findall(r"^([a-z0-9-]+):", rules, re.M))
    texts = {path.name: path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml")}
    called = {word for text in texts.values() for line in re.findall(r"\bmake +([^&|\n]+)", re.sub(r"#.*", "", text))
              for word in re.sub(r"\$\{\{.*?\}\}", "", line).split() if "=" not in word}
    night = re.search(r"target: \[(.*?)\]", texts["nightly.yml"])[1].split(", ")
    assert {"test", "deps", "soak", "coverage-code"} <= called and called <= targets, called - targets
    assert sorted(night) == sorted(path.stem.replace("fuzz_", "fuzz-") for path in (ROOT / "tests/fuzz").glob("fuzz_*.c"))


@pytest.mark.parametrize("command", ["serve", "config", "healthcheck", "version"])
def test_a_word_too_many_is_wrong_usage(infomask, command):
    result = infomask(command, "more")
    assert result.code == 2 and result.out == "" and f'infomask {command}: "more" is not an option' in result.err


def test_the_empty_name_of_a_photo_is_wrong_usage(infomask):
    """What `infomask classify "$photo"` asks where the variable holds nothing."""
    result = infomask("classify", "")
    assert result.code == 2 and "the name of a photo is empty" in result.err


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["version"], ["config"], ["models", "digits"], ["mask", "--model=digits", PHOTO],
                                   ["classify", "--model=digits", PHOTO], ["classify", "--model=digits", "--text", PHOTO]])
@pytest.mark.parametrize("to", [">&-", ">/dev/full"])
def test_an_answer_that_nobody_gets_is_a_failure(words, to, tmp_path):
    """Standard output that is closed, or full."""
    done = subprocess.run(["sh", "-c", f'"$@" {to}', "sh", BINARY, *map(str, words)], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.count("cannot be written: ") == 1
    assert ("No space left on device" if "full" in to else "Bad file descriptor") in done.stderr


def test_version_tells_what_runs_here(infomask):
    assert re.fullmatch(r"infomask \d+\.\d+\.\d+\n", infomask("--version").out)
    result = infomask("version")
    assert result.code == 0
    for line in [r"infomask \d", r"isa: (ref|blas|neon|avx2|avx512|amx)\n", r"precision: f32 \(here: f32.*\)\n", r"libraries: .*libmicrohttpd \d.*inih"]:
        assert re.search("^" + line, result.out, re.M)
    core, = re.findall(r"^openblas computes for: (\w+)$", result.out, re.M)
    assert core != "Prescott" or not re.search("^processor: .*avx2", result.out, re.M)
    assert "openblas computes for: Prescott\n" in infomask("version", env={"OPENBLAS_CORETYPE": "Prescott"}).out or "avx2" not in result.out


def test_a_packager_s_flags_leave_what_version_says(tmp_path):
    """CFLAGS on make's command line once took the libraries' versions with them."""
    told = subprocess.run(["make", "-n", "-W", "cli/version.c", "CFLAGS=-g", f"B={tmp_path}", f"{tmp_path}/obj/cli/version.o"],
                          cwd=ROOT, env={**os.environ, "MAKEFLAGS": ""}, capture_output=True, text=True)
    assert told.returncode == 0 and "libmicrohttpd " in told.stdout.split("INFOMASK_LIBRARIES=")[1], told


@pytest.mark.parametrize("isa", ["ref", "blas"])
def test_the_instruction_set_is_a_setting(infomask, isa):
    assert f"isa: {isa}\n" in infomask("version", env={"INFOMASK_ISA": isa}).out
    assert f"isa: {isa}\n" in infomask("version", "--isa", isa).out


def test_the_precision_is_a_setting(infomask):
    assert "precision: auto (here: f32)\n" in infomask("version", "--isa=blas", env={"INFOMASK_PRECISION": "auto"}).out
    assert "precision: bf16 (here: f32 bf16" in infomask("version", "--isa=ref", "--precision=bf16").out


def test_a_precision_without_kernels_is_refused(infomask, coffee):
    for command in [["version"], ["classify", coffee], ["bench", "efficientnet-lite0"], ["serve", "--port=0"]]:
        result = infomask(*command, "--isa=blas", "--precision=bf16")
        assert result.code in (1, 2) and result.out == ""
        assert "precision bf16 needs a processor with avx512_bf16" in result.err
    assert infomask("version", "--precision=f16").code == 2


def test_an_unknown_instruction_set_is_refused(infomask):
    result = infomask("version", "--isa", "mmx")
    assert result.code == 2 and "isa must be one of auto|ref|blas|neon|avx2|avx512|amx, not \"mmx\"" in result.err


# ---- Settings -----------------------------------------------------------------------------------------------------------


def settings(result):
    rows = re.findall(r"^(\w+) += (.*?) +; (.*)$", result.out, re.M)
    return {name: (value.strip(), source) for name, value, source in rows}


def test_settings_come_in_layers(infomask, tmp_path):
    file = tmp_path / "my.ini"
    file.write_text("[server]\nport = 1111\nqueue = 5\n[compute]\nthreads = 1\n")
    result = infomask("config", "--config", file, "--threads=2", env={"INFOMASK_PORT": "2222", "INFOMASK_THREADS": "3"})
    found = settings(result)
    assert result.code == 0
    assert found["queue"] == ("5", f"{file}:3")
    assert found["port"] == ("2222", "INFOMASK_PORT")
    assert found["threads"] == ("2", "--threads")
    assert found["listen"] == ("127.0.0.1", "default")


def test_the_file_may_be_named_by_the_environment(infomask, tmp_path):
    (tmp_path / "my.ini").write_text("[server]\nport = 1111\n")
    found = settings(infomask("config", env={"INFOMASK_CONFIG": "my.ini"}))
    assert found["port"] == ("1111", "my.ini:2")


def test_settings_as_json(infomask):
    found = infomask("config", "--json", "--max_body=2M").json["settings"]
    assert found["max_body"] == {"value": "2M", "from": "--max-body"}


def test_dashes_and_underscores_are_the_same(infomask):
    assert infomask("config", "--max-body=2M").out == infomask("config", "--max_body=2M").out


@pytest.mark.parametrize("text, reason", [
    ("[server]\nprot = 1\n", 'line 2: "prot" is not a setting'),
    ("[server]\nport = x\n", "line 2: port must be an integer from 0 to 65535"),
    ("port = 1\n", "line 1: port belongs under [server]"),
    ("[server]\nwhat\n", "line 2: neither [section] nor key = value"),
])
def test_a_bad_file_is_refused_by_line(infomask, tmp_path, text, reason):
    file = tmp_path / "bad.ini"
    file.write_text(text)
    for command in ["config", "serve"]:
        result = infomask(command, "--config", file)
        assert result.code == 2 and reason in result.err and "bad.ini" in result.err


def test_a_missing_file_is_a_failure(infomask):
    result = infomask("config", "--config", "nowhere.ini")
    assert result.code == 1 and "nowhere.ini: cannot be read" in result.err


def test_a_foreign_variable_is_told_by_config_only(infomask):
    assert "environment: INFOMASK_PORT_80_TCP is not a setting" in infomask("config", env={"INFOMASK_PORT_80_TCP": "x"}).err
    assert infomask("version", env={"INFOMASK_PORT_80_TCP": "x"}).err == ""


def test_the_template_is_a_settings_file(infomask, tmp_path):
    template = infomask("config", "--template").out
    file = tmp_path / "all.ini"
    file.write_text(re.sub(r"^#(\w)", r"\1", template, flags=re.M))
    result = infomask("config", "--config", file)
    assert result.code == 0
    assert all(source.startswith(str(file)) for _, source in settings(result).values())


# ---- Healthcheck --------------------------------------------------------------------------------------------------------


def test_healthcheck_fails_where_nobody_listens(infomask):
    result = infomask("healthcheck", "--port", "1", "--timeout", "1")
    assert result.code == 1 and "nobody answers on 127.0.0.1 port 1" in result.err
