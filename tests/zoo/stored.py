"""The same network with its weights stored as files of smaller precisions have them.

stored(model, how, random) gives a copy, or None where the opset has no operator for it:

    f16, bf16   the weights of products and convolutions in half precision, each behind a Cast to float32
    int8        the weights as int8 behind a DequantizeLinear, a scale a tensor, or one an output channel (opset 13)
    qdq         that, and the operands of products and convolutions through QuantizeLinear and DequantizeLinear as uint8

How far may two engines differ?  f16, bf16, int8: the rounding is in the file, and both compute in float32 with the same
numbers: as far as with float32 weights.  qdq: an operand next to the border between two steps may fall to either side by a
last bit, one step of 1/255 of its range, and what it moves may push others over a border behind it; most of the operands of a
product do not lie there, and their steps do not add up but average.  BOUND has a twentieth of the outputs' spread for it, which
is what the service asks of such files when they are added.
"""
import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

HOWS = ("f32", "f16", "bf16", "int8", "qdq")
BOUND = {"f32": 2e-4, "f16": 2e-4, "bf16": 2e-4, "int8": 2e-4, "qdq": 5e-2}
LEAST_OPSET = {"f32": 1, "f16": 9, "bf16": 13, "int8": 10, "qdq": 10}
PRODUCTS = ("Conv", "Gemm", "MatMul")


def bfloat16(name, w):
    bits = np.ascontiguousarray(w, "<f4").view("<u4")
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")  # to nearest even
    return helper.make_tensor(name, TensorProto.BFLOAT16, w.shape, rounded.tobytes(), raw=True)


def dequantized(name, w, by_channel):
    """Constants and the node that make w from int8."""
    axes = tuple(range(1, w.ndim)) if by_channel else None
    scale = np.maximum(np.abs(w).max(axis=axes), 1e-6).astype(np.float32) / np.float32(127)
    wide = scale.reshape((-1,) + (1,) * (w.ndim - 1)) if by_channel else scale
    whole = np.clip(np.rint(w / wide), -127, 127).astype(np.int8)
    constants = [numpy_helper.from_array(whole, name + "_s8"), numpy_helper.from_array(np.asarray(scale), name + "_scale")]
    node = helper.make_node("DequantizeLinear", [name + "_s8", name + "_scale"], [name], **({"axis": 0} if by_channel else {}))
    return constants, node


def weights(model, how, random):
    """The weights of products become nodes."""
    opset = model.opset_import[0].version
    used = {i for node in model.graph.node if node.op_type in PRODUCTS for i in node.input[1:2]}
    kept, nodes = [], []
    for constant in model.graph.initializer:
        w = numpy_helper.to_array(constant)
        if constant.name not in used or w.dtype != np.float32 or w.ndim < 2:
            kept.append(constant)
        elif how in ("f16", "bf16"):
            half = (numpy_helper.from_array(w.astype(np.float16), constant.name + "_half") if how == "f16"
                    else bfloat16(constant.name + "_half", w))
            kept.append(half)
            nodes.append(helper.make_node("Cast", [half.name], [constant.name], to=TensorProto.FLOAT))
        else:
            constants, node = dequantized(constant.name, w, opset >= 13 and bool(random.integers(2)))
            kept += constants
            nodes.append(node)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return nodes


def operands(model):
    """The operands of products go through uint8, over -4 to 4."""
    nodes, zero, scale = [], "operand_zero", "operand_scale"
    model.graph.initializer.extend([numpy_helper.from_array(np.array(128, np.uint8), zero),
                                    numpy_helper.from_array(np.float32(8 / 255).reshape(()), scale)])
    computed = {o for node in model.graph.node for o in node.output} | {i.name for i in model.graph.input}
    for at, node in enumerate(model.graph.node):
        if node.op_type in PRODUCTS and node.input[0] in computed and node.input[0] not in {i.name for i in model.graph.input}:
            nodes.append(helper.make_node("QuantizeLinear", [node.input[0], scale, zero], [f"q{at}"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"q{at}", scale, zero], [f"dq{at}"]))
            node.input[0] = f"dq{at}"
        nodes.append(node)
    return nodes


def stored(model, how, random):
    if how == "f32":
        return model
    if model.opset_import[0].version < LEAST_OPSET[how]:
        return None
    copy = ModelProto()
    copy.CopyFrom(model)
    nodes = weights(copy, how, random)
    nodes += operands(copy) if how == "qdq" else list(copy.graph.node)
    made = [type(node)() for node in nodes]
    for to, node in zip(made, nodes):
        to.CopyFrom(node)
    del copy.graph.node[:]
    copy.graph.node.extend(made)
    return copy
