#!/usr/bin/env python3
"""Networks of torchvision with random weights: our float32 beside onnxruntime's, in turn, on the same cores.

    zoo.py export FOLDER [NAME...]          one ONNX file a network, where it is not there yet (needs torch, torchvision)
    zoo.py run BENCH FOLDER [NAME...] [--threads 1,2] [--seconds 6] [--isa auto] [--precision f32]
        [--clock wall] [--json FILE]

BENCH is the program built from engine_bench.c.  Both engines run in processes of their own that answer the same lines.
A round is some runs of each after a pause, as many as take about a tenth of a second; the ratio is onnxruntime's median
over ours (above 1: ours is faster), peak is the most memory that each process has had.  What cannot be exported or
loaded is left out by name, with the reason.  With hold_avx2.so in LD_PRELOAD (`make bench-zoo ISA=avx2`) onnxruntime
sees no more than AVX2; ours takes the set that --isa names.  --clock cpu counts processor time, of one thread: on a machine
that others use, what the wall's clock says is mostly about them.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

PAUSE = 0.1  # onnxruntime's second thread spins for 40 to 50 ms after a run, on a core that ours would need
NAMES = """alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_b1 efficientnet_v2_s googlenet inception_v3 mnasnet0_5
    mnasnet1_0 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_1_6gf regnet_x_400mf regnet_x_800mf regnet_y_1_6gf
    regnet_y_400mf regnet_y_800mf resnet18 resnet34 resnet50 resnext50_32x4d shufflenet_v2_x1_0 shufflenet_v2_x0_5
    squeezenet1_0 squeezenet1_1 swin_t vgg11 vit_b_16 wide_resnet50_2""".split()
SIZES = {"inception_v3": 299}


# ---- export --------------------------------------------------------------------------------------------------------

def network(name):
    """With random weights, and batch norms that have seen a batch: activations neither die out nor overflow.  Weights that
    a network begins with as zeros (a transformer's head) are random too, or its outputs would say nothing."""
    import torch
    import torchvision

    torch.manual_seed(1)
    extra = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, **extra)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and not module.weight.any():
            torch.nn.init.normal_(module.weight, std=0.02)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for module in norms:
        module.momentum = 1.0
    if norms:
        with torch.no_grad():
            model.train()(torch.randn(4, 3, *[SIZES.get(name, 224)] * 2))
    return model.eval()


def export(folder, names):
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / f"{name}.onnx"
        if path.exists():
            continue
        try:
            x = torch.randn(1, 3, *[SIZES.get(name, 224)] * 2)
            torch.onnx.export(network(name), (x,), str(path) + ".part", input_names=["input"], output_names=["output"],
                              opset_version=17, dynamo=False)
            os.rename(str(path) + ".part", path)
        except Exception as error:  # whatever an exporter may raise: the others are still of use
            print(f"{name}: not exported: {error}", file=sys.stderr)


# ---- run -----------------------------------------------------------------------------------------------------------

PEER = """
import os, sys, time, numpy, onnxruntime
clock = time.process_time if "BENCH_CLOCK" in os.environ else time.perf_counter
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[2])
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feed = {session.get_inputs()[0].name: numpy.fromfile(sys.argv[3], numpy.float32).reshape(1, 3, int(sys.argv[5]), -1)}
session.run(None, feed)[0].tofile(sys.argv[4])
print("ready", flush=True)
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = clock()
        session.run(None, feed)
        times.append(f"{(clock() - start) * 1e6:.1f}")
    print(*times, flush=True)
"""


class Engine:
    """A process that answers a number of runs by their microseconds."""

    def __init__(self, command, log):
        self.log = log
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(log, "wb"),
                                        text=True)
        if not self.process.stdout.readline():
            self.process.wait()
            lines = log.read_text(errors="replace").strip().splitlines() or ["no answer"]
            raise RuntimeError(lines[-1])
        self.times, self.count = [], 1

    def turn(self):
        time.sleep(PAUSE)
        self.process.stdin.write(f"{self.count}\n")
        self.process.stdin.flush()
        self.times += [float(v) / 1e3 for v in self.process.stdout.readline().split()]
        self.count = max(1, min(20, int(100 / min(self.times))))

    def close(self):
        """Ends the process; returns the most memory that it has had, in MB."""
        with open(f"/proc/{self.process.pid}/status") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
        self.process.stdin.close()
        self.process.wait()
        return peak


