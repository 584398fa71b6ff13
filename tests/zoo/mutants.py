"""Real exports, changed at random, into a netrun that was built with sanitizers: none may crash it, make it report, or take long.

    mutants.py NETRUN FOLDER [--count 10000] [--seed 1] [--seconds 1]

FOLDER gets small networks of timm's and torchvision's own architectures by both PyTorch exporters (needs torch; made
once), and the mutants that were bad.  Half of the changes are to bytes of the file, half to its structure: attributes,
shapes, types, inputs, nodes, weights.  What still loads is run on one picture.
"""
import argparse
import collections
import glob
import os
import random
import sys
import time

import onnx
from onnx import TensorProto

from nodes import Runner


def networks():
    """Every kind of exported graph in a few hundred kilobytes: name, what makes it, side of its pictures."""
    import timm
    import torchvision
    from timm.models import convnext, ghostnet, resnet, vision_transformer
    swin = torchvision.models.swin_transformer
    return [
        ("vit", lambda: vision_transformer.VisionTransformer(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2,
                                                             num_classes=5), 32),
        ("swin", lambda: swin.SwinTransformer(patch_size=[4, 4], embed_dim=8, depths=[2, 2], num_heads=[1, 2],
                                              window_size=[3, 3], num_classes=5), 64),
        ("swin_v2", lambda: swin.SwinTransformer(patch_size=[4, 4], embed_dim=8, depths=[2], num_heads=[1], window_size=[4, 4],
                                                 num_classes=5, block=swin.SwinTransformerBlockV2,
                                                 downsample_layer=swin.PatchMergingV2), 64),
        ("convnext", lambda: convnext.ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 8, 16, 16), num_classes=5), 32),
        ("mobilenetv3", lambda: timm.create_model("mobilenetv3_small_050", num_classes=5), 64),
        ("resnet", lambda: resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], num_classes=5, base_width=32, cardinality=2,
                                         channels=(8, 8, 16, 16)), 64),
        ("ghost", lambda: ghostnet.GhostNet(cfgs=[[[3, 16, 8, 0, 1]], [[3, 24, 12, .25, 2]]], num_classes=5, width=.5), 64),
    ]


def make(folder):
    import torch
    for name, build, size in networks():
        x = torch.zeros(2, 3, size, size)
        for new in (False, True):
            path = os.path.join(folder, f"{name}.{'new' if new else 'old'}.onnx")
            if os.path.exists(path):
                continue
            try:
                model = build().eval()
                with torch.no_grad():
                    if new:
                        torch.onnx.export(model, (x,), path, dynamo=True, external_data=False, verbose=False,
                                          dynamic_shapes=({0: torch.export.Dim("batch")},))
                    else:
                        torch.onnx.export(model, (x,), path, dynamo=False, opset_version=17, input_names=["x"],
                                          output_names=["y"], dynamic_axes={"x": {0: "b", 2: "h", 3: "w"}})
            except Exception as error:  # what the exporter cannot do is not ours
                print(f"{name}: {str(error).splitlines()[0][:100]}")
                if os.path.exists(path):
                    os.remove(path)


# ---- Changes -------------------------------------------------------------------------------------------------------------

NUMBERS = [0, 1, -1, 2, 3, 7, 13, 127, 255, 65536, 2 ** 31 - 1, -2 ** 31, 2 ** 31, 2 ** 62, 2 ** 63 - 1, -2 ** 63]


def change_bytes(data, r):
    data = bytearray(data)
    for _ in range(r.choice([1, 1, 2, 4, 16])):
        at = r.randrange(len(data))
        kind = r.randrange(6)
        if kind == 0:
            data[at] ^= 1 << r.randrange(8)
        elif kind == 1:
            data[at] = r.randrange(256)
        elif kind == 2:
            del data[at:at + r.choice([1, 2, 8, 100])]
        elif kind == 3:
            data[at:at] = bytes(r.randrange(256) for _ in range(r.choice([1, 2, 8])))
        elif kind == 4:
            end = r.randrange(len(data))
            data[at:at + 64] = data[end:end + 64]
        elif len(data) > 200:
            del data[at:]
        if not data:
            return b"\0"
    return bytes(data)


def change_attribute(node, r):
    a = r.choice(node.attribute)
    if a.ints:
        a.ints[r.randrange(len(a.ints))] = r.choice(NUMBERS)
    elif a.floats:
        a.floats[r.randrange(len(a.floats))] = r.choice([0, -1, 1e38, float("nan"), float("inf"), 1e-38])
    elif a.type == onnx.AttributeProto.INT:
        a.i = r.choice(NUMBERS)
    elif a.type == onnx.AttributeProto.FLOAT:
        a.f = r.choice([0, -1, 1e38, float("nan"), float("inf"), 1e-38])
    elif a.type == onnx.AttributeProto.STRING:
        a.s = r.choice([b"", b"SAME_UPPER", b"nearest", b"x" * 100, b"VALID", b"none"])
    else:
        a.name = r.choice(["axis", "perm", "value", "pads", ""])


