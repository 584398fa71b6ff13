"""Times GET of an estimate with many samples against one with few: it must cost the same, and no memory.

    python tests/bench/million.py build/million --samples 1000000 --classes 1000
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "http"))
from conftest import Server  # noqa: E402


def times(server, runs=50):
    out = []
    for _ in range(runs):
        start = time.perf_counter()
        reply = server.ask(path="/v1/estimates/million", timeout=60)
        out.append(1e3 * (time.perf_counter() - start))
        assert reply.status == 200, reply.text
    return sorted(out), json.loads(reply.text)


def measure(program, samples, classes):
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([program, f"{folder}/estimates.db", str(samples), str(classes)], check=True)
        filled = time.perf_counter() - start
        server = Server("--state-dir", folder, "--state-limit", "4G")
        before = server.rss()
        took, report = times(server)
        during = server.rss()  # the limit may be computed behind the first of them
        while report["mutual_information"]["limit_samples"] < samples:
            time.sleep(0.5)
            report = times(server, 1)[1]
        again, report = times(server)
        after = server.rss()
        server.stop()
    assert report["samples"] == samples
    print(f"{samples} samples of {classes} classes, stored in {filled:.1f} s: GET min {again[0]:.1f}, median "
          f"{again[len(again) // 2]:.1f}, max {again[-1]:.1f} ms (while the limit is computed max {took[-1]:.1f} ms); "
          f"resident {before >> 20} MB at the start, {during >> 20}, {after >> 20} MB at the end", flush=True)
    return again[len(again) // 2]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--samples", type=int, default=1000000)
    parser.add_argument("--classes", type=int, default=1000)
    options = parser.parse_args()
    measure(options.program, 1000, options.classes)
    assert measure(options.program, options.samples, options.classes) < 50, "a GET took 50 ms or more"
