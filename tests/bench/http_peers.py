"""Requests a second over HTTP: ours beside FastAPI around onnxruntime (2 workers) and around OpenVINO, in one run.

    python tests/bench/http_peers.py --infomask build/infomask --peers build/peers-venv --model model.onnx [--seconds 4]

wrk posts 50 JPEGs of 500 x 375 pixels on 1, 8 and 64 kept connections.  The services take turns, several rounds, each
stopped while the others run; the best round counts.  A service that cannot start on this processor is left out by name.  Also printed: p50 and p99 of that round, resident memory
(proportional: pages that workers share count once), and the time of a request that is not decoding or the network.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONNECTIONS = [1, 8, 64]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    def __init__(self, name, command, env):
        self.name, self.command, self.env = name, command, env
        self.best = {count: (0, 0, 0, 0) for count in CONNECTIONS}
        self.memory = 0

    def start(self, photo):
        self.port = free_port()
        command = [word.replace("PORT", str(self.port)) for word in self.command]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, env={**os.environ, **self.env}, stdout=subprocess.DEVNULL,
                                        stderr=self.log, cwd=ROOT / "tests/bench", start_new_session=True)
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/classify", data=photo, timeout=30).read()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(60)

    def can_start(self, photo):
        """False, with the service's own last words, where it cannot."""
        try:
            self.start(photo)
        except OSError:
            self.stop()
            self.log.seek(0)
            words = self.log.read().decode(errors="replace").strip().splitlines() or ["no word from it"]
            print(f"{self.name}: left out: {words[-1]}", file=sys.stderr)
            return False
        self.stop()
        return True

    def resident(self):
        """Megabytes of the process and its workers."""
        total, group = 0, self.process.pid
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.getpgid(int(entry.name)) == group:
                    total += int(re.search(r"^Pss:\s+(\d+)", (entry / "smaps_rollup").read_text(), re.M).group(1))
            except (OSError, AttributeError):
                pass
        return total / 1024

    def measure(self, connections, seconds, photos):
        done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s",
                               str(ROOT / "tests/bench/photos.lua"), f"http://127.0.0.1:{self.port}/v1/classify"],
                              capture_output=True, text=True, env={**os.environ, "PHOTOS": str(photos)}, check=True)
        requests, micro, p50, p99, errors = map(int, re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout).groups())
        found = (requests / micro * 1e6, p50 / 1000, p99 / 1000, errors)
        self.best[connections] = max(self.best[connections], found)
        self.memory = max(self.memory, self.resident())


def services(options):
    peers = pathlib.Path(options.peers).absolute() / "bin"
    model = pathlib.Path(options.model).absolute()
    ours = [str(pathlib.Path(options.infomask).absolute()), "serve", "--port", "PORT", "--models-dir", str(model.parents[1]),
            "--state-dir", "/nonexistent", "--log-level", "error"]
    uvicorn = [str(peers / "uvicorn"), "peer:app", "--port", "PORT", "--log-level", "critical"]
    env = {"PEER_MODEL": str(model)}
    found = [
        Service("infomask f32", ours, {}),
        Service("infomask bf16", [*ours, "--precision", "bf16"], {}),
        Service("FastAPI + onnxruntime f32, 2 workers", [*uvicorn, "--workers", "2"], {**env, "PEER_ENGINE": "onnxruntime"}),
        Service("FastAPI + OpenVINO f32, 2 workers", [*uvicorn, "--workers", "2"], {**env, "PEER_ENGINE": "openvino"}),
        Service("FastAPI + OpenVINO bf16, 2 workers", [*uvicorn, "--workers", "2"],
                {**env, "PEER_ENGINE": "openvino", "PEER_PRECISION": "bf16"}),
    ]
    if model.with_suffix(".int8").exists():
        found.insert(2, Service("infomask int8", [*ours, "--precision", "int8"], {}))
    else:
        print("no int8 weights beside the model: `make quantize` first to see int8", file=sys.stderr)
    return found


def information_ms(service):
    """Milliseconds that our daemon has spent on information so far, and the requests that they were for."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=30).read().decode()
    at = r'^infomask_phase_seconds_%s\{phase="information"\} (\S+)$'
    return [float(re.search(at % what, text, re.M).group(1)) for what in ("sum", "count")]


def overhead(service, photo):
    """Median milliseconds of a request of ours that are HTTP and JSON: neither decoding, resizing, the network nor the
    softmax and information of its thousand classes (of that, the mean)."""
    rest, before = [], information_ms(service)
    for _ in range(200):
        reply = urllib.request.urlopen(f"http://127.0.0.1:{service.port}/v1/classify", data=photo, timeout=30).read()
        t = json.loads(reply)["timing_ms"]
        rest.append(t["total"] - t["decode"] - t["preprocess"] - t["network"])
    after = information_ms(service)
    information = 1000 * (after[0] - before[0]) / (after[1] - before[1])
    return sorted(rest)[len(rest) // 2] - information, information


def table(found):
    base = next((service for service in found if "onnxruntime" in service.name), found[0])
    print("| service | " + " | ".join(f"{c} conn. req/s (p50, p99 ms)" for c in CONNECTIONS) + " | memory MB |")
    print("|---|" + "---|" * (len(CONNECTIONS) + 1))
    for service in found:
        cells = [f"{rate:.0f} ({p50:.0f}, {p99:.0f})" + (f" {errors} errors" if errors else "")
                 for rate, p50, p99, errors in service.best.values()]
        print(f"| {service.name} | " + " | ".join(cells) + f" | {service.memory:.0f} |")
    for service in found:
        ratios = [service.best[c][0] / base.best[c][0] for c in CONNECTIONS if base.best[c][0] > 0]
        print(f"{service.name}: {' '.join(f'{r:.2f}x' for r in ratios)} of {base.name}, memory {service.memory / base.memory:.2f}x")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("infomask", "peers", "model", "photos"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    photos = pathlib.Path(options.photos).absolute()
    photo, found = (photos / "00.jpg").read_bytes(), services(options)
    found = [service for service in found if service.can_start(photo)]
    for _ in range(options.rounds):
        for service in found:
            service.start(photo)
            for connections in CONNECTIONS:
                service.measure(connections, options.seconds, photos)
            if service.name == "infomask f32":
                rest = overhead(service, photo)
            service.stop()
    table(found)
    print(f"infomask f32: {rest[0]:.3f} ms of a request are HTTP and JSON (median), {rest[1]:.3f} ms softmax and information")
    return 0


if __name__ == "__main__":
    sys.exit(main())
