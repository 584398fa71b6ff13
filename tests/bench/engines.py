#!/usr/bin/env python3
"""Our engine beside onnxruntime and OpenVINO: the same network, input, threads and machine, run by run in turn.

    engines.py BENCH MODEL [--resnet50 MODEL] [--qdq MODEL] [--cases NAME,...] [--isa auto] [--seconds S] [--json FILE]
        [--markdown]

BENCH is the program built from engine_bench.c, MODEL the ONNX file.  The peers are read from the Python that runs this
(`make bench-engines` makes a folder with them).  A round is some runs of each engine, after a pause that lets the
others' spinning threads go to sleep; min and median are over all runs, ratios are peer / ours (above 1: we are faster).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

PAUSE = 0.1  # onnxruntime's second thread spins for 40 to 50 ms after a run
CLOCK = time.process_time if "BENCH_CLOCK" in os.environ else time.perf_counter
CASES = {  # name: ours (isa, precision), threads, batch, size, peers
    "f32-1": ("auto", "f32", 1, 1, 224, ("onnxruntime", "openvino f32")),
    "f32-2": ("auto", "f32", 2, 1, 224, ("onnxruntime", "openvino f32")),
    "f32-1-batch8": ("auto", "f32", 1, 8, 224, ("onnxruntime",)),
    "f32-2-batch8": ("auto", "f32", 2, 8, 224, ("onnxruntime",)),
    "f32-1-448": ("auto", "f32", 1, 1, 448, ("onnxruntime",)),
    "bf16-1": ("auto", "bf16", 1, 1, 224, ("onnxruntime", "openvino bf16")),
    "bf16-2": ("auto", "bf16", 2, 1, 224, ("onnxruntime", "openvino bf16")),
    "int8-1": ("auto", "int8", 1, 1, 224, ("onnxruntime", "onnxruntime int8")),  # after `make quantize`
    "int8-2": ("auto", "int8", 2, 1, 224, ("onnxruntime", "onnxruntime int8")),
    "avx2-1": ("avx2", "f32", 1, 1, 224, ("onnxruntime",)),
    "blas-1": ("blas", "f32", 1, 1, 224, ("onnxruntime",)),
    "resnet50-1": ("auto", "f32", 1, 1, 224, ("onnxruntime",)),  # of make_resnet50.py
}


def rss_mb():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


class Ours:
    def __init__(self, bench, model, isa, precision, threads, x):
        self.folder = tempfile.TemporaryDirectory()
        paths = [os.path.join(self.folder.name, name) for name in ("x.f32", "y.f32")]
        x.tofile(paths[0])
        self.process = subprocess.Popen([bench, model, isa, precision, str(threads), str(len(x)), str(x.shape[2]), *paths],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        if not words:
            raise RuntimeError(f"{isa} {precision} is not to be had here")
        self.load_ms, self.memory_mb, self.isa = float(words[1]), int(words[5]) / 1024, words[-1]
        self.output = np.fromfile(paths[1], np.float32)

    def runs(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return [float(v) / 1e3 for v in self.process.stdout.readline().split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Peer:
    """Timed inside this process; `call` runs it once and returns the output."""
    def runs(self, count):
        times = []
        for _ in range(count):
            start = CLOCK()
            self.call()
            times.append((CLOCK() - start) * 1e3)
        return times

    def close(self):
        pass


class OnnxRuntime(Peer):
    def __init__(self, model, threads, x):
        import onnxruntime
        before, start = rss_mb(), time.perf_counter()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: x}
        self.load_ms = (time.perf_counter() - start) * 1e3
        self.call = lambda: session.run(None, feed)[0]
        self.output = self.call().ravel()
        self.memory_mb = rss_mb() - before


class OpenVino(Peer):
    def __init__(self, model, threads, x, precision):
        import openvino
        before, start = rss_mb(), time.perf_counter()
        network = openvino.Core().read_model(model)
        network.reshape(list(x.shape))
        compiled = openvino.Core().compile_model(network, "CPU", {
            "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"})
        request = compiled.create_infer_request()
        self.load_ms = (time.perf_counter() - start) * 1e3
        self.call = lambda: request.infer({0: x})[0]
        self.output = np.asarray(self.call()).ravel()
        self.memory_mb = rss_mb() - before


def peer(name, models, threads, x):
    if name.startswith("onnxruntime"):
        return OnnxRuntime(models[name], threads, x)
    return OpenVino(models["onnxruntime"], threads, x, name.split()[1])


def run_case(bench, models, case, seconds, auto):
    isa, precision, threads, batch, size, peers = case
    isa = auto if isa == "auto" else isa
    x = np.random.default_rng(0).uniform(-1, 1, (batch, 3, size, size)).astype(np.float32)
    engines = {"ours": Ours(bench, models["onnxruntime"], isa, precision, threads, x)}
    for name in peers:
        if models.get(name, True):
            engines[name] = peer(name, models, threads, x)
    reference = engines["onnxruntime"].output
    times = {name: [] for name in engines}
    count = {name: 1 for name in engines}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, engine in engines.items():
            time.sleep(PAUSE)
            times[name] += engine.runs(count[name])
            count[name] = max(1, min(20, int(100 / min(times[name]))))  # about 0.1 s a turn
    rows = {}
    for name, engine in engines.items():
        low, middle = min(times[name]), statistics.median(times[name])
        rows[name] = {"min_ms": low, "median_ms": middle, "load_ms": engine.load_ms, "memory_mb": engine.memory_mb,
                      "runs": len(times[name]), "max_difference": float(np.abs(engine.output - reference).max())}
        engine.close()
    rows["ours"]["isa"] = engines["ours"].isa
    for row in rows.values():
        row["ratio_min"], row["ratio_median"] = (row[k] / rows["ours"][k] for k in ("min_ms", "median_ms"))
    return rows


def markdown(results):
    """The README's table: least times, and the peer's as a multiple of ours."""
    yield ("| network, precision, ISA | threads | batch | size | ours, ms | onnxruntime f32, ms | ratio | "
           "OpenVINO (int8: onnxruntime int8), ms | ratio |")
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, rows in results.items():
        _, precision, threads, batch, size, peers = CASES[name]
        network = "ResNet-50" if name.startswith("resnet50") else "EfficientNet-Lite0"
        cells = [f"{network}, {precision}, {rows['ours']['isa']}", str(threads), str(batch), str(size), f"{rows['ours']['min_ms']:.2f}"]
        for peer_name in ("onnxruntime", peers[1] if len(peers) > 1 else None):
            row = rows.get(peer_name)
            cells += [f"{row['min_ms']:.2f}", f"{row['ratio_min']:.2f}"] if row else ["", ""]
        yield "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("model")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--isa", default="auto", help="of ours where a case says auto: the best of this processor")
    parser.add_argument("--json")
    parser.add_argument("--resnet50", help="without it, its cases are left out")
    parser.add_argument("--qdq", help="onnxruntime's own int8 of MODEL, of make_qdq.py")
    parser.add_argument("--markdown", action="store_true", help="at the end, the table of the README")
    arguments = parser.parse_args()
    results = {}
    print(f"{'case':14}{'engine':16}{'min ms':>8}{'median':>8}{'ratio':>7}{'of med':>7}{'load ms':>9}{'MB':>7}{'max diff':>10}")
    for name in arguments.cases.split(","):
        model = arguments.resnet50 if name.startswith("resnet50") else arguments.model
        if model is None:
            continue
        try:
            models = {"onnxruntime": model, "onnxruntime int8": arguments.qdq}
            rows = run_case(arguments.bench, models, CASES[name], arguments.seconds, arguments.isa)
        except (RuntimeError, ImportError) as error:
            print(f"{name:14}left out: {error}")
            continue
        results[name] = rows
        for engine, r in rows.items():
            print(f"{name:14}{engine:16}{r['min_ms']:8.2f}{r['median_ms']:8.2f}{r['ratio_min']:7.2f}{r['ratio_median']:7.2f}"
                  f"{r['load_ms']:9.1f}{r['memory_mb']:7.1f}{r['max_difference']:10.1e}", flush=True)
    if arguments.markdown:
        print("\n" + "\n".join(markdown(results)))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
