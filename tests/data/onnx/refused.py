"""Files that must be refused: each with its status and words of its sentence."""
import numpy as np
from onnx import TensorProto, helper

from net import HERE, Net

REFUSALS = []


def refuse(name, status, words, net=None, model=None, change=None, data=None):
    """A file that is refused with that status, by a sentence that holds those words."""
    model = model or (net.model() if net else None)
    if change:
        change(model)
    (HERE / f"bad_{name}.onnx").write_bytes(data if data is not None else model.SerializeToString())
    REFUSALS.append(f"bad_{name} {status} {words}")


def small():
    net = Net()
    net.conv(4, 5, 3)
    net.then("Relu")
    net.then("GlobalAveragePool")
    net.flatten()
    net.linear(5, 3)
    return net


def branching(net, condition, branch):
    """An If of two equal branches."""
    net.node("If", condition, then_branch=branch, else_branch=branch)
    return net


def branch_of(*nodes):
    """The nodes as a branch, whose output is the last one's."""
    out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), "branch", [], [out])


def refusals():
    bad, unsupported, limit = "bad_model", "unsupported_model", "limit"

    def initializer(model, i, **fields):
        for key, value in fields.items():
            if key == "dims":
                del model.graph.initializer[i].dims[:]
                model.graph.initializer[i].dims.extend(value)
            else:
                setattr(model.graph.initializer[i], key, value)

    def attribute(model, node, name, ints):
        for a in model.graph.node[node].attribute:
            if a.name == name:
                del a.ints[:]
                a.ints.extend(ints)

    net = small()
    net.then("Loop")
    refuse("operator", unsupported, "operators that are not supported: Loop (1 node)", net)
    net = small()
    net.node("Relu", net.x, domain="com.example")
    refuse("domain", unsupported, "operators that are not supported: com.example.Relu (1 node)", net)
    net = small()
    net.node("Conv", net.x, domain="com.microsoft.nchwc")
    refuse("blocked", unsupported, "operators that are not supported: com.microsoft.nchwc.Conv (1 node) (onnxruntime has written this "
           "file for one kind of processor: take the file that it was made from)", net)
    net = small()
    for name in ["GridSample", "Hardmax", "GridSample"]:
        net.then(name)
    refuse("operators", unsupported, "operators that are not supported: GridSample (2 nodes), Hardmax (1 node)", net)
    net = small()
    net.node("QLinearGlobalAveragePool", net.x, net.weights(1), net.x, net.weights(1), domain="com.microsoft", channels_last=1)
    refuse("composite_last", unsupported, "channels that come last", net)
    net = small()
    net.node("QLinearConcat", net.weights(1), net.ints(0), net.x, net.weights(1), net.ints(0), net.x, domain="com.microsoft", axis=1)
    refuse("composite_inputs", unsupported, "it has 6 inputs", net)
    net = small()
    zero = net.node("ReduceMax", net.x, keepdims=0)
    net.node("QuantizeLinear", "x", net.constant(np.float32(.1)), net.node("Cast", zero, to=TensorProto.INT8))
    net.then("DequantizeLinear", net.constants[-1].name)
    refuse("zero_computed", unsupported, "its zero point is computed while the network runs", net)
    whole = lambda *shape: net.constant(np.ones(shape, np.uint8))
    for name, status, words, inputs, attributes in (
            ("blocks_order", unsupported, "another order (g_idx)", lambda: [whole(3, 1, 4), net.weights(3), "", whole(3)], dict(K=3, N=3, block_size=8)),
            ("blocks_bits", unsupported, "2, 4 and 8 bits", lambda: [whole(3, 1, 4), net.weights(3)], dict(K=3, N=3, block_size=8, bits=3)),
            ("blocks_fit", bad, "do not fit K, N and block_size", lambda: [whole(3, 1, 4), net.weights(2)], dict(K=3, N=3, block_size=8)),
            ("blocks_sides", bad, "its K, N or block_size is wrong", lambda: [whole(3, 1, 4), net.weights(3)], dict(K=3, N=1 << 40, block_size=8)),
            ("blocks_zeros", bad, "its zero points do not fit", lambda: [whole(3, 1, 4), net.weights(3), whole(4)], dict(K=3, N=3, block_size=8)),
            ("blocks_computed", unsupported, "weights of the file only", lambda: [net.x, net.weights(3)], dict(K=3, N=3, block_size=8))):
        net = small()
        net.node("MatMulNBits", net.x, *inputs(), domain="com.microsoft", **attributes)
        refuse(name, status, words, net)
    for name, op, values, scales in (("bytes_nbits", "MatMulNBits", np.full((3, 1, 4), 300, np.int32), 3),
                                     ("bytes_bnb4", "MatMulBnb4", np.full(5, 1e20, np.float32), 2)):
        net = small()
        net.node(op, net.x, net.constant(values), net.weights(scales), domain="com.microsoft", K=3, N=3, block_size=8)
        refuse(name, bad, "input 1 holds what is no byte", net)
    net = small()
    net.node("MatMul", net.x, net.node("DequantizeLinear", whole(3, 3), net.weights(1, 3), axis=0, block_size=2))
    refuse("blocks_scales", bad, "do not fit blocks of 2", net)
    net = small()
    net.then("QuantizeLinear", net.weights(1, 1), block_size=3)
    refuse("blocks_quantised", unsupported, "weights of the file only", net)
    net = small()
    net.then("LpPool", kernel_shape=[2, 2], p=0)
    refuse("composite_root", bad, "its kernel or p is wrong", net)
    net = small()
    net.then("Einsum", net.weights(4, 2), equation="...d,de")
    refuse("composite_dots", unsupported, "dimensions of one name that differ", net)
    net = small()
    net.then("Relu", mood=3)
    refuse("attribute", unsupported, "attribute 'mood'", net)
    net = small()
    net.then("AveragePool", **{" auto_pad": 3})  # as it stands at the start of the list of known ones
    refuse("attribute_space", unsupported, "attribute ' auto_pad'", net)
    refuse("opset_old", unsupported, "opset 6", small(), change=lambda m: setattr(m.opset_import[0], "version", 6))
    refuse("opset_new", unsupported, "opset 99", small(), change=lambda m: setattr(m.opset_import[0], "version", 99))
    refuse("ir", unsupported, "IR version 99", small(), change=lambda m: setattr(m, "ir_version", 99))
    refuse("no_output", bad, "no output", small(), change=lambda m: m.graph.ClearField("output"))
    net = Net()
    net.then("Add", "relu2")
    net.then("Relu")
    refuse("cycle", bad, "missing, or made only behind it", net)
    refuse("missing_weights", bad, "is missing", small(), change=lambda m: m.graph.initializer.pop(0))
    refuse("twice", bad, "twice", small(),
           change=lambda m: m.graph.node[1].output.__setitem__(0, m.graph.node[0].output[0]) or
           m.graph.node[2].input.__setitem__(0, m.graph.node[0].output[0]))
    refuse("weights_twice", bad, "there twice", small(), change=lambda m: m.graph.initializer.append(m.graph.initializer[0]))
    refuse("dims_negative", bad, "wrong shape", small(), change=lambda m: initializer(m, 0, dims=[-5, 4, 3, 3]))
    refuse("dims_overflow", bad, "wrong shape", small(),
           change=lambda m: initializer(m, 0, dims=[1 << 30, 1 << 30, 1 << 30, 16]))
    refuse("dims_rank", unsupported, "dimensions", small(), change=lambda m: initializer(m, 0, dims=[1] * 9))
    refuse("data_short", bad, "not what its shape says", small(),
           change=lambda m: initializer(m, 0, raw_data=m.graph.initializer[0].raw_data[:-4]))
    refuse("data_none", bad, "0 elements", small(), change=lambda m: m.graph.initializer[0].ClearField("raw_data"))
    refuse("data_type", unsupported, "data type 8", small(), change=lambda m: initializer(m, 0, data_type=8))

    def outside(model, location):
        model.graph.initializer[0].data_location = 1
        entry = model.graph.initializer[0].external_data.add()
        entry.key, entry.value = "location", location

    refuse("external", bad, "outside the model's folder", small(), change=lambda m: outside(m, "../net.py"))
    refuse("external_root", bad, "outside the model's folder", small(), change=lambda m: outside(m, "/etc/passwd"))
    refuse("external_missing", bad, "cannot be read", small(), change=lambda m: outside(m, "weights.bin"))
    refuse("not_finite", bad, "not finite", small(),
           change=lambda m: initializer(m, 0, raw_data=b"\0\0\xc0\x7f" + m.graph.initializer[0].raw_data[4:]))
    refuse("weights_rank", bad, "four dimensions", small(), change=lambda m: initializer(m, 0, dims=[180]))
    refuse("channels", bad, "do not fit weights", small(), change=lambda m: initializer(m, 0, dims=[5, 3, 3, 4]))
    net = Net()
    net.conv(4, 5, 3, strides=[0, 1])
    refuse("stride", bad, "strides", net)
    net = Net()
    net.conv(4, 5, 3, pads=[-1, 0, 0, 0])
    refuse("pads", bad, "pads", net)
    net = Net()
    net.conv(4, 4, 3, dilations=[1 << 40, 1])
    refuse("dilation", bad, "dilations", net)
    net = Net()
    net.conv(4, 4, 10)
    refuse("too_large", bad, "does not fit an input of 9", net)
    net = Net()
    net.then("Add", "y")
    model = net.model()
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 9, 11]))
    refuse("two_inputs", unsupported, "more than one input", model=model)
    net = Net()
    net.flatten()
    net.linear(7, 3)
    refuse("linear", bad, "do not fit weights", net)
    net = Net()
    net.then("Dropout", net.constant(np.float32(.5)), net.constant(np.bool_(True)))
    refuse("training", unsupported, "training mode", net)
    net = Net()
    net.then("ReduceMax", keepdims=0)
    negative = net.node("Greater", net.constant(np.float32(0)), net.x)
    refuse("condition", unsupported, "its condition is computed while the network runs",
           branching(net, negative, branch_of(helper.make_node("Relu", ["x"], ["chosen"]))))
    net = Net()
    refuse("branch", unsupported, "operator Hardmax (node 'h')",
           branching(net, net.constant(np.bool_(True)), branch_of(helper.make_node("Hardmax", ["x"], ["chosen"], name="h"))))
    net = Net()
    refuse("branch_output", bad, "nothing in its branch makes",
           branching(net, net.constant(np.bool_(True)), branch_of(helper.make_node("Relu", ["x"], ["chosen"]))),
           change=lambda m: [setattr(a.g.output[0], "name", "nobody") for a in m.graph.node[0].attribute])
    net = Net()
    truth = net.constant(np.bool_(True))
    branch = branch_of(helper.make_node("Relu", ["x"], ["deepest"]))
    for i in range(4):
        branch = branch_of(helper.make_node("If", [truth], [f"level{i}"], then_branch=branch, else_branch=branch))
    refuse("deep", limit, "graphs more than 4 deep", branching(net, truth, branch))
    net = Net()
    net.then("Div", net.constant(np.float32(0)))
    refuse("zero", bad, "divides by zero", net)
    net = Net()  # 4 MB of constants from a file of 4 KB, doubled at each step
    c = net.weights(1, 1 << 10)
    for _ in range(20):
        c = net.node("Concat", c, c, axis=1)
    net.node("Flatten", "x")
    net.node("Add", net.x, c)
    refuse("bomb", limit, "beyond what the size of its file allows", net)
    net = Net()
    net.then("Constant")
    net.then("Relu")
    refuse("constant_output", bad, "", net, change=lambda m: m.graph.node[0].input.pop())
    refuse("text", bad, "not an ONNX model", data=b"<!DOCTYPE html><html><body>404</body></html>\n")
    refuse("cut", bad, "not an ONNX model", data=small().model().SerializeToString()[:-700])
