"""Random small networks (nets.py) beside onnxruntime, on every table of kernels that this machine has.

    random_nets.py NETRUN [--count N] [--seed FIRST] [--isa LIST] [--keep FOLDER] [--plain] [--stored HOW]

Weights lie in the files as float32, float16, bfloat16 and int8 in turn, and some files quantise their operands as well
(stored.py).  A network is wrong where its output differs from onnxruntime's by more than 2e-4 of the outputs' spread, a
twentieth where operands are quantised; it is kept then in FOLDER as SEED.onnx and .in.  Networks that are refused are counted and the first of each reason is told.
"""
import argparse
import collections
import os
import sys
import tempfile

import numpy as np
import onnxruntime

from nets import Net
from nodes import Runner
from stored import BOUND, HOWS, stored


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def theirs(net):
    """What onnxruntime says of the pictures; a file of a fixed batch takes them in passes, the last one filled up."""
    session, batch = session_of(net.model), net.batch if isinstance(net.batch, int) else net.n
    rows = []
    for at in range(0, net.n, batch):
        x = net.pictures[at:at + batch]
        x = np.concatenate([x, np.zeros((batch - len(x),) + x.shape[1:], np.float32)])
        rows.append(session.run(None, {"x": x})[0].reshape(batch, -1))
    return np.concatenate(rows)[:net.n]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("netrun")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--isa", default="")
    parser.add_argument("--keep", default="")
    parser.add_argument("--stored", default="", choices=("", *HOWS), help="how weights lie in the files; all in turn")
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    isas = [i for i in args.isa.split(",") if i] or [""]
    runners = {isa: Runner(args.netrun, (["--isa", isa] if isa else []) + (["--plain"] if args.plain else [])) for isa in isas}
    counts, reasons, worst = collections.Counter(), {}, collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.onnx")
        for seed in range(args.seed, args.seed + args.count):
            try:
                net = Net(seed)
                how = args.stored or HOWS[seed % len(HOWS)]
                model = stored(net.model, how, np.random.default_rng(seed))
                how, net.model = ("f32", net.model) if model is None else (how, model)
                want = theirs(net)
            except Exception as error:
                counts["not made"] += 1
                reasons.setdefault("onnxruntime: " + str(error).splitlines()[0][:150], (seed, 0))
                continue
            spread = float(want.max() - want.min())
            if not np.abs(want).max() < 1e6 or spread < 1e-6:  # a window of padding alone has no value
                counts["not made"] += 1
                continue
            with open(path, "wb") as file:
                file.write(net.model.SerializeToString())
            net.pictures.tofile(path + ".in")
            h, w = net.dims[2:]
            for isa, runner in runners.items():
                answer = runner.ask(f"{path} {path}.in {path}.out {net.n} {h} {w}")
                if answer.startswith("failed"):
                    counts["refused"] += 1
                    key = answer[7:].split("): ")[-1]
                    reasons[key] = (reasons.get(key, (seed, 0))[0], reasons.get(key, (seed, 0))[1] + 1)
                    continue
                got = np.fromfile(path + ".out", "<f4") if answer.startswith("ok") else np.zeros(0)
                error = float(np.abs(got.reshape(want.shape) - want).max() / spread) if got.size == want.size else np.inf
                if error <= BOUND[how]:
                    counts["same"] += 1
                    counts[how] += 1
                    worst[how] = max(worst[how], error)
                    continue
                counts["DIFFERS"] += 1
                print(f"DIFFERS  seed {seed} {how} {isa} {error:.1e} {answer} opset {net.opset} batch {net.batch} of {net.n} "
                      f"{'NHWC ' if net.nhwc else ''}{net.dims[1:]}: {' '.join(net.story)}", flush=True)
                if args.keep:
                    os.makedirs(args.keep, exist_ok=True)
                    for end, data in (("onnx", net.model.SerializeToString()), ("in", net.pictures.tobytes()),
                                      ("want", want.tobytes())):
                        with open(os.path.join(args.keep, f"{seed}.{end}"), "wb") as file:
                            file.write(data)
    for reason, (seed, times) in sorted(reasons.items(), key=lambda item: -item[1][1]):
        print(f"{times:6} seed {seed}: {reason}")
    print(dict(counts), "largest differences:", *(f"{how} {error:.1e}" for how, error in sorted(worst.items())))
    return counts["DIFFERS"] > 0


if __name__ == "__main__":
    sys.exit(main())
