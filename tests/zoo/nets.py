"""Random small networks as ONNX files: any order of the layers that classifiers are made of, in every opset from 9 on.

Net(seed) makes one: net.model is the file, net.pictures its input [n, c, h, w] or [n, h, w, c], net.story what was put
behind what.  The same seed gives the same network.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

UNARIES = [("Relu", 9, {}), ("Sigmoid", 9, {}), ("Tanh", 9, {}), ("LeakyRelu", 9, dict(alpha=0.2)), ("Elu", 9, {}),
           ("Selu", 9, {}), ("Celu", 12, dict(alpha=0.7)), ("Softplus", 9, {}), ("Softsign", 9, {}), ("HardSigmoid", 9, {}),
           ("HardSwish", 14, {}), ("Mish", 18, {}), ("Gelu", 20, {}), ("Gelu", 20, dict(approximate="tanh")), ("Abs", 9, {}),
           ("Neg", 9, {}), ("Sin", 9, {}), ("Erf", 9, {}), ("ThresholdedRelu", 10, dict(alpha=0.3)), ("Floor", 9, {})]


class Net:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.story, self.count = [], [], [], 0
        self.opset = int(self.random.integers(9, 24))
        self.nhwc = self.chance(5)
        self.n = int(self.random.integers(1, 6))
        self.batch = "N" if not self.chance(3) else int(self.random.choice([1, 2, 3]))
        self.open_size = self.chance(3)
        c, h, w = int(self.random.choice([1, 3, 3, 3, 4, 5])), self.side(), self.side()
        self.dims = [2, c, h, w]
        self.shapes = {"x": (2, h, w, c) if self.nhwc else (2, c, h, w)}
        self.maps, self.x = [], "x"
        if self.nhwc:
            self.then("Transpose", perm=[0, 3, 1, 2])
        self.maps.append(self.x)
        self.conv()
        for _ in range(int(self.random.integers(2, 10))):
            self.layer()
        self.head()
        self.model = self.file()
        self.pictures = self.random.standard_normal((self.n, h, w, c) if self.nhwc else (self.n, c, h, w)).astype(np.float32)

    # ---- Chance ----------------------------------------------------------------------------------------------------------

    def chance(self, of):
        return bool(self.random.integers(of) == 0)

    def pick(self, *of):
        return of[int(self.random.integers(len(of)))]

    def side(self):
        return int(self.pick(7, 8, 9, 13, 14, 16, 17, 28, 31, self.random.integers(6, 40)))

    # ---- Nodes -----------------------------------------------------------------------------------------------------------

    def name(self, what):
        self.count += 1
        return f"{what.lower()}{self.count}"

    def constant(self, array):
        name = self.name("c")
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weights(self, *shape, scale=None):
        scale = scale or 1 / np.sqrt(max(1, np.prod(shape[1:])))
        return self.constant((self.random.standard_normal(shape) * scale).astype(np.float32))

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def shape(self, name=None):
        return self.shapes[name or self.x]

    def node(self, op, *inputs, outputs=1, **attributes):
        """Appends a node if its shapes fit (its first output is then x), else raises ValueError."""
        names = [self.name(op) for _ in range(outputs)]
        node = helper.make_node(op, list(inputs), names, **attributes)
        values = [helper.make_tensor_value_info(i, TensorProto.FLOAT, self.shapes[i]) for i in inputs if i in self.shapes]
        constants = [c for c in self.constants if c.name in inputs]
        graph = helper.make_graph([node], "one", values, [onnx.ValueInfoProto(name=n) for n in names], constants)
        try:
            made = shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)]),
                                                strict_mode=True, data_prop=True)
        except Exception as error:
            raise ValueError(str(error)) from error
        for output in made.graph.output:
            dims = tuple(d.dim_value for d in output.type.tensor_type.shape.dim)
            if not output.type.tensor_type.HasField("shape") or 0 in dims or np.prod(dims) > 300000:
                raise ValueError("no such shape")
            self.shapes[output.name] = dims
        self.nodes.append(node)
        self.x = names[0]
        return names if outputs > 1 else names[0]

    def then(self, op, *more, **attributes):
        return self.node(op, self.x, *more, **attributes)

    def tell(self, what):
        self.story.append(f"{what}{list(self.shape()[1:])}")
        if len(self.shape()) == 4:
            self.maps.append(self.x)

    def axes(self, op, x, axes, since, **attributes):
        """Squeeze, ReduceMean and their like: axes as an attribute before an opset, as an input since."""
        if self.opset < since:
            return self.node(op, x, axes=axes, **attributes)
        return self.node(op, x, self.ints(*axes), **attributes)

    def size_of(self, x, axis):
        """A dimension of x as a list of one integer, computed as files compute it."""
        shape, size = self.name("shape"), self.name("size")
        self.nodes.append(helper.make_node("Shape", [x], [shape]))
        if self.chance(2) and self.opset >= 10:
            self.nodes.append(helper.make_node("Slice", [shape, self.ints(axis), self.ints(axis + 1), self.ints(0)], [size]))
        else:
            self.nodes.append(helper.make_node("Gather", [shape, self.ints(axis)], [size], axis=0))
        return size

    def as_shape(self, dims, like):
        """A shape: the first dimension is the batch, as files write it: 0, -1, or computed; like: a map, and which of its
        dimensions are which here."""
        like_map, places = like
        if not self.open_size:
            places = {}
        if not places and not self.chance(3):
            return self.ints(self.pick(0, 0, -1), *[int(d) for d in dims[1:]])
        parts = [self.size_of("x", 0) if self.chance(2) else self.ints(0)]
        for i, d in enumerate(dims[1:], 1):
            parts.append(self.size_of(like_map, places[i]) if i in places else self.ints(int(d)))
        joined = self.name("joined")
        self.nodes.append(helper.make_node("Concat", parts, [joined], axis=0))
        return joined

    def reshape(self, x, *dims, like=(None, {})):
        """dims[0] is the batch."""
        shape = self.as_shape(dims, like)
        name = self.name("reshape")
        self.nodes.append(helper.make_node("Reshape", [x, shape], [name]))
        if np.prod(self.shape(x)) != 2 * np.prod(dims[1:]):
            raise ValueError("another number of elements")
        self.shapes[name] = (2,) + tuple(int(d) for d in dims[1:])
        self.x = name
        return name

    # ---- Layers ----------------------------------------------------------------------------------------------------------

    def layer(self):
        if self.chance(5):
            self.x = self.maps[int(self.random.integers(len(self.maps)))]
        makers = [self.conv] * 8 + [self.norm, self.activation, self.activation, self.pool, self.pool, self.pair, self.pair,
                                    self.pair, self.join, self.join, self.gate, self.cut, self.split, self.resize, self.pad,
                                    self.shuffle, self.tokens, self.channels_last, self.affine, self.space, self.lrn,
                                    self.instance, self.quantised, self.reduced, self.silu, self.spelt, self.transposes]
        if len(self.shape()) != 4:
            self.x = self.maps[-1]
        mark = (self.x, len(self.nodes), len(self.constants))
        try:
            self.pick(*makers)()
        except ValueError:
            self.x = mark[0]
            del self.nodes[mark[1]:], self.constants[mark[2]:]

    def window(self, k, strides=(1, 1, 1, 2, 3)):
        kernel = [k, k] if not self.chance(4) else [k, int(self.pick(1, 2, 3))]
        attributes = dict(kernel_shape=kernel, strides=[int(self.pick(*strides))] * 2)
        if self.chance(8):
            attributes["strides"][1] = int(self.pick(1, 2))
        return kernel, attributes

    def conv(self):
        _, c, h, w = self.shape()
        kernel, attributes = self.window(int(self.pick(1, 1, 1, 3, 3, 3, 2, 5)))
        kind = self.pick("plain", "plain", "plain", "depthwise", "depthwise", "groups", "multiplier")
        m, groups = int(self.random.integers(1, 33)), 1
        if kind == "depthwise":
            m = groups = c
        elif kind == "multiplier":
            groups, m = c, c * 2
        elif kind == "groups":
            groups = next(g for g in (4, 3, 2, 1) if c % g == 0)
            m = groups * int(self.random.integers(1, 9))
        dilation = int(self.pick(1, 1, 1, 1, 2, 3)) if max(kernel) > 1 else 1
        attributes["dilations"] = [dilation, dilation]
        if self.chance(6) and dilation == 1:
            attributes["auto_pad"] = self.pick("SAME_UPPER", "SAME_LOWER", "VALID")
        else:
            half = [k // 2 * dilation for k in kernel]
            attributes["pads"] = half + half if not self.chance(4) else [int(self.random.integers(0, k + 1)) for k in kernel + kernel]
        inputs = [self.weights(m, c // groups, *kernel)] + ([self.weights(m, scale=.3)] if not self.chance(3) else [])
        self.then("Conv", *inputs, group=groups, **attributes)
        self.tell(kind)
        if self.chance(3):
            self.norm()
        if not self.chance(3):
            self.activation()

    def norm(self):
        c, r = self.shape()[1], self.random
        parts = [r.uniform(.5, 1.5, c), r.standard_normal(c) * .3, r.standard_normal(c) * .3, r.uniform(.5, 2, c)]
        self.then("BatchNormalization", *[self.constant(p.astype(np.float32)) for p in parts], epsilon=1e-3)
        self.tell("norm")

    def activation(self):
        op, since, attributes = self.pick(*UNARIES)
        if self.chance(3):
            op, since, attributes = "Relu", 9, {}
        if op == "Floor" or since > self.opset:  # (the floor of a sum of many is not the same in any two engines)
            low, high = self.pick((0., 6.), (-1., 1.), (-.5, 3.))
            if self.opset < 11:
                self.then("Clip", min=low, max=high)
            else:
                self.then("Clip", self.constant(np.float32(low)), self.constant(np.float32(high)))
        else:
            self.then(op, **attributes)
        self.tell(op)

    def silu(self):
        x = self.x
        gate = self.then(self.pick("Sigmoid", "HardSigmoid", "Tanh"))
        self.node("Mul", *((x, gate) if self.chance(2) else (gate, x)))
        self.tell("silu")

    def spelt(self):
        """Gelu by Erf, or HardSwish by Clip."""
        x = self.x
        half = self.constant(np.float32(.5))
        if self.chance(2):
            self.then("Div", self.constant(np.float32(np.sqrt(2))))
            self.then("Erf")
            self.then("Add", self.constant(np.float32(1)))
            self.node("Mul", x, self.x)
            self.then("Mul", half)
        elif self.opset >= 11:
            self.then("Add", self.constant(np.float32(3)))
            self.then("Clip", self.constant(np.float32(0)), self.constant(np.float32(6)))
            self.node("Mul", x, self.x)
            self.then("Div", self.constant(np.float32(6)))
        else:
            return
        self.tell("spelt")

    def pool(self):
        kernel, attributes = self.window(int(self.pick(2, 3, 3)), (1, 2, 2, 3))
        op = self.pick("MaxPool", "AveragePool")
        if self.chance(2):
            attributes["pads"] = [int(self.random.integers(0, k)) for k in kernel + kernel]
        elif self.chance(3):
            attributes["auto_pad"] = self.pick("SAME_UPPER", "SAME_LOWER", "VALID")
        if self.opset >= 10 and "auto_pad" not in attributes:
            attributes["ceil_mode"] = int(self.chance(2))
        if op == "MaxPool" and self.chance(5) and self.opset >= 10 and "auto_pad" not in attributes:
            attributes["dilations"] = [2, 2]
        if op == "AveragePool":
            attributes["count_include_pad"] = int(self.chance(2))
        self.then(op, **attributes)
        self.tell(op)

    def other(self, fits):
        found = [m for m in self.maps if fits(self.shape(m))]
        if not found:
            raise ValueError("nothing fits")
        return found[int(self.random.integers(len(found)))]

    def pair(self):
        """Two maps of one shape, or one that broadcasts."""
        _, c, h, w = self.shape()
        x = self.x
        kind = self.pick("same", "same", "same", "mean", "cell", "row", "batch")
        if kind == "same":
            y = self.other(lambda s: s[2:] == (h, w) and (s[1] in (1, c) or True))
            if self.shape(y)[1] not in (1, c):
                y = self.node("Conv", y, self.weights(c, self.shape(y)[1], 1, 1))
        elif kind == "mean":
            y = self.axes("ReduceMean", x, [1], 18, keepdims=1)
        elif kind == "cell":
            y = self.node(self.pick("GlobalAveragePool", "GlobalMaxPool"), x)
        elif kind == "row":
            y = self.axes(self.pick("ReduceMax", "ReduceMean"), x, [int(self.pick(2, 3))], 18, keepdims=1)
        else:
            y = self.other(lambda s: s[2:] == (h, w) and s[1] == c)
        op = self.pick("Add", "Add", "Add", "Sub", "Mul", "Max", "Min", "Sum")
        if op in ("Max", "Min") and self.opset < 8:
            op = "Add"
        self.node(op, *((x, y) if self.chance(2) else (y, x)))
        self.tell(f"{op} {kind}")

    def affine(self):
        _, c, h, w = self.shape()
        shape = self.pick((), (1,), (c, 1, 1), (1, c, 1, 1), (1, 1, 1, 1))
        if not self.open_size and self.chance(2):
            shape = self.pick((w,), (h, 1), (1, h, w), (1, c, h, w))
        y = self.constant((self.random.standard_normal(shape) * .5 + 1).astype(np.float32))
        op = self.pick("Add", "Sub", "Mul", "Div")
        if op == "Div":
            y = self.constant(self.random.uniform(.5, 2, shape).astype(np.float32))
        inputs = (self.x, y) if op == "Div" or self.chance(2) else (y, self.x)
        if self.chance(6) and self.opset >= 9:
            self.then("PRelu", self.constant((self.random.uniform(0, .5, (c, 1, 1))).astype(np.float32)))
        else:
            self.node(op, *inputs)
        self.tell(f"{op} constant")

    def join(self):
        _, c, h, w = self.shape()
        axis = self.pick(1, 1, 1, 2, 3)
        parts = [self.x]
        for _ in range(int(self.random.integers(1, 3))):
            parts.append(self.other(lambda s: all(s[d] == (c, h, w)[d - 1] for d in (1, 2, 3) if d != axis)))
        self.random.shuffle(parts)
        self.node("Concat", *parts, axis=int(self.pick(axis, axis - 4)))
        self.tell(f"join{axis}")

    def gate(self):
        _, c, _, _ = self.shape()
        x, inner = self.x, max(1, c // 4)
        if self.chance(2):
            self.then("GlobalAveragePool")
        else:
            self.axes("ReduceMean", x, [2, 3], 18, keepdims=1)
        if self.chance(3):
            self.reshape(self.x, 2, c)
            self.then("Gemm", self.weights(inner, c), self.weights(inner), transB=1)
            self.then("Relu")
            self.then("MatMul", self.weights(inner, c))
            self.then("Sigmoid")
            self.reshape(self.x, 2, c, 1, 1)
        else:
            self.then("Conv", self.weights(inner, c, 1, 1), self.weights(inner))
            self.then("Relu")
            self.then("Conv", self.weights(c, inner, 1, 1), self.weights(c))
            self.then(self.pick("Sigmoid", "HardSigmoid"))
        gate = self.x
        self.node("Mul", *((x, gate) if self.chance(2) else (gate, x)))
        self.tell("gate")

    def slice(self, starts, ends, axes, steps=None):
        if self.opset < 10:
            if steps:
                raise ValueError("no steps")
            return self.then("Slice", starts=starts, ends=ends, axes=axes)
        inputs = [self.ints(*starts), self.ints(*ends), self.ints(*axes)] + ([self.ints(*steps)] if steps else [])
        return self.then("Slice", *inputs)

    def cut(self):
        _, c, h, w = self.shape()
        if self.chance(3):
            axis = int(self.pick(1, 2, 3))
            size = self.shape()[axis]
            self.slice([int(self.random.integers(0, size))], [2 ** 62], [axis])
        elif self.chance(2):
            self.slice([int(self.pick(0, 1)), int(self.pick(0, 1))], [h, w], [2, -1], [2, 2])
        elif self.chance(2):
            self.slice([-1], [-(2 ** 62)], [int(self.pick(1, 2, 3))], [-1])
        else:
            self.then("Gather", self.constant(self.random.integers(0, c, int(self.random.integers(1, c + 1)))), axis=1)
        self.tell("cut")

    def split(self):
        _, c, _, _ = self.shape()
        if c < 2:
            return
        first = int(self.random.integers(1, c))
        if self.opset < 13:
            a, b = self.then("Split", outputs=2, axis=1, split=[first, c - first])
        else:
            a, b = self.then("Split", self.ints(first, c - first), outputs=2, axis=1)
        self.x = b
        self.tell("split")
        self.x = a
        self.tell("split")
        if self.chance(2):
            self.node("Concat", b, a, axis=1)
            self.tell("swap")

    def resize(self):
        _, c, h, w = self.shape()
        if self.opset < 11:
            if self.opset >= 10:
                return
            self.then("Upsample", self.constant(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
            self.tell("upsample")
            return
        mode = self.pick("nearest", "nearest", "linear", "linear", "cubic")
        place = self.pick("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
        attributes = dict(mode=mode, coordinate_transformation_mode=place)
        if mode == "nearest":
            attributes["nearest_mode"] = self.pick("round_prefer_floor", "floor", "ceil", "round_prefer_ceil")
        roi = self.constant(np.zeros(0, np.float32)) if self.opset < 13 else ""
        if (place == "align_corners" or self.chance(2)) and not self.open_size:
            sizes = self.ints(2, c, max(1, int(h * self.pick(.5, 1, 1.5, 2))), max(1, int(w * self.pick(.7, 1, 2))))
            if self.batch not in (2,):
                raise ValueError("the batch is part of the sizes")
            empty = self.constant(np.zeros(0, np.float32)) if self.opset < 13 else ""
            self.then("Resize", roi, empty, sizes, **attributes)
        else:
            scales = np.array([1, 1, self.pick(.5, 2, 1.5), self.pick(.5, 2, 3)], np.float32)
            self.then("Resize", roi, self.constant(scales), **attributes)
        self.tell(f"resize {mode} {place}")

    def pad(self):
        pads = [0, 0] + [int(self.random.integers(0, 3)) for _ in range(2)]
        pads += [0, 0] + [int(self.random.integers(0, 3)) for _ in range(2)]
        mode, value = self.pick("constant", "constant", "reflect", "edge"), float(self.pick(0, 0, 1.5, -2))
        if self.opset < 11:
            self.then("Pad", pads=pads, mode=mode, value=value)
        else:
            self.then("Pad", self.ints(*pads), self.constant(np.float32(value)), mode=mode)
        self.tell(f"pad {mode}")

    def shuffle(self):
        _, c, h, w = self.shape()
        groups = next(g for g in (4, 3, 2, 1) if c % g == 0)
        x = self.x
        self.reshape(x, 2, groups, c // groups, h, w, like=(x, {3: 2, 4: 3}))
        self.then("Transpose", perm=[0, 2, 1, 3, 4])
        self.reshape(self.x, 2, c, h, w, like=(x, {3: 3, 2: 2}))
        self.tell("shuffle")

    def space(self):
        _, c, h, w = self.shape()
        if c % 4 == 0 and self.chance(2):
            self.then("DepthToSpace", blocksize=2, **({"mode": self.pick("DCR", "CRD")} if self.opset >= 11 else {}))
        elif h % 2 == 0 and w % 2 == 0:
            self.then("SpaceToDepth", blocksize=2)
        else:
            return
        self.tell("space")

    def lrn(self):
        self.then("LRN", size=int(self.pick(3, 5)), alpha=.1, beta=.75, bias=1.)
        self.tell("lrn")

    def instance(self):
        c = self.shape()[1]
        self.then("InstanceNormalization", self.constant(self.random.uniform(.5, 1.5, c).astype(np.float32)), self.weights(c),
                  epsilon=1e-2)
        self.tell("instance")

    def quantised(self):
        """To u8 or s8 and back: on the grid's middle is nothing (values are scaled by odd numbers)."""
        if self.opset < 10:
            return
        zero, scale = self.pick((np.uint8(128), .05), (np.int8(3), .04), (np.uint8(0), .031))
        inputs = [self.constant(np.float32(scale)), self.constant(zero)]
        name = self.name("quantized")
        self.nodes.append(helper.make_node("QuantizeLinear", [self.x] + inputs, [name]))
        out = self.name("dequantized")
        self.nodes.append(helper.make_node("DequantizeLinear", [name] + inputs, [out]))
        self.shapes[out] = self.shape()
        self.x = out
        self.tell("quantised")

    def reduced(self):
        """A norm over the channels."""
        x = self.x
        self.axes("ReduceL2", x, [1], 18, keepdims=1)
        self.then("Add", self.constant(np.float32(.1)))
        self.node("Div", x, self.x)
        self.tell("normed")

    def transposes(self):
        """Turned twice, something between."""
        p = [0] + [int(i) for i in 1 + self.random.permutation(3)]
        self.then("Transpose", perm=p)
        if self.chance(2):
            self.then("Softmax", axis=int(self.pick(1, 2, 3)) if self.opset >= 13 else 3)
        elif self.chance(2):
            self.then("Relu")
        self.then("Transpose", perm=[int(i) for i in np.argsort(p)])
        self.tell(f"turned {p}")

    def layer_norm(self, d):
        scale = self.constant(self.random.uniform(.5, 1.5, d).astype(np.float32))
        bias = self.weights(d)
        if self.opset >= 17:
            return self.then("LayerNormalization", scale, bias, axis=-1, epsilon=1e-3)
        x = self.x
        mean = self.axes("ReduceMean", x, [-1], 18)
        centred = self.node("Sub", x, mean)
        self.then("Pow", self.constant(np.float32(2))) if self.chance(2) else self.node("Mul", centred, centred)
        self.axes("ReduceMean", self.x, [-1], 18)
        self.then("Add", self.constant(np.float32(1e-3)))
        self.then("Sqrt")
        self.node("Div", centred, self.x)
        self.then("Mul", scale)
        return self.then("Add", bias)

    def channels_last(self):
        """As ConvNeXt has it."""
        _, c, h, w = self.shape()
        self.then("Transpose", perm=[0, 2, 3, 1])
        self.layer_norm(c)
        if self.chance(2):
            self.then("MatMul", self.weights(c, 2 * c, scale=1 / np.sqrt(c)))
            self.then("Add", self.weights(2 * c))
            self.then(*self.pick(("Relu",), ("Tanh",)))
            self.then("MatMul", self.weights(2 * c, c))
        self.then("Transpose", perm=[0, 3, 1, 2])
        self.tell("channels last")

    def tokens(self):
        """Maps to tokens, attention, and back."""
        _, c, h, w = self.shape()
        if h * w > 400:
            return
        heads = next(g for g in (4, 3, 2, 1) if c % g == 0)
        d, t, grid = c // heads, h * w, self.x
        self.flat(c, t)
        x = self.then("Transpose", perm=[0, 2, 1])
        self.layer_norm(c)
        self.then("MatMul", self.weights(c, 3 * c, scale=1 / np.sqrt(c)))
        self.then("Add", self.weights(3 * c))
        qkv = self.reshape(self.x, 2, t, 3, heads, d, like=(x, {1: 1}))
        if self.chance(2):
            qkv = self.node("Transpose", qkv, perm=[2, 0, 3, 1, 4])
            q, k, v = [self.node("Gather", qkv, self.constant(np.int64(i)), axis=0) for i in range(3)]
        else:
            parts = [self.node("Gather", qkv, self.constant(np.int64(i)), axis=2) for i in range(3)]
            q, k, v = [self.node("Transpose", part, perm=[0, 2, 1, 3]) for part in parts]
        k = self.node("Transpose", k, perm=[0, 1, 3, 2])
        self.node("MatMul", q, k)
        self.then("Mul", self.constant(np.float32(d ** -.5)))
        if self.chance(3) and not self.open_size:
            self.then("Add", self.weights(1, heads, t, t, scale=.5))
        self.then("Softmax", axis=-1 if self.opset >= 13 else 3)
        self.node("MatMul", self.x, v)
        self.then("Transpose", perm=[0, 2, 1, 3])
        self.reshape(self.x, 2, t, c, like=(x, {1: 1}))
        self.then("MatMul", self.weights(c, c, scale=1 / np.sqrt(c)))
        if self.chance(3):
            self.then("Mul", self.weights(c, scale=1))
        self.node("Add", x, self.x)
        self.then("Transpose", perm=[0, 2, 1])
        self.reshape(self.x, 2, c, h, w, like=(grid, {2: 2, 3: 3}))
        self.tell("tokens")

    def flat(self, c, t):
        """[N, C, H, W] to [N, C, H W]."""
        name, rest = self.name("flat"), t if not self.open_size else -1
        self.nodes.append(helper.make_node("Reshape", [self.x, self.ints(0, c, rest)], [name]))
        self.shapes[name] = (2, c, t)
        self.x = name

    # ---- The end ---------------------------------------------------------------------------------------------------------

    def head(self):
        if len(self.shape()) != 4:
            self.x = self.maps[-1]
        _, c, h, w = self.shape()
        k = int(self.random.integers(2, 20))
        kind = self.pick("pooled", "pooled", "pooled", "mean", "conv", "flat", "max", "tokens")
        if kind == "flat" and (c * h * w > 20000 or self.open_size):
            kind = "pooled"
        if kind == "conv":
            self.then("Conv", self.weights(k, c, 1, 1), self.weights(k))
            self.then("GlobalAveragePool")
            self.then("Flatten")
        elif kind == "flat":
            self.then("Flatten") if self.chance(2) else self.reshape(self.x, 2, c * h * w)
            self.then("Gemm", self.weights(k, c * h * w), self.weights(k), transB=1)
        elif kind == "tokens":
            self.flat(c, h * w)
            self.then("Transpose", perm=[0, 2, 1])
            self.layer_norm(c)
            self.axes("ReduceMean", self.x, [1], 18, keepdims=0)
            self.then("Gemm", self.weights(c, k, scale=1 / np.sqrt(c)), self.weights(k))
        else:
            if kind == "mean":
                self.axes("ReduceMean", self.x, [2, 3], 18, keepdims=int(self.chance(2)))
            else:
                self.then("GlobalMaxPool" if kind == "max" else "GlobalAveragePool")
            if len(self.shape()) == 4:
                how = self.pick("flatten", "reshape", "squeeze")
                if how == "flatten":
                    self.then("Flatten", axis=1)
                elif how == "reshape":
                    self.reshape(self.x, 2, c)
                else:
                    self.axes("Squeeze", self.x, [2, 3], 13)
            if self.chance(3):
                self.then("Gemm", self.weights(c, c), self.weights(c), transB=1)
                self.then("Relu")
            if self.chance(4):
                self.then("Dropout")
            if self.chance(2):
                self.then("Gemm", self.weights(k, c), self.weights(k), transB=1)
            else:
                self.then("MatMul", self.weights(c, k, scale=1 / np.sqrt(c)))
                self.then("Add", self.weights(k))
        end = self.pick("", "", "", "Softmax", "Sigmoid", "LogSoftmax")
        if end:
            self.then(end, **({"axis": 1} if end != "Sigmoid" else {}))
        self.tell(f"{kind} {end}")

    def file(self):
        _, c, h, w = self.dims
        sizes = ["H", "W"] if self.open_size else [h, w]
        dims = [self.batch, *sizes, c] if self.nhwc else [self.batch, c, *sizes]
        batch = self.batch
        graph = helper.make_graph(self.nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
                                  [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, [batch, None])], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