def change_tensor(tensor, r):
    kind = r.randrange(5)
    if kind == 0 and tensor.dims:
        tensor.dims[r.randrange(len(tensor.dims))] = r.choice(NUMBERS)
    elif kind == 1:
        tensor.data_type = r.choice([TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.FLOAT16,
                                     TensorProto.DOUBLE, TensorProto.STRING, 0, 99])
    elif kind == 2 and tensor.raw_data:
        tensor.raw_data = tensor.raw_data[:r.randrange(len(tensor.raw_data) + 1)]
    elif kind == 3 and len(tensor.raw_data) >= 8 and tensor.data_type == TensorProto.INT64:
        raw = bytearray(tensor.raw_data)
        at = 8 * r.randrange(len(raw) // 8)
        raw[at:at + 8] = (r.choice(NUMBERS) % 2 ** 64).to_bytes(8, "little")
        tensor.raw_data = bytes(raw)
    else:
        tensor.dims.append(r.choice([1, 0, -1, 2]))


def change_structure(model, r):
    graph = model.graph
    names = [n for node in graph.node for n in node.output] + [t.name for t in graph.initializer] + ["x", ""]
    for _ in range(r.choice([1, 1, 1, 2, 5])):
        node, kind = r.choice(graph.node), r.randrange(11)
        small = [t for t in graph.initializer if len(t.raw_data) < 4096]
        if kind <= 2 and node.attribute:
            change_attribute(node, r)
        elif kind <= 4 and small:
            change_tensor(r.choice(small), r)
        elif kind == 5 and node.input:
            node.input[r.randrange(len(node.input))] = r.choice(names)
        elif kind == 6:
            other = r.choice(graph.node)
            node.op_type = other.op_type
        elif kind == 7:
            copy = onnx.NodeProto()
            copy.CopyFrom(r.choice(graph.node))
            node.CopyFrom(copy)
        elif kind == 8:
            dims = graph.input[0].type.tensor_type.shape.dim
            dims[r.randrange(len(dims))].dim_value = r.choice(NUMBERS)
        elif kind == 9 and node.input:
            if r.random() < .5:
                node.input.append(r.choice(names))
            else:
                del node.input[r.randrange(len(node.input))]
        else:
            model.opset_import[0].version = r.choice([7, 9, 11, 13, 17, 18, 20, 23])
    return model.SerializeToString()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("netrun")
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1)
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    make(args.folder)
    paths = sorted(glob.glob(os.path.join(args.folder, "*.onnx")))
    models = [(os.path.basename(p), open(p, "rb").read(), onnx.load(p)) for p in paths]
    sizes = {p: 32 if os.path.basename(p).startswith(("vit", "convnext")) else 64 for p in paths}
    print(", ".join(f"{name} {len(data) >> 10} KB" for name, data, _ in models), flush=True)
    runner, counts, slowest, bad = Runner(args.netrun, ["--small"]), collections.Counter(), 0, 0
    mutant = os.path.join(args.folder, f"mutant-{os.getpid()}.tmp")
    for number in range(args.seed, args.seed + args.count):
        r = random.Random(number)
        at = r.randrange(len(models))
        name, data, model = models[at]
        if r.random() < .5:
            changed = change_bytes(data, r)
        else:
            copy = onnx.ModelProto()
            copy.CopyFrom(model)
            changed = change_structure(copy, r)
        with open(mutant, "wb") as file:
            file.write(changed)
        start = time.perf_counter()
        side = sizes[paths[at]]
        answer = runner.ask(f"{mutant} - - 1 {side} {side}")
        took = time.perf_counter() - start
        slowest = max(slowest, took)
        counts[answer.split()[0]] += 1
        if answer.startswith("CRASHED") or took > args.seconds:
            bad += 1
            kept = os.path.join(args.folder, f"bad-{number}")
            os.replace(mutant, kept)
            print(f"{number} of {name}: {answer[:100]}, {took:.2f} s: {kept}", flush=True)
    if os.path.exists(mutant):
        os.remove(mutant)
    leaks = runner.finish()
    print(dict(counts), f"slowest {slowest:.2f} s, ended with code {leaks}")
    return bad > 0 or leaks != 0


if __name__ == "__main__":
    sys.exit(main())
