"""Random small networks that onnxruntime's own tools have quantised, beside onnxruntime without its optimisations.

    quantised_nets.py NETRUN [--count N] [--seed FIRST] [--isa LIST] [--keep FOLDER]

Static quantisation in both forms (QDQ, QLinear operators), of activations to 8 and 16 bits, of weights a tensor or a channel,
calibrated by extremes or percentiles, and dynamic.  Told are networks whose output differs by more than one and a half steps
of what was quantised last: there is one step between two engines where a number lies next to the border of two, and what the
network's end makes of it; more has to be explained.  They are kept in FOLDER as SEED.onnx and .in.
"""
import argparse
import collections
import contextlib
import logging
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime import quantization

from nets import Net
from nodes import Runner
from random_nets import theirs

TYPES = quantization.QuantType
WITHIN = 2e-4  # of the spread, where nothing is quantised at the end


class Quantised(Net):
    """Of layers that the quantiser knows, most of them."""

    def layer(self):
        if self.chance(5):
            self.x = self.maps[int(self.random.integers(len(self.maps)))]
        makers = [self.conv] * 6 + [self.pool, self.pair, self.soft] * 2 + [
            self.activation, self.join, self.gate, self.split, self.pad, self.silu, self.leaky, self.tokens, self.transposes,
            self.affine, self.resize, self.cut, self.shuffle]
        if len(self.shape()) != 4:
            self.x = self.maps[-1]
        mark = (self.x, len(self.nodes), len(self.constants))
        try:
            self.pick(*makers)()
        except ValueError:
            self.x = mark[0]
            del self.nodes[mark[1]:], self.constants[mark[2]:]

    def soft(self):
        self.then("Softmax", axis=int(self.pick(1, 2, 3, -1)))
        self.tell("softmax")

    def leaky(self):
        self.then("LeakyRelu", alpha=float(self.pick(.01, .1, .3)))
        self.tell("leaky")


class Pictures(quantization.CalibrationDataReader):
    def __init__(self, x, batch):
        self.rows = iter([{"x": x[i:i + batch]} for i in range(0, len(x) - batch + 1, batch)])

    def get_next(self):
        return next(self.rows, None)


def quantise(net, random, folder):
    """The network as the tools write it, and how."""
    plain, made = os.path.join(folder, "plain.onnx"), os.path.join(folder, "made.onnx")
    onnx.save(onnx.shape_inference.infer_shapes(net.model), plain)
    channels = bool(random.integers(2))
    if random.integers(5) == 0 and net.batch in ("N", 1):
        net.n, net.pictures = 1, net.pictures[:1]  # a scale is of the whole input, here of each picture
        weights = [TYPES.QInt8, TYPES.QUInt8][random.integers(2)]
        quantization.quantize_dynamic(plain, made, weight_type=weights, per_channel=channels)
        return onnx.load(made), f"dynamic {weights.name}"
    form = [quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator][random.integers(2)]
    pairs = [(TYPES.QUInt8, TYPES.QInt8), (TYPES.QUInt8, TYPES.QUInt8), (TYPES.QInt8, TYPES.QInt8)]
    if form == quantization.QuantFormat.QDQ:
        pairs += [(TYPES.QUInt16, TYPES.QInt8), (TYPES.QInt16, TYPES.QInt8)]
    activations, weights = pairs[random.integers(len(pairs))]
    batch = net.batch if isinstance(net.batch, int) else 2
    pictures = random.standard_normal((6, *net.pictures.shape[1:])).astype(np.float32)
    method = quantization.CalibrationMethod.Percentile if random.integers(3) == 0 else quantization.CalibrationMethod.MinMax
    reduced = "16" not in activations.name and bool(random.integers(3) == 0)
    quantization.quantize_static(plain, made, Pictures(pictures, batch), quant_format=form, per_channel=channels,
                                 reduce_range=reduced, activation_type=activations, weight_type=weights, calibrate_method=method,
                                 extra_options={"ActivationSymmetric": bool(random.integers(4) == 0)})
    more = (" by channel" if channels else "") + (" reduced" if reduced else "")
    return onnx.load(made), f"{form.name} {activations.name} {weights.name}{more}"


def last_step(model):
    """The scale of what is dequantised last; 0: nothing is."""
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    scales = [constants[n.input[1]] for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[1] in constants]
    return next((float(s.ravel()[0]) for s in reversed(scales) if s.size == 1), 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("netrun")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--isa", default="")
    parser.add_argument("--keep", default="")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    isas = [i for i in args.isa.split(",") if i] or [""]
    runners = {isa: Runner(args.netrun, ["--isa", isa] if isa else []) for isa in isas}
    counts, reasons, worst = collections.Counter(), collections.Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.onnx")
        for seed in range(args.seed, args.seed + args.count):
            try:
                net = Quantised(seed)
                with contextlib.redirect_stdout(sys.stderr):  # the tools talk
                    net.model, how = quantise(net, np.random.default_rng(seed), folder)
                want = theirs(net)
            except Exception as error:
                counts["not made"] += 1
                reasons["onnxruntime: " + (str(error).splitlines() or [repr(error)])[0][:100]] += 1
                continue
            spread = float(want.max() - want.min())
            if spread < 1e-6:
                counts["not made"] += 1
                continue
            onnx.save(net.model, path)
            net.pictures.tofile(path + ".in")
            for isa, runner in runners.items():
                answer = runner.ask(f"{path} {path}.in {path}.out {net.n} {net.dims[2]} {net.dims[3]}")
                if answer.startswith("failed"):
                    counts["refused"] += 1
                    reasons[answer[7:].split("): ")[-1]] += 1
                    continue
                got = np.fromfile(path + ".out", "<f4") if answer.startswith("ok") else np.zeros(0)
                error = float(np.abs(got.reshape(want.shape) - want).max() / spread) if got.size == want.size else np.inf
                if error <= max(WITHIN, 1.5 * last_step(net.model) / spread):
                    counts["same"] += 1
                    worst = max(worst, error)
                    continue
                counts["DIFFERS"] += 1
                print(f"DIFFERS  seed {seed} {isa} {error:.1e} {answer} opset {net.opset} {how}: {' '.join(net.story)}", flush=True)
                if args.keep:
                    os.makedirs(args.keep, exist_ok=True)
                    onnx.save(net.model, os.path.join(args.keep, f"{seed}.onnx"))
                    net.pictures.tofile(os.path.join(args.keep, f"{seed}.in"))
    for reason, times in reasons.most_common():
        print(f"{times:6}: {reason}")
    print(dict(counts), f"largest difference {worst:.1e}")
    return counts["DIFFERS"] > 0


if __name__ == "__main__":
    sys.exit(main())
