"""Our image beside the one that people write instead, Debian with Python, FastAPI and onnxruntime (tests/bench/peer.py):
size, time from the start of the process to its first answer, processor time until then, memory after it.

Run as root by `make bench-images`, after the image of `make test-image`.  Both run on two threads from their own root,
in turn; of the times the smallest is printed.
"""
import argparse
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHOTO = ROOT / "tests/data/photos/coffee.png"
MODEL = ROOT / "config/models/efficientnet-lite0/model.onnx"
PACKAGES = ("numpy", "onnxruntime", "fastapi", "uvicorn", "httptools", "uvloop", "pillow")
DOCKERFILE = """
FROM {base} AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv
COPY wheels /wheels
RUN python3 -m venv /venv && /venv/bin/pip install -q --no-index --find-links /wheels {packages} \\
    && /venv/bin/pip uninstall -q -y pip && find /venv -name __pycache__ -prune -exec rm -r {{}} +
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/* /var/cache/apt
COPY --from=build /venv /venv
COPY peer.py model.onnx /
"""
OURS = (["/usr/bin/infomask", "serve"], {"INFOMASK_THREADS": "2", "INFOMASK_STATE_DIR": "/tmp", "OPENBLAS_NUM_THREADS": "1"})
PEER = (["/venv/bin/uvicorn", "--app-dir", "/", "--log-level", "error", "peer:app"],
        {"PEER_ENGINE": "onnxruntime", "PEER_MODEL": "/model.onnx", "PEER_THREADS": "2"})


def run(*arguments, **keywords):
    return subprocess.run(list(map(str, arguments)), check=True, stdout=subprocess.PIPE, text=True, **keywords).stdout.strip()


def build_peer(base, folder):
    wanted = [line for line in (ROOT / "tests/bench/peers.txt").read_text().split() if line.split("==")[0] in PACKAGES]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    python = run("buildah", "run", "--isolation", "chroot", from_image(base), "sh", "-c",
                 "apt-get update -qq >/dev/null 2>&1; apt-cache policy python3 | sed -n 's/.*Candidate: //p'")
    version = re.match(r"(\d+\.\d+)", python)[1]
    run(sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--python-version", version, "-d",
        folder / "wheels", *wanted)
    shutil.copy(ROOT / "tests/bench/peer.py", folder)
    shutil.copy(MODEL, folder)
    (folder / "Dockerfile").write_text(DOCKERFILE.format(base=base, packages=" ".join(wanted)))
    run("buildah", "bud", "--isolation", "chroot", "--layers", "-t", "localhost/infomask-peer", folder, stderr=subprocess.DEVNULL)
    return "localhost/infomask-peer"


CONTAINERS = []


def from_image(image):
    CONTAINERS.append(run("buildah", "from", "--pull-never", image))
    return CONTAINERS[-1]


def of_process(pid):
    """Processor seconds and resident megabytes of a process with all its threads."""
    spent = sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9
    resident = re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]
    return spent, int(resident) / 1024


def start(root, command, environment):
    """One start, to the first answer: seconds, processor seconds, megabytes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([*command, "--port", str(port)], preexec_fn=lambda: (os.chroot(root), os.chdir("/")),
                               env={"PATH": "/usr/bin:/bin", **environment}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    began = time.monotonic()
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/classify", data=PHOTO.read_bytes(), timeout=300).read()
                return time.monotonic() - began, *of_process(process.pid)
            except OSError:
                assert process.poll() is None and time.monotonic() - began < 300, command
                time.sleep(.002)
    finally:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base"), parser.add_argument("image")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    try:
        roots = {name: (run("buildah", "mount", from_image(image)), *started) for name, image, started in (
            ("infomask", options.image, OURS),
            ("FastAPI + onnxruntime", build_peer(options.base, ROOT / "build/image-peer"), PEER))}
        found = {name: [] for name in roots}
        for _ in range(options.rounds):
            for name, (root, command, environment) in roots.items():
                subprocess.run(["mount", "-t", "proc", "proc", f"{root}/proc"], check=True)
                try:
                    found[name].append(start(root, command, environment))
                finally:
                    subprocess.run(["umount", f"{root}/proc"], check=True)
        print("| image | size | first answer after | processor time until then | memory after it |\n|---|---|---|---|---|")
        for name, rounds in found.items():
            size = int(run("du", "-sm", roots[name][0]).split()[0])
            wall, spent, resident = map(min, zip(*rounds))
            print(f"| {name} | {size} MB | {wall:.2f} s | {spent:.2f} s | {resident:.0f} MB |")
    finally:
        for container in CONTAINERS:
            subprocess.run(["buildah", "rm", container], stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