def run_one(arguments, path, threads, folder):
    import numpy

    size = SIZES.get(path.stem, 224)
    x, ours_y, peer_y = (str(folder / name) for name in ("x.f32", "ours.f32", "peer.f32"))
    numpy.random.default_rng(0).standard_normal((1, 3, size, size), numpy.float32).tofile(x)
    engines = {
        "ours": Engine([arguments.bench, str(path), arguments.isa, arguments.precision, str(threads), "1", str(size), x, ours_y],
                       folder / "ours.log"),
        "peer": Engine([sys.executable, "-c", PEER, str(path), str(threads), x, peer_y, str(size)], folder / "peer.log")}
    ours, peer = numpy.fromfile(ours_y, numpy.float32), numpy.fromfile(peer_y, numpy.float32)
    row = {"difference": float(numpy.abs(ours - peer).max() / max(numpy.abs(peer).max(), 1e-30))}
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end or min(len(e.times) for e in engines.values()) < 5:
        for engine in engines.values():
            engine.turn()
    for name, engine in engines.items():
        row[name] = {"min": min(engine.times), "median": statistics.median(engine.times), "runs": len(engine.times),
                     "peak": engine.close()}
    row["ratio"] = row["peer"]["median"] / row["ours"]["median"]
    row["ratio_min"] = row["peer"]["min"] / row["ours"]["min"]
    return row


def run(arguments):
    import tempfile

    results = {}
    print("| network | threads | ours, ms: min, median | onnxruntime: min, median | ratio | peak MB: ours, onnxruntime | "
          "largest difference |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for network_name in arguments.names:
            path = arguments.folder / f"{network_name}.onnx"
            for threads in arguments.threads:
                if not path.exists():
                    print(f"{network_name}: left out: no {path.name}", flush=True)
                    break
                try:
                    row = run_one(arguments, path, threads, pathlib.Path(name))
                except RuntimeError as error:
                    print(f"{network_name}: left out: {error}", flush=True)
                    break
                results[f"{network_name}-{threads}"] = row
                ours, peer = row["ours"], row["peer"]
                print(f"| {network_name} | {threads} | {ours['min']:.2f}, {ours['median']:.2f} | {peer['min']:.2f}, "
                      f"{peer['median']:.2f} | {row['ratio']:.2f} | {ours['peak']:.0f}, {peer['peak']:.0f} | "
                      f"{row['difference']:.1e} |", flush=True)
    for threads in arguments.threads:
        ratios = [row["ratio"] for key, row in results.items() if key.endswith(f"-{threads}")]
        if ratios:
            mean = math.exp(statistics.fmean(map(math.log, ratios)))
            print(f"\n{len(ratios)} networks, {threads} thread(s): geometric mean {mean:.3f}, least {min(ratios):.2f}")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("export")
    timing = commands.add_parser("run")
    timing.add_argument("bench")
    for command in (making, timing):
        command.add_argument("folder", type=pathlib.Path)
        command.add_argument("names", nargs="*")
    timing.add_argument("--threads", type=lambda s: [int(v) for v in s.split(",")], default=[1, 2])
    timing.add_argument("--seconds", type=float, default=6)
    timing.add_argument("--isa", default="auto")
    timing.add_argument("--precision", default="f32")
    timing.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    timing.add_argument("--json")
    arguments = parser.parse_args()
    if arguments.command == "run" and arguments.clock == "cpu":
        os.environ["BENCH_CLOCK"] = "cpu"
    if arguments.command == "export":
        export(arguments.folder, arguments.names or NAMES)
    else:
        arguments.names = arguments.names or NAMES
        run(arguments)


if __name__ == "__main__":
    main()
