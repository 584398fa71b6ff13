"""Small networks node by node, and what onnxruntime computes with them."""
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
CASES = []


class Net:
    """A chain of nodes: each call appends one and moves on; x is the name of the last output."""

    def __init__(self, channels=4, height=9, width=11, opset=13, batch="N", n=2, seed=1, weights=np.float32):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.opset, self.dtype = [], [], opset, weights
        self.dims, self.size, self.x = [batch, channels, height, width], (n, channels), "x"
        self.count = 0

    def name(self, what):
        self.count += 1
        return f"{what.lower()}{self.count}"

    def constant(self, array, node=False):
        name = self.name("c")
        tensor = numpy_helper.from_array(np.asarray(array), name)
        if node:
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.constants.append(tensor)
        return name

    def weights(self, *shape, scale=None):
        scale = scale or 1 / np.sqrt(max(1, np.prod(shape[1:])))
        return self.constant((self.random.standard_normal(shape) * scale).astype(self.dtype))

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def node(self, op, *inputs, domain="", **attributes):
        """A node on explicit inputs; its output becomes x."""
        out = self.name(op)
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=f"{op}_{self.count}", domain=domain, **attributes))
        self.x = out
        return out

    def then(self, op, *more, **attributes):
        return self.node(op, self.x, *more, **attributes)

    def conv(self, c_in, c_out, kernel, bias=True, groups=1, **attributes):
        kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        inputs = [self.weights(c_out, c_in // groups, *kernel)] + ([self.weights(c_out, scale=.5)] if bias else [])
        if groups > 1:
            attributes["group"] = groups
        return self.then("Conv", *inputs, **attributes)

    def norm(self, channels):
        r = self.random
        parts = [r.uniform(.5, 1.5, channels), r.standard_normal(channels), r.standard_normal(channels),
                 r.uniform(.3, 2, channels)]
        return self.then("BatchNormalization", *[self.constant(p.astype(np.float32)) for p in parts], epsilon=1e-3)

    def linear(self, k, n, **attributes):
        return self.then("Gemm", self.weights(n, k), self.weights(n, scale=.5), transB=1, **attributes)

    def flatten(self):
        return self.then("Flatten", axis=1)

    def save(self, name, h=None, w=None, golden=None):
        """h, w: the golden input's size where the file leaves it open; golden: a Net to compute the answer with."""
        n, c = self.size
        h, w = h or self.dims[2], w or self.dims[3]
        x = np.random.default_rng(7).standard_normal((n, c, h, w)).astype(np.float32)
        model = self.model()
        y = run(model if golden is None else golden.model(), x)
        onnx.save(model, HERE / f"{name}.onnx")
        (HERE / f"{name}.f32").write_bytes(x.tobytes() + y.tobytes())
        assert np.isfinite(y).all() and (y.size < 4 or y.std() > 0), name
        CASES.append(f"{name} {n} {c} {h} {w} {y.size}")

    def model(self):
        opsets = [helper.make_opsetid("", self.opset)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid("ai.infomask", 1))
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.dims)]
        if self.opset < 9:  # such files list their weights as inputs
            inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in self.constants]
        graph = helper.make_graph(self.nodes, "net", inputs,
                                  [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, None)], self.constants)
        return helper.make_model(graph, opset_imports=opsets, ir_version=3 if self.opset < 9 else 8)


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].astype(np.float32)
