"""infomask estimate over shards, by every way that docker/ shows: the merged result is that of a single run, bit for bit.

Ray and Spark run for real, from PyPI, on this machine.  The Job's, Argo's and Slurm's parts are run as their files say,
with the variables that those systems set, in place of them.
"""
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("INFOMASK_BIN", ROOT / "build/infomask")).absolute()
SCALE = ROOT / "docker/scale"
COUNT, SHARDS = 600, 5


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    root, random = tmp_path_factory.mktemp("scale") / "with a space", np.random.default_rng(5)
    for i in range(COUNT):
        folder = root / str(i % 10)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (28, 28), dtype=np.uint8)).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("INFOMASK_")}
    return {**clean, "PATH": f"{BINARY.parent}:{clean['PATH']}", "INFOMASK_MODEL": "digits", "XDG_STATE_HOME": str(home),
            "INFOMASK_MODELS_DIR": str(ROOT / "config/models"), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}


def numbers(text):
    report = json.loads(text)
    return {key: value for key, value in report.items() if key not in ("id", "name", "added", "known", "rejected", "rejected_in_all")}


def ask(environment, *arguments):
    done = subprocess.run([BINARY, "estimate", *map(str, arguments), "--json"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return numbers(done.stdout)


@pytest.fixture(scope="session")
def whole(photos, environment, tmp_path_factory):
    report = ask(environment, "--images", photos, "--quiet", "--store", tmp_path_factory.mktemp("whole") / "all.db")
    assert report["samples"] == COUNT
    return report


def parts_of(folder):
    parts = sorted(folder.glob("*.db"))
    assert [part.name for part in parts] == [f"{i}.db" for i in range(SHARDS)]
    assert sorted(p.name for p in folder.iterdir()) == [part.name for part in parts]  # nothing half done
    return parts


def script(environment, *arguments):
    done = subprocess.run([sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return numbers(done.stdout[done.stdout.index("{"):])


@pytest.mark.parametrize("program", ["ray_estimate.py", "spark_estimate.py"])
def test_ray_and_spark(photos, environment, whole, tmp_path, program):
    found = script(environment, SCALE / program, photos, tmp_path, SHARDS)
    parts_of(tmp_path)
    assert found == whole


def test_a_shard_that_failed_is_tried_again(photos, environment, whole, tmp_path):
    """The first call of infomask for shard 2 dies."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "parts").mkdir()
    (tmp_path / "bin/infomask").write_text(f"""#!/bin/sh
case "$*" in *"--shard 2/{SHARDS}"*) [ -e {tmp_path}/died ] || {{ touch {tmp_path}/died; kill -9 $$; }} ;; esac
exec "{BINARY}" "$@"
""")
    (tmp_path / "bin/infomask").chmod(0o755)
    broken = {**environment, "PATH": f"{tmp_path / 'bin'}:{environment['PATH']}"}
    assert script(broken, SCALE / "ray_estimate.py", photos, tmp_path / "parts", SHARDS) == whole
    assert (tmp_path / "died").exists()
    parts_of(tmp_path / "parts")


def test_a_slurm_array(photos, environment, whole, tmp_path):
    assert subprocess.run(["sh", "-n", SCALE / "slurm.sh"]).returncode == 0
    for i in range(SHARDS):
        job = {**environment, "PHOTOS": str(photos), "PARTS": str(tmp_path), "SLURM_ARRAY_TASK_ID": str(i),
               "SLURM_ARRAY_TASK_COUNT": str(SHARDS), "SLURM_CPUS_PER_TASK": "1"}
        subprocess.run(["sh", SCALE / "slurm.sh"], env=job, cwd=ROOT, check=True, capture_output=True)
    assert ask(environment, "--merge", *parts_of(tmp_path)) == whole


def container_runs(containers, index, count, paths, environment):
    """Runs what the containers of a manifest say, one after the other, with its folders here."""
    def here(text):
        for there, folder in paths.items():
            text = text.replace(there, str(folder))
        for name in ("$(JOB_COMPLETION_INDEX)", "$JOB_COMPLETION_INDEX", "{{inputs.parameters.i}}"):
            text = text.replace(name, str(index))
        return text.replace("/256", f"/{count}").replace(f"{index}/8", f"{index}/{count}")

    for container in containers:
        command, arguments = container.get("command", ["/usr/bin/infomask"]), [here(text) for text in container.get("args", [])]
        command = [str(BINARY) if word == "/usr/bin/infomask" else here(word) for word in command]
        subprocess.run([*command, *arguments], env=environment, check=True, capture_output=True)


def manifest_containers(name):
    document = yaml.safe_load((ROOT / "docker" / name).read_text())
    if document["kind"] == "Job":
        assert document["spec"]["completionMode"] == "Indexed" and document["spec"]["completions"] == 8
        pod = document["spec"]["template"]["spec"]
        return pod["initContainers"] + pod["containers"]
    part = next(template for template in document["spec"]["templates"] if template["name"] == "part")
    return part["containerSet"]["containers"]


@pytest.mark.parametrize("name", ["kubernetes/jobs/estimate.yaml", "scale/argo.yaml"])
def test_kubernetes_parts(photos, environment, whole, tmp_path, name):
    (tmp_path / "parts").mkdir()
    link = tmp_path / "photos"
    link.symlink_to(photos)  # a volume has no space in its name
    for i in range(SHARDS):
        scratch = tmp_path / f"scratch{i}"
        scratch.mkdir()
        paths = {"/photos": link, "/scratch": scratch, "/parts": tmp_path / "parts"}
        container_runs(manifest_containers(name), i, SHARDS, paths, environment)
    assert ask(environment, "--merge", *parts_of(tmp_path / "parts")) == whole
