"""Random small PyTorch classifiers (torch_source.py), by both exporters, beside onnxruntime.

    torch_nets.py NETRUN [--count N] [--seed FIRST] [--isa LIST] [--new SHARE] [--keep FOLDER] [--no-shrink]

A seed is one network, one exporter (old: TorchScript at an opset of 11 to 20; new: dynamo at 18 to 22), a batch that is open
or not, a height and width that are open or not, and 1 to 3 pictures.  A network is wrong where its output differs from
onnxruntime's by more than 2e-4 of the outputs' spread on any table of kernels, at its own size or, where that is open, at
another.  Then, and where one is refused, blocks are left out as long as the same happens, and the source of the smallest
module is printed; the files go to FOLDER as SEED.onnx and SEED.in.
"""
import argparse
import collections
import io
import logging
import math
import os
import random
import sys
import tempfile
import types
import warnings

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import nn

from nodes import Runner
from random_nets import theirs
from stored import BOUND
from torch_source import Source

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ["TORCH_LOGS"] = "-all"


def module_of(text, seed):
    names = {"torch": torch, "nn": nn, "F": F, "math": math}
    exec(text, names)
    torch.manual_seed(seed)
    net = names["Net"]().eval()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d, nn.modules.batchnorm._BatchNorm)) \
                and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.2)
    return net


def shape_of(text, size):
    with torch.no_grad():
        return tuple(module_of(text, 0)(torch.zeros(2, 3, *size)).shape)


class Export:
    """A seed's network as a file: model, batch (an integer or open), n, pictures of each size."""

    def __init__(self, seed, share, only=None):
        self.source = Source(seed, shape_of, only)
        r = random.Random(f"{seed}/export")
        self.new = r.random() < share
        self.opset = r.choice(range(18, 23)) if self.new else r.choice(range(11, 21))
        open_batch, self.n = r.random() < .7, r.randint(1, 3)
        self.batch = "n" if open_batch else 1
        self.seed = seed
        self.sizes = [self.source.size] + ([self.source.second] if self.source.open_size else [])

    def story(self):
        return (f"{'new' if self.new else 'old'} exporter, opset {self.opset}, batch {self.batch} of {self.n}, "
                f"{self.sizes}: {' '.join(self.source.names)}")

    def write(self):
        net = module_of(self.source.text, self.seed)
        x = torch.randn(2 if self.batch == "n" else 1, 3, *self.source.size, generator=torch.Generator().manual_seed(self.seed))
        axes = ({0: "n"} if self.batch == "n" else {}) | ({2: "h", 3: "w"} if self.source.open_size else {})
        out = io.BytesIO()
        with torch.no_grad():
            if self.new:
                shape = {axis: torch.export.Dim.DYNAMIC for axis in axes}
                program = torch.onnx.export(net, (x,), dynamo=True, opset_version=self.opset, verbose=False, input_names=["x"],
                                            dynamic_shapes=(shape,) if shape else None)
                program.save(out)
            else:
                torch.onnx.export(net, (x,), out, dynamo=False, opset_version=self.opset, input_names=["x"],
                                  output_names=["y"], dynamic_axes={"x": axes, "y": {0: "n"}} if axes else None)
        self.model = onnx.load_from_string(out.getvalue())

    def pictures(self, size):
        return np.random.default_rng(self.seed).normal(0, 1, (self.n, 3, *size)).astype(np.float32)


def quiet(call):
    """Exporters talk on both streams, some of it past Python's."""
    sys.stdout.flush()
    kept, null = [os.dup(1), os.dup(2)], os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        os.dup2(null, 2)
        return call()
    finally:
        for to, back in zip((1, 2), kept):
            os.dup2(back, to)
            os.close(back)
        os.close(null)


def examine(export, runners, path):
    """What happens at each size and on each table of kernels: (verdict, detail), the worst of them."""
    try:
        quiet(export.write)
    except Exception as error:
        return "not exported", type(error).__name__ + ": " + (str(error).strip() or "?").splitlines()[0][:100]
    onnx.save(export.model, path)
    worst = 0.0
    for size in export.sizes:
        pictures = export.pictures(size)
        try:
            want = theirs(types.SimpleNamespace(model=export.model, batch=export.batch, n=export.n, pictures=pictures))
        except Exception as error:
            return "not run by onnxruntime", str(error).splitlines()[0][:100]
        spread = float(want.max() - want.min())
        if not np.isfinite(want).all() or spread < 1e-5 or np.abs(want).max() > 1e6:
            return "no numbers", ""
        pictures.tofile(path + ".in")
        for isa, runner in runners.items():
            answer = runner.ask(f"{path} {path}.in {path}.out {export.n} {size[0]} {size[1]}")
            if answer.startswith("failed"):
                return "REFUSED", answer[7:].split("): ")[-1]
            got = np.fromfile(path + ".out", "<f4") if answer.startswith("ok") else np.zeros(0)
            error = float(np.abs(got.reshape(want.shape) - want).max() / spread) if got.size == want.size else np.inf
            if not error <= BOUND["f32"]:
                return "DIFFERS", f"by {error:.1e} at {size} on {isa or 'the best'}: {answer}"
            worst = max(worst, error)
    return "same", worst


def shrink(export, share, runners, path, found):
    """The smallest of the seed's networks that meets the same fate, by leaving out one block after the other."""
    only = list(range(export.source.count))
    best = export
    for block in list(only):
        fewer = [i for i in only if i != block]
        try:
            smaller = Export(export.seed, share, fewer)
        except Exception:
            continue
        verdict, detail = examine(smaller, runners, path)
        if verdict == found[0] and (verdict != "REFUSED" or detail[-30:] == found[1][-30:]):
            only, best = fewer, smaller
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("netrun")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--isa", default="")
    parser.add_argument("--new", type=float, default=0.25, help="the share of the new exporter, which takes seconds a file")
    parser.add_argument("--keep", default="")
    parser.add_argument("--no-shrink", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    runners = {isa: Runner(args.netrun, ["--isa", isa] if isa else []) for isa in args.isa.split(",")}
    counts, reasons, worst = collections.Counter(), {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.onnx")
        for seed in range(args.seed, args.seed + args.count):
            try:
                export = Export(seed, args.new)
            except Exception as error:
                counts["not made"] += 1
                reasons.setdefault(f"not made: {type(error).__name__} {str(error).strip()[:100]}", []).append(seed)
                continue
            found = verdict, detail = examine(export, runners, path)
            counts[verdict] += 1
            if verdict == "same":
                worst = max(worst, detail)
                continue
            first = f"{verdict}: {detail}" not in reasons
            reasons.setdefault(f"{verdict}: {detail}", []).append(seed)
            if verdict not in ("DIFFERS", "REFUSED") or not first:
                continue
            if not args.no_shrink:
                export = shrink(export, args.new, runners, path, found)
                verdict, detail = examine(export, runners, path)
            print(f"{verdict}  seed {seed}, {export.story()}\n    {detail}\n{export.source.text}", flush=True)
            if args.keep:
                os.makedirs(args.keep, exist_ok=True)
                onnx.save(export.model, os.path.join(args.keep, f"{seed}.onnx"))
                export.pictures(export.sizes[0]).tofile(os.path.join(args.keep, f"{seed}.in"))
    for reason, seeds in sorted(reasons.items(), key=lambda item: -len(item[1])):
        print(f"{len(seeds):6} seed {seeds[0]}: {reason}")
    print(dict(counts), f"largest difference: {worst:.1e}")
    return counts["DIFFERS"] > 0


if __name__ == "__main__":
    sys.exit(main())
