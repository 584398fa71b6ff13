#!/usr/bin/env python3
"""Makes the networks of this folder and what onnxruntime computes with them.

    make.py [NAME ...]     # with numpy, onnx and onnxruntime; names: only those that are of a few nodes, the others stay

Random networks (tests/zoo/nets.py) by their seeds, and networks that were wrong once, reduced.  For each NAME.onnx and
NAME.f32: the input [n, c, h, w] or [n, h, w, c], then the output, float32 little-endian.  cases.txt has one line a case:
name, n, h, w, numbers of the input, of the output.  Only who changes a case needs to run this.
"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "zoo"))
from nets import Net  # noqa: E402
from random_nets import session_of, theirs  # noqa: E402

# small ones among the first thousands, and those that were wrong: 1380 resized its batch
SEEDS = [1380, *range(20000, 20070)]
CASES = []
MICROSOFT = "com.microsoft"  # operators of onnxruntime's own
ONLY = set(sys.argv[1:])


def save(name, model, x, y, h, w):
    if ONLY and name not in ONLY:
        return
    path = HERE / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    if path.stat().st_size + x.nbytes > 24000:
        path.unlink()
        return
    (HERE / f"{name}.f32").write_bytes(x.astype("<f4").tobytes() + y.astype("<f4").tobytes())
    CASES.append(f"{name} {len(x)} {h} {w} {x.size} {y.size}")


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def special(name, nodes, constants, dims, n, h, w, opset=20, ir=9, truth=None, shape=None):
    """One of a few nodes from x to y; truth: the nodes that onnxruntime computes right, where it does not those."""
    model, right = (helper.make_model(
        helper.make_graph(steps, name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], constants),
        opset_imports=[helper.make_opsetid("", opset)] + ([helper.make_opsetid(MICROSOFT, 1)] if any(n.domain for n in steps) else []),
        ir_version=ir) for steps in (nodes, truth or nodes))
    last = len(dims) == 4 and (isinstance(dims[1], str) or dims[1:3] == [h, w])
    shape = shape or ((n, h, w, dims[3]) if last else (n, dims[1], h, w))
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    y = session_of(right).run(None, {"x": x})[0]  # (optimised, it leaves out what rounds)
    save(name, model, x if len(x) == n else x[None], y, h, w)


def head(x, c, k, seed):
    """A pooled head behind x, and its constants."""
    r = np.random.default_rng(seed)
    return ([helper.make_node("GlobalAveragePool", [x], ["pooled"]), helper.make_node("Flatten", ["pooled"], ["flat"]),
             helper.make_node("Gemm", ["flat", "w", "b"], ["y"], transB=1)],
            [constant("w", r.standard_normal((k, c)).astype(np.float32)), constant("b", r.standard_normal(k).astype(np.float32))])


def w_of(m, c):
    return (np.random.default_rng(m).standard_normal((m, c, 3, 3)) / 3).astype(np.float32)


def specials():
    node = helper.make_node
    r = np.random.default_rng(5)
    w = constant("conv", (r.standard_normal((8, 3, 3, 3)) / 5).astype(np.float32))
    conv = node("Conv", ["x", "conv"], ["map"], pads=[1, 1, 1, 1])
    # as PyTorch's exporter writes adaptive pooling of an open size: a view by indices that count the batch
    last = [constant("w", r.standard_normal((5, 8)).astype(np.float32)), constant("b", np.zeros(5, np.float32))]
    special("view_by_indices", [
        conv, node("Shape", ["x"], ["shape"], start=0, end=1), node("Squeeze", ["shape"], ["n"]),
        node("ReduceMean", ["map", "axes"], ["mean"], keepdims=1), node("Reshape", ["mean", "all"], ["list"]),
        node("Range", ["zero", "n", "one"], ["i"]), node("Mul", ["i", "channels"], ["start"]),
        node("Unsqueeze", ["start", "three"], ["column"]), node("Add", ["column", "row"], ["indices"]),
        node("Gather", ["list", "indices"], ["view"]), node("Reshape", ["view", "flat"], ["features"]),
        node("Gemm", ["features", "w", "b"], ["y"], transB=1)],
        [w, constant("axes", np.array([-1, -2])), constant("all", np.array([-1])), constant("zero", np.int64(0)),
         constant("one", np.int64(1)), constant("channels", np.int64(8)), constant("three", np.array([1, 2, 3])),
         constant("row", np.arange(8).reshape(1, 8, 1, 1)), constant("flat", np.array([-1, 8])), *last],
        ["N", 3, "H", "W"], 1, 9, 12)
    # whole numbers about four million: a LogSoftmax that adds its logarithm to such a maximum loses it
    nodes, constants = head("map", 8, 6, 7)
    nodes[-1].output[0] = "z"
    special("log_softmax_of_large", [conv, *nodes, node("Floor", ["z"], ["whole"]), node("Add", ["whole", "much"], ["far"]),
                                     node("LogSoftmax", ["far"], ["y"], axis=1)],
            [w, *constants, constant("much", np.float32(1 << 22))], ["N", 3, "H", "W"], 3, 7, 7)
    # a norm of zeros
    nodes, constants = head("normed", 8, 6, 8)
    special("norm_of_zeros", [conv, node("Relu", ["map"], ["positive"]), node("Mul", ["positive", "mask"], ["zeros"]),
                              node("LpNormalization", ["zeros"], ["normed"], axis=1), *nodes],
            [w, constant("mask", np.array([0, 1] * 3, np.float32).reshape(1, 1, 1, 6)), *constants], ["N", 3, 6, 6], 2, 6, 6)
    # integers clipped, as distances between places are
    nodes, constants = head("sum", 8, 6, 9)
    special("clip_of_integers", [conv, node("Clip", ["places", "low", "high"], ["near"]), node("Gather", ["table", "near"], ["bias"]),
                                 node("Add", ["map", "bias"], ["sum"]), *nodes],
            [w, constant("places", np.arange(-3, 3)), constant("low", np.int64(-1)), constant("high", np.int64(2)),
             constant("table", np.array([.5, -1, 2, .25], np.float32)), *constants], ["N", 3, 6, 6], 2, 6, 6)
    # attention in one node: three heads, keys shared by two
    for name, ins, more, attributes in (
            ("attention", ["q", "k", "v"], [], dict(q_num_heads=2, kv_num_heads=2)),
            ("attention_causal", ["q", "k", "v"], [], dict(q_num_heads=2, kv_num_heads=1, is_causal=1, softcap=2., scale=.7)),
            ("attention_mask", ["q", "k", "v", "mask"], [constant("mask", np.tri(20, 20, 3, bool) & (np.arange(20)[:, None] != 4))],
             dict(q_num_heads=2, kv_num_heads=2))):
        kv = 8 // 2 * attributes["kv_num_heads"]
        products = [constant(f"w{p}", (r.standard_normal((8, 8 if p == "q" else kv)) / 2).astype(np.float32)) for p in "qkv"]
        nodes, constants = head("last", 8, 6, 10)
        special(name, [conv, node("Reshape", ["map", "rows"], ["tokens"]), node("Transpose", ["tokens"], ["t"], perm=[0, 2, 1]),
                       *[node("MatMul", ["t", f"w{p}"], [p]) for p in "qkv"], node("Attention", ins, ["seen"], **attributes),
                       node("Transpose", ["seen"], ["back"], perm=[0, 2, 1]), node("Reshape", ["back", "map_shape"], ["last"]), *nodes],
                [w, constant("rows", np.array([0, 8, -1])), constant("map_shape", np.array([0, 8, 4, 5])), *products, *more,
                 *constants], ["N", 3, 4, 5], 2, 4, 5, opset=23, ir=11)


    # the mean of tokens, and of a map with its channels last: a pooled head all the same
    nodes, constants = head("map", 8, 6, 11)
    gemm = nodes[-1]
    for name, shape, perm, axes, opset in (("mean_of_tokens", [0, 8, 36], [0, 2, 1], [1], 20), ("mean_of_places", [0, 8, 6, 6], [0, 2, 3, 1], [1, 2], 17),
                                           ("mean_of_places_kept", [0, 8, 6, 6], [0, 2, 3, 1], [-2, 1], 20)):
        keeps = name.endswith("kept")
        mean = (node("ReduceMean", ["norm", "places"], ["mean"], keepdims=int(keeps)) if opset >= 18
                else node("ReduceMean", ["norm"], ["mean"], axes=axes, keepdims=0))
        last = [node("Reshape", ["mean", "flat_shape"], ["flat"])] if keeps else [node("Identity", ["mean"], ["flat"])]
        special(name, [conv, node("Reshape", ["map", "rows"], ["cut"]), node("Transpose", ["cut"], ["turned"], perm=perm),
                       node("LayerNormalization", ["turned", "gain"], ["norm"], axis=-1), mean, *last, gemm],
                [w, constant("rows", np.array(shape)), constant("gain", np.linspace(.5, 1.5, 8).astype(np.float32)),
                 *([constant("places", np.array(axes))] if opset >= 18 else []),
                 *([constant("flat_shape", np.array([0, 8]))] if keeps else []), *constants], ["N", 3, 6, 6], 2, 6, 6, opset=opset)

    # the same by a pooling of one dimension, which wants them last
    special("pool_of_tokens", [conv, node("Reshape", ["map", "rows"], ["cut"]), node("Transpose", ["cut"], ["tokens"], perm=[0, 2, 1]),
                               node("LayerNormalization", ["tokens", "gain"], ["norm"], axis=-1), node("Transpose", ["norm"], ["last"], perm=[0, 2, 1]),
                               node("GlobalAveragePool", ["last"], ["mean"]), node("Flatten", ["mean"], ["flat"]), gemm],
            [w, constant("rows", np.array([0, 8, 36])), constant("gain", np.linspace(.5, 1.5, 8).astype(np.float32)), *constants],
            ["N", 3, 6, 6], 2, 6, 6)

    # a window of as many places as there are channels, which sees all of a map whose size is open; and some that stick out at its end
    special("pool_beyond_map", [conv, node("AveragePool", ["map"], ["mean"], kernel_shape=[640, 640], strides=[640, 640], ceil_mode=1, count_include_pad=1),
                                node("Flatten", ["mean"], ["flat"]), gemm], [w, *constants], ["N", 3, "H", "W"], 2, 6, 6)
    # zeros before a window of one place, which sees nothing else at the edge
    special("pool_of_padded", [
        conv, node("Relu", ["map"], ["positive"]), node("Pad", ["positive", "rim"], ["padded"]),
        node("AveragePool", ["padded"], ["mean"], kernel_shape=[1, 1], strides=[2, 2]),
        node("Pad", ["positive", "rim"], ["more"]), node("MaxPool", ["more"], ["most"], kernel_shape=[1, 1], strides=[2, 2]), node("Add", ["mean", "most"], ["both"]),
        node("GlobalAveragePool", ["both"], ["pooled"]), node("Flatten", ["pooled"], ["flat"]), gemm],
            [w, constant("rim", np.array([0, 0, 1, 1, 0, 0, 2, 1])), *constants], ["N", 3, "H", "W"], 2, 6, 7)
    special("pools_that_stick_out", [
        conv, node("AveragePool", ["map"], ["mean"], kernel_shape=[7, 3], strides=[4, 2], ceil_mode=1, count_include_pad=1),
        node("MaxPool", ["map"], ["most"], kernel_shape=[8, 3], strides=[3, 2], ceil_mode=1), node("Add", ["mean", "most"], ["both"]),
        node("GlobalAveragePool", ["both"], ["pooled"]), node("Flatten", ["pooled"], ["flat"]), gemm], [w, *constants], ["N", 3, 6, 8], 2, 6, 8)

    # sizes that the file leaves open, and yet no square fits: the one that is asked for does
    special("only_this_size", [node("Conv", ["x", "conv"], ["map"], strides=[3, 3]), node("Reshape", ["map", "numbers"], ["flat"]),
                               node("Gemm", ["flat", "w", "b"], ["y"])],
            [w, constant("numbers", np.array([0, 48])), constant("w", (r.standard_normal((48, 5)) / 7).astype(np.float32)),
             constant("b", np.zeros(5, np.float32))], ["N", 3, "H", "W"], 2, 6, 11)

    # logits a thousand apart: their probabilities have no logarithm in float32
    nodes, constants = head("map", 8, 6, 12)
    nodes[-1].output[0] = "z"
    far = [conv, *nodes, node("Mul", ["z", "much"], ["far"])]
    special("log_of_softmax", [*far, node("Softmax", ["far"], ["p"], axis=1), node("Reshape", ["p", "row"], ["same"]),
                               node("Log", ["same"], ["y"])],
            [w, constant("much", np.float32(500)), constant("row", np.array([-1, 6])), *constants], ["N", 3, "H", "W"], 3, 7, 7,
            truth=[*far, node("LogSoftmax", ["far"], ["y"], axis=1)])
    # the window turned round, with all that moves it
    nodes, constants = head("third", 6, 5, 13)
    special("conv_transpose", [
        node("ConvTranspose", ["x", "first_w", "first_b"], ["first"], strides=[2, 3], pads=[1, 0, 2, 1], output_padding=[1, 2]),
        node("ConvTranspose", ["first", "second_w"], ["second"], group=2, dilations=[2, 1], strides=[1, 2], auto_pad="SAME_UPPER"),
        node("ConvTranspose", ["second", "third_w"], ["third"], strides=[3, 3], output_shape=[25, 40]), *nodes],
        [constant("first_w", (r.standard_normal((3, 8, 4, 5)) / 5).astype(np.float32)),
         constant("first_b", r.standard_normal(8).astype(np.float32)),
         constant("second_w", (r.standard_normal((8, 2, 3, 3)) / 5).astype(np.float32)),
         constant("third_w", (r.standard_normal((4, 6, 2, 4)) / 5).astype(np.float32)), *constants], ["N", 3, 4, 5], 2, 4, 5)
    nodes, constants = head("long", 4, 5, 14)
    special("conv_transpose_1d", [conv, node("Reshape", ["map", "rows"], ["row"]),
                                  node("ConvTranspose", ["row", "row_w"], ["longer"], strides=[2], pads=[1, 1]),
                                  node("Unsqueeze", ["longer", "last"], ["long"]), *nodes],
            [w, constant("rows", np.array([0, 8, -1])), constant("last", np.array([3])),
             constant("row_w", (r.standard_normal((8, 4, 3)) / 3).astype(np.float32)), *constants], ["N", 3, 4, 5], 2, 4, 5)
    # weights that are standardised by the training mode of a normalisation, as PyTorch's users write it
    nodes, constants = head("map", 8, 6, 15)
    special("standardised_weights", [
        node("BatchNormalization", ["conv", "ones", "zeros", "zeros", "ones"], ["standard", "mu", "var"],
             training_mode=1),
        node("Conv", ["x", "standard"], ["map"]), *nodes],
        [w, constant("ones", np.ones(3, np.float32)), constant("zeros", np.zeros(3, np.float32)), *constants],
        ["N", 3, "H", "W"], 2, 6, 7, opset=15, ir=8)
    # a mean over tokens by GlobalAveragePool; what is infinite is left out
    nodes, constants = head("mean", 8, 6, 16)
    special("infinite_tokens", [conv, node("Mul", ["map", "gain"], ["large"]), node("Mul", ["large", "gain"], ["wild"]), node("IsInf", ["wild"], ["over"]),
                                node("Where", ["over", "one", "wild"], ["tame"]), node("Reshape", ["tame", "rows"], ["tokens"]),
                                node("GlobalAveragePool", ["tokens"], ["token"]), node("Unsqueeze", ["token", "last"], ["mean"]), *nodes],
            [w, constant("gain", np.array([1, 3e38] * 3, np.float32).reshape(1, 1, 1, 6)), constant("one", np.float32(1)),
             constant("rows", np.array([0, 8, -1])), constant("last", np.array([3])), *constants], ["N", 3, 6, 6], 2, 6, 6)
    # a matrix of the file's own
    nodes, constants = head("mixed", 8, 6, 20)
    special("eye_like", [conv, node("EyeLike", ["square"], ["eye"], k=-1), node("EyeLike", ["square"], ["one"]),
                         node("Add", ["eye", "one"], ["mix"]), node("MatMul", ["map", "mix"], ["mixed"]), *nodes],
            [w, constant("square", np.zeros((6, 6), np.float32)), *constants], ["N", 3, 6, 6], 2, 6, 6)
    # channels last, scaled and padded before they are turned, as Keras' networks are exported
    nodes, constants = head("map", 8, 6, 19)
    special("scaled_channels_last", [
        node("Mul", ["x", "scale"], ["scaled"]), node("Sub", ["scaled", "mean"], ["shifted"]),
        node("Pad", ["shifted", "pads"], ["padded"]), node("Transpose", ["padded"], ["turned"], perm=[0, 3, 1, 2]),
        node("Conv", ["turned", "conv"], ["map"], strides=[2, 2]), *nodes],
        [w, constant("scale", np.float32(1 / 255)), constant("mean", np.array([.5, .4, .3], np.float32)),
         constant("pads", np.array([0, 0, 1, 0, 0, 1, 0, 0])), *constants], ["N", "H", "W", 3], 2, 7, 8)
    # channels first for a convolution, last for its norm and activation, as Keras 3 exports what it runs by PyTorch
    nodes, constants = head("map2", 8, 6, 23)
    own_r = np.random.default_rng(24)
    special("norm_channels_last", [
        node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2]), node("Conv", ["first", "conv"], ["map"], pads=[1, 1, 1, 1]),
        node("Transpose", ["map"], ["last"], perm=[0, 2, 3, 1]), node("Sub", ["last", "mean"], ["centred"]),
        node("Mul", ["centred", "factor"], ["scaled"]), node("Add", ["scaled", "summand"], ["normed"]),
        node("Clip", ["normed", "zero", "six"], ["clipped"]), node("Transpose", ["clipped"], ["back"], perm=[0, 3, 1, 2]),
        node("Conv", ["back", "conv2"], ["map2"], strides=[2, 2]), *nodes],
        [w, constant("mean", own_r.standard_normal(8).astype(np.float32)), constant("factor", own_r.uniform(.5, 2, 8).astype(np.float32)),
         constant("summand", own_r.standard_normal(8).astype(np.float32)), constant("zero", np.float32(0)), constant("six", np.float32(6)),
         constant("conv2", w_of(8, 8)), *constants], ["N", 8, 9, 3], 2, 8, 9)
    # one channel, whose turn is a Reshape, as Keras' networks of digits are exported; and no turn at all
    nodes, constants = head("map", 4, 6, 20)
    special("one_channel_last", [
        node("Mul", ["x", "scale"], ["scaled"]), node("Reshape", ["scaled", "first"], ["turned"]), node("Conv", ["turned", "one"], ["map"]), *nodes],
        [constant("scale", np.float32(1 / 255)), constant("first", np.array([-1, 1, 6, 7])), constant("one", w_of(4, 1)), *constants],
        ["N", 6, 7, 1], 2, 6, 7)
    special("product_of_places", [node("Flatten", ["x"], ["flat"]), node("Gemm", ["flat", "all", "b"], ["y"])],
            [constant("all", w_of(90, 5)[:, :, 0, 0]), constant("b", np.zeros(5, np.float32))], ["N", 5, 6, 3], 2, 5, 6)
    # pictures of three dimensions: without a batch, channels first and last, and without channels, as Keras' first examples take digits
    nodes, constants = head("map", 8, 6, 21)
    nodes[-1].output[0] = "row"
    lone = [constant("front", np.array([0])), w, *constants]
    special("without_batch", [node("Unsqueeze", ["x", "front"], ["one"]), node("Conv", ["one", "conv"], ["map"]), *nodes, node("Squeeze", ["row", "front"], ["y"])],
            lone, [3, 8, 9], 1, 8, 9, shape=(3, 8, 9))
    special("without_batch_last", [node("Transpose", ["x"], ["turned"], perm=[2, 0, 1]), node("Unsqueeze", ["turned", "front"], ["one"]),
                                   node("Conv", ["one", "conv"], ["map"]), *nodes, node("Squeeze", ["row", "front"], ["y"])],
            lone, ["H", "W", 3], 1, 8, 9, shape=(8, 9, 3))
    special("without_channels", [node("Flatten", ["x"], ["flat"]), node("Gemm", ["flat", "all", "b"], ["y"])],
            [constant("all", w_of(72, 5)[:, :, 0, 0]), constant("b", np.zeros(5, np.float32))], ["N", 8, 9], 2, 8, 9, shape=(2, 8, 9))
    # gates that the file knows, as ConViT's attention has them
    nodes, constants = head("sum", 8, 6, 18)
    special("softmax_of_constant", [
        conv, node("Softmax", ["weights"], ["old"], axis=1), node("Softmax", ["weights"], ["gate"], axis=-1),
        node("Dropout", ["gate"], ["kept"]), node("GlobalAveragePool", ["kept"], ["mean"]), node("Mul", ["map", "gate"], ["first"]),
        node("Mul", ["old", "mean"], ["second"]), node("Add", ["first", "second"], ["sum"]), *nodes],
        [w, constant("weights", r.standard_normal((1, 8, 1, 6)).astype(np.float32)), *constants], ["N", 3, 6, 6], 2, 6, 6)
    # a squeeze of a size that the exporter did not know, as PyTorch's writes it, with a branch in the branch
    nodes, constants = head("map", 8, 6, 17)
    inner = helper.make_graph([node("Squeeze", ["pooled", "axis"], ["squeezed"])], "inner",
                              [], [helper.make_tensor_value_info("squeezed", TensorProto.FLOAT, None)],
                              [constant("axis", np.array([3]))])
    other = helper.make_graph([node("Identity", ["pooled"], ["left"])], "other", [],
                              [helper.make_tensor_value_info("left", TensorProto.FLOAT, None)])
    outer = helper.make_graph([node("If", ["is_one"], ["chosen"], then_branch=inner, else_branch=other)], "outer", [],
                              [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)])
    third = helper.make_graph([node("DeformConv", ["pooled", "conv", "pooled"], ["never"])], "third", [],  # not known here
                              [helper.make_tensor_value_info("never", TensorProto.FLOAT, None)])
    special("squeeze_of_unknown", [
        conv, nodes[0], node("Shape", ["pooled"], ["shape"]), node("Gather", ["shape", "last"], ["side"]),
        node("Equal", ["side", "one"], ["is_one"]), node("Not", ["is_one"], ["is_more"]),
        node("If", ["is_more"], ["short"], then_branch=third, else_branch=outer), node("Flatten", ["short"], ["flat"]), nodes[-1]],
        [w, constant("last", np.int64(3)), constant("one", np.int64(1)), *constants], ["N", 3, "H", "W"], 2, 6, 7)
    # positions of tokens that only one size has, though the file leaves it open
    nodes, constants = head("map", 8, 6, 50)
    special("table_of_tokens", [
        conv, node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "first"], ["n"]), node("Unsqueeze", ["n", "axis"], ["batch"]),
        node("Concat", ["batch", "eight", "rest"], ["rows"], axis=0), node("Reshape", ["map", "rows"], ["cut"]),
        node("Transpose", ["cut"], ["tokens"], perm=[0, 2, 1]), node("Add", ["tokens", "table"], ["placed"]),
        node("ReduceMean", ["placed"], ["flat"], axes=[1], keepdims=0), nodes[-1]],
        [w, constant("first", np.array(0)), constant("axis", np.array([0])), constant("eight", np.array([8])), constant("rest", np.array([-1])),
         constant("table", w_of(64, 8)[:, :, 0, 0].reshape(1, 64, 8)), *constants], ["N", 3, "H", "W"], 1, 8, 8, opset=17, ir=8)
    windows(conv, w)
    elements(conv, w)
    quantised(conv, w)
    composites(conv, w)
    functions(conv, w)
    layered(conv, w)


def quantised(conv, w):
    """What onnxruntime's tools for quantisation write besides QuantizeLinear and DequantizeLinear."""
    node = helper.make_node
    r = np.random.default_rng(41)
    own = lambda *args, **more: node(*args, domain=MICROSOFT, **more)
    scales = [constant(f"s{i}", np.float32(v)) for i, v in enumerate((.0314159, .0271828, .0431771, .0083147, .0117019, .0370317))]
    zeros = [constant("z", np.uint8(113)), constant("z8", np.int8(-3))]
    whole = lambda name, *shape: constant(name, r.integers(-90, 90, shape).astype(np.int8))
    special("quantised_operators", [
        node("QuantizeLinear", ["x", "s0", "z"], ["q"]),
        node("QLinearConv", ["q", "s0", "z", "qw", "ws", "wz", "s1", "z", "qb"], ["a"], pads=[1, 0, 1, 2], strides=[1, 2]),
        own("QLinearLeakyRelu", ["a", "s1", "z", "s2", "z"], ["b"], alpha=.2), own("QLinearSigmoid", ["a", "s1", "z", "s3", "none"], ["g"]),
        own("QLinearMul", ["b", "s2", "z", "g", "s3", "none", "s1", "z"], ["m"]), own("QLinearAdd", ["a", "s1", "z", "m", "s1", "z", "s2", "z"], ["t"]),
        own("QLinearAveragePool", ["t", "s2", "z", "s1", "z"], ["p"], kernel_shape=[2, 3], strides=[1, 1], pads=[1, 1, 0, 1]),
        own("QLinearConcat", ["s0", "z", "p", "s1", "z", "m", "s1", "z", "a", "s1", "z"], ["c"], axis=1),
        own("QLinearGlobalAveragePool", ["c", "s0", "z", "s4", "z"], ["f"]), node("Flatten", ["f"], ["row"]),
        own("QGemm", ["row", "s4", "z", "gw", "gs", "gz", "gb", "s5", "z"], ["l"], transB=1),
        node("QLinearMatMul", ["l", "s5", "z", "mw", "ms", "mz", "s2", "z"], ["k"]), node("DequantizeLinear", ["k", "s2", "z"], ["y"])],
        [*scales, *zeros, constant("none", np.uint8(0)), whole("qw", 6, 3, 3, 2), constant("ws", np.linspace(.004, .012, 6).astype(np.float32)),
         constant("wz", np.zeros(6, np.int8)), constant("qb", r.integers(-400, 400, 6).astype(np.int32)), whole("gw", 7, 18),
         constant("gs", np.linspace(.011, .017, 7).astype(np.float32)), constant("gz", np.zeros(7, np.int8)),
         constant("gb", r.integers(-900, 900, 7).astype(np.int32)), whole("mw", 7, 5), constant("ms", np.linspace(.01, .02, 5).astype(np.float32)),
         constant("mz", np.zeros(5, np.int8))], [1, 3, 6, 8], 1, 6, 8, opset=17, ir=8)
    special("dynamic_quantisation", [
        node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]), node("ConvInteger", ["q", "cw", "qz", "cz"], ["i"], pads=[1, 1, 1, 1]),
        node("Cast", ["i"], ["i32"], to=TensorProto.FLOAT), node("Mul", ["qs", "cs"], ["both"]), node("Mul", ["i32", "both"], ["map"]),
        node("GlobalAveragePool", ["map"], ["pooled"]), node("Flatten", ["pooled"], ["flat"]),
        node("DynamicQuantizeLinear", ["flat"], ["f", "fs", "fz"]), node("MatMulInteger", ["f", "mw", "fz", "mz"], ["j"]),
        node("Cast", ["j"], ["j32"], to=TensorProto.FLOAT), node("Mul", ["j32", "fs"], ["scaled"]), node("Mul", ["scaled", "ms"], ["y"])],
        [constant("cw", r.integers(0, 255, (8, 3, 3, 3)).astype(np.uint8)), constant("cz", np.uint8(120)), constant("cs", np.float32(.01)),
         whole("mw", 8, 5), constant("mz", np.int8(2)), constant("ms", np.linspace(.01, .03, 5).astype(np.float32))],
        ["N", 3, 5, 6], 1, 5, 6, opset=17, ir=8)


    # around integers their zero point; windows of an average that end beyond the pads
    nodes, constants = head("wide", 3, 5, 52)
    special("quantised_pads", [
        node("QuantizeLinear", ["x", "s0", "z"], ["q"]), node("Pad", ["q", "around", "z"], ["padded"]),
        own("QLinearAveragePool", ["padded", "s0", "z", "s1", "z"], ["means"], kernel_shape=[3, 4], strides=[3, 2], pads=[1, 0, 0, 2], ceil_mode=1,
            count_include_pad=1), node("Pad", ["means", "rows", "seven"], ["more"]), node("DequantizeLinear", ["more", "s1", "z"], ["wide"]), *nodes],
        [*scales, *zeros, constant("around", np.array([0, 0, 1, 2, 0, 0, 2, 1])), constant("rows", np.array([0, 0, 0, 0, 0, 0, 1, 1])),
         constant("seven", np.uint8(7)), *constants], ["N", 3, 6, 8], 2, 6, 8, opset=17, ir=8)
    # weights of four bits in blocks, with zero points and without, and what onnxruntime makes of products that it quantises
    u4 = lambda name, *shape: constant(name, r.integers(0, 255, shape).astype(np.uint8))
    f = lambda name, *shape: constant(name, r.uniform(.01, .05, shape).astype(np.float32))
    nodes, constants = head("map", 8, 12, 53)
    special("weights_in_blocks", [
        conv, *nodes[:-1], node("Gemm", ["flat", *nodes[-1].input[1:]], ["row_a"], transB=1),
        own("MatMulNBits", ["row_a", "b0", "f0", "u0", "", "c0"], ["row_b"], K=12, N=7, bits=4, block_size=16),
        own("MatMulNBits", ["row_b", "b1", "f1"], ["row_c"], K=7, N=40, bits=4, block_size=16), own("MatMulBnb4", ["row_c", "b2", "f2"], ["row_d"], K=40, N=7, block_size=16, quant_type=1),
        node("DequantizeLinear", ["b3", "f3", "u3"], ["dw"], axis=1, block_size=4), node("MatMul", ["row_d", "dw"], ["row_e"]),
        own("DynamicQuantizeMatMul", ["row_e", "b4", "f4", "z8", "c4"], ["row_g"]), node("QuantizeLinear", ["row_g", "s0", "z"], ["q"]),
        own("MatMulIntegerToFloat", ["q", "b5", "s0", "f5", "z"], ["row_h"]), node("QuantizeLinear", ["row_h", "s0", "z"], ["hq"]),
        node("Greater", ["row_h", "s5"], ["more"]),
        own("QLinearWhere", ["more", "hq", "s0", "z", "q", "s0", "z", "s1", "z"], ["w2"]), node("DequantizeLinear", ["w2", "s1", "z"], ["y"])],
        [w, *constants, *scales, *zeros, u4("b0", 7, 1, 8), f("f0", 7), u4("u0", 7), f("c0", 7), u4("b1", 40, 1, 8), f("f1", 40), u4("b2", 140), f("f2", 18),
         helper.make_tensor("b3", TensorProto.INT4, (7, 9), r.integers(-8, 8, 63)), f("f3", 7, 3), helper.make_tensor("u3", TensorProto.INT4, (7, 3), r.integers(-8, 8, 21)),
         whole("b4", 9, 6), f("f4", 6), f("c4", 6), whole("b5", 6, 6), f("f5", 6)], [1, 3, 5, 6], 1, 5, 6, opset=21, ir=10)
    # biases beyond 2^24, which are more than a list of numbers; a pool of integers, and others to which they are rounded again
    nodes, constants = head("deep", 72, 5, 49)
    pair = lambda x, y, scale, zero: [node("QuantizeLinear", [x, scale, zero], [x + "_q"]), node("DequantizeLinear", [x + "_q", scale, zero], [y])]
    special("quantised_pairs", [
        *pair("x", "photo", "s0", "z"), node("DequantizeLinear", ["qw", "ws", "wz"], ["dw"], axis=0),
        node("DequantizeLinear", ["qb", "bs", "bz"], ["db"], axis=0), node("Conv", ["photo", "dw", "db"], ["map"]),
        node("QuantizeLinear", ["map", "s1", "z8"], ["q"]), node("MaxPool", ["q"], ["p"], kernel_shape=[2, 2]),
        node("DequantizeLinear", ["p", "s1", "z8"], ["wide"]), *pair("wide", "deep", "s5", "z"), *nodes],
        [*scales, *zeros, whole("qw", 72, 3, 1, 1), constant("ws", np.linspace(.004, .012, 72).astype(np.float32)), constant("wz", np.zeros(72, np.int8)),
         constant("qb", r.integers(-2**28, 2**28, 72).astype(np.int32)), constant("bs", np.linspace(1e-9, 4e-9, 72).astype(np.float32)),
         constant("bz", np.zeros(72, np.int32)), *constants], ["N", 3, 4, 5], 2, 4, 5, opset=17, ir=8)


def composites(conv, w):
    """Operators that are several others, and equations with dots."""
    node = helper.make_node
    r = np.random.default_rng(43)
    own = lambda *args, **more: node(*args, domain=MICROSOFT, **more)
    gain = lambda name: constant(name, r.uniform(.5, 1.5, 8).astype(np.float32))
    nodes, constants = head("map2", 8, 6, 44)
    special("fused_tokens", [
        conv, node("Reshape", ["map", "rows"], ["cut"]), node("Transpose", ["cut"], ["t"], perm=[0, 2, 1]),
        own("BiasGelu", ["t", "g1"], ["a"]), own("FastGelu", ["t", "g2"], ["u"]), own("QuickGelu", ["t"], ["c"], alpha=1.5), own("Gelu", ["t"], ["d"]),
        own("SkipLayerNormalization", ["a", "u", "g3", "g4", "g5"], ["e", "", "", "sum"], epsilon=1e-5),
        own("SkipSimplifiedLayerNormalization", ["c", "d", "g6"], ["f"], epsilon=1e-5), own("FastGelu", ["sum"], ["h"]),
        node("SimplifiedLayerNormalization", ["h", "g7"], ["i"], axis=-1, epsilon=1e-5), node("Einsum", ["e", "square"], ["j"], equation="...d,dk->...k"),
        node("Einsum", ["j", "f"], ["k"], equation="...k,...k"), node("Unsqueeze", ["k", "last"], ["l"]), node("Mul", ["i", "l"], ["m"]),
        node("Transpose", ["m"], ["back"], perm=[0, 2, 1]), node("Reshape", ["back", "shape"], ["map2"]), *nodes],
        [w, constant("rows", np.array([0, 8, 12])), constant("shape", np.array([0, 8, 3, 4])), constant("last", np.array([2])),
         constant("square", (r.standard_normal((8, 8)) / 3).astype(np.float32)), *[gain(f"g{i}") for i in range(1, 8)], *constants],
        ["N", 3, 3, 4], 2, 3, 4, opset=17, ir=8)
    # what onnxruntime writes of a network that it has optimised: sums and functions in convolutions and products, operands turned
    seeded = np.random.default_rng(47)
    f = lambda name, *shape: constant(name, (seeded.standard_normal(shape) / 3).astype(np.float32))
    nodes, constants = head("map4", 8, 6, 47)
    special("fused_layers", [
        own("FusedConv", ["x", "conv", "b0"], ["map"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], activation="Clip", activation_params=[-.5, 1.5]),
        own("FusedConv", ["map", "w1", "b1", "map"], ["map2"], pads=[1, 1, 1, 1], group=2, activation="LeakyRelu", activation_params=[.2]),
        own("FusedConv", ["map2", "w2"], ["map3"]), node("Reshape", ["map3", "rows"], ["t"]),
        own("FusedMatMul", ["t", "t"], ["score"], transA=1, alpha=.3), own("FusedMatMul", ["score", "t"], ["u"], transB=1),
        own("FusedMatMul", ["u", "square"], ["v"], transB=1), node("Transpose", ["v"], ["back"], perm=[0, 2, 1]),
        node("Reshape", ["back", "shape"], ["map4"]), *nodes[:2],
        own("FusedGemm", ["flat", "square", "g"], ["h"], transB=1, beta=.5, activation="Elu", activation_alpha=.7),
        node("Gemm", ["h", *nodes[-1].input[1:]], ["y"], transB=1)],
        [w, f("b0", 8), f("w1", 8, 4, 3, 3), f("b1", 8), f("w2", 8, 8, 1, 1), f("square", 8, 8), f("g", 8), constant("rows", np.array([0, 8, 12])),
         constant("shape", np.array([0, 8, 3, 4])), *constants], ["N", 3, 3, 4], 2, 3, 4, opset=17, ir=8)
    nodes, constants = head("map2", 8, 6, 48)
    special("fused_attention", [
        conv, node("Reshape", ["map", "rows"], ["cut"]), node("Transpose", ["cut"], ["t"], perm=[0, 2, 1]),
        own("Attention", ["t", "qkv", "bias", "", "", "places"], ["a"], num_heads=2, qkv_hidden_sizes=[8, 8, 12], scale=.4),
        own("MultiHeadAttention", ["t", "t", "a", "bias"], ["d"], num_heads=4), own("MultiHeadAttention", ["t", "t", "d"], ["c"], num_heads=4, unidirectional=1),
        node("MatMul", ["c", "out"], ["o"]), node("Transpose", ["o"], ["back"], perm=[0, 2, 1]), node("Reshape", ["back", "shape"], ["map2"]), *nodes],
        [w, constant("rows", np.array([0, 8, 12])), constant("shape", np.array([0, 8, 3, 4])), f("qkv", 8, 28), f("bias", 28), f("places", 1, 2, 12, 12),
         f("out", 12, 8), *constants], ["N", 3, 3, 4], 2, 3, 4, opset=17, ir=8)
    nodes, constants = head("norm", 8, 6, 46)
    special("norm_by_default", [conv, node("MeanVarianceNormalization", ["map"], ["all"]), node("Relu", ["all"], ["norm"]), *nodes],
            [w, *constants], ["N", 3, 5, 6], 1, 5, 6, opset=17, ir=8)
    nodes, constants = head("sum", 8, 6, 45)
    special("other_norms", [
        conv, node("MeanVarianceNormalization", ["map"], ["norm"], axes=[2, 3]), node("LpPool", ["norm"], ["p"], kernel_shape=[2, 3], pads=[1, 0, 0, 2], p=3),
        node("LpPool", ["map"], ["q"], kernel_shape=[3, 2], auto_pad="SAME_UPPER", p=1), node("Add", ["p", "q"], ["both"]),
        node("GlobalLpPool", ["both"], ["g"]), node("Div", ["both", "g"], ["sum"]), *nodes], [w, *constants], ["N", 3, 5, 6], 2, 5, 6, opset=17, ir=8)
    # a norm of a map's channels as networks for images spell it out; what differs from a map's mean, scaled by channel
    def spelt(x, y, square):
        return [node("ReduceMean", [x], [f"{y}_m"], axes=[1]), node("Sub", [x, f"{y}_m"], [f"{y}_d"]), square(f"{y}_d", f"{y}_s"),
                node("ReduceMean", [f"{y}_s"], [f"{y}_v"], axes=[1]), node("Add", [f"{y}_v", "epsilon"], [f"{y}_e"]),
                node("Sqrt", [f"{y}_e"], [f"{y}_r"]), node("Div", [f"{y}_d", f"{y}_r"], [y])]
    factors = np.random.default_rng(46).standard_normal((3, 8, 1, 1)).astype(np.float32)
    norm = [*spelt("map", "a", lambda d, s: node("Pow", [d, "two"], [s])), node("Mul", ["gain", "a"], ["gained"]), node("Add", ["gained", "shift"], ["c"])]
    values = [constant("epsilon", np.float32(1e-6)), constant("two", np.float32(2)), constant("gain", factors[0]), constant("shift", factors[1])]
    nodes, constants = head("positive", 8, 6, 46)
    special("norm_of_channels", [conv, *norm, node("Relu", ["c"], ["positive"]), *nodes], [w, *values, *constants],
            ["N", 3, "H", "W"], 2, 6, 8, opset=17, ir=8)
    nodes, constants = head("second", 8, 6, 47)
    special("norms_of_channels", [
        conv, *norm, node("GlobalAveragePool", ["c"], ["g"]), node("Sub", ["c", "g"], ["own"]), node("Mul", ["own", "sigma"], ["scaled"]),
        node("Add", ["c", "scaled"], ["sum"]), *spelt("sum", "t", lambda d, s: node("Mul", [d, d], [s])), node("Add", ["t", "shift"], ["second"]),
        *nodes], [w, *values, constant("sigma", factors[2:]), *constants], ["N", 3, "H", "W"], 2, 6, 8, opset=17, ir=8)


def elements(conv, w):
    """Which elements of a tensor count, where and as how many dimensions."""
    node = helper.make_node
    # several pictures, of whose numbers only a part is the output: what a second half or a mask was for
    nodes, constants = head("map", 8, 12, 31)
    nodes[-1].output[0] = "all"
    special("part_of_outputs", [conv, *nodes, node("Split", ["all"], ["first", "y", "last"], axis=1)],
            [w, *constants], ["N", 3, "H", "W"], 3, 7, 7, opset=17, ir=8)
    # one channel, so that a row lies as a pixel's channels do
    nodes, constants = head("square", 1, 5, 32)
    special("softmax_of_rows", [
        node("ReduceMean", ["x"], ["grey"], axes=[1], keepdims=1), node("Conv", ["grey", "one"], ["map"]),
        node("Softmax", ["map"], ["rows"], axis=3), node("Mul", ["rows", "rows"], ["square"]), *nodes],
        [constant("one", np.array([[[[3]]]], np.float32)), *constants], ["N", 3, 6, 7], 2, 6, 7, opset=17, ir=8)
    # columns, of some elements and of more than are gathered at once
    nodes, constants = head("sum", 8, 5, 38)
    special("softmax_of_columns", [
        conv, node("Softmax", ["map"], ["column"], axis=2), node("Reshape", ["map", "pairs"], ["long"]), node("Softmax", ["long"], ["far"], axis=1),
        node("Reshape", ["far", "shape"], ["back"]), node("Mul", ["back", "many"], ["level"]), node("Sum", ["column", "level"], ["sum"]), *nodes],
        [w, constant("pairs", np.array([1, 4400, 2])), constant("shape", np.array([1, 8, 44, 25])),
         constant("many", np.float32(3000)), *constants], [1, 3, 44, 25], 1, 44, 25, opset=17, ir=8)
    # a map padded in each way, and cropped
    nodes, constants = head("less", 10, 5, 39)
    special("padded_lines", [
        conv, node("Pad", ["map", "around"], ["mirrored"], mode="reflect"), node("Pad", ["mirrored", "around"], ["wide"], mode="edge"),
        node("Pad", ["wide", "around"], ["turned"], mode="wrap"), node("Pad", ["turned", "some", "half"], ["less"]), *nodes],
        [w, constant("around", np.array([0, 0, 1, 3, 0, 0, 2, 1])), constant("some", np.array([0, 1, -2, 1, 0, 1, 1, -3])),
         constant("half", np.float32(.5)), *constants], ["N", 3, 5, 6], 2, 5, 6, opset=20, ir=9)
    # a number of more dimensions than what it meets gives them to the result
    nodes, constants = head("picked", 8, 5, 33)
    special("more_dimensions", [
        conv, node("Min", ["map", "five"], ["low"]), node("Gather", ["low", "third"], ["some"], axis=3),
        node("Add", ["some", "five"], ["sum"]), node("Reshape", ["sum", "shape"], ["picked"]), *nodes],
        [w, constant("five", np.full((1, 1, 1, 1, 1), .3, np.float32)), constant("third", np.array([2, 0])),
         constant("shape", np.array([1, 8, -1, 6])), *constants], [1, 3, 5, 6], 1, 5, 6, opset=17, ir=8)
    # scales that float32 does not hold: places halfway between two, sizes next to a whole number
    special("resize_by_tenths", [
        conv, node("Resize", ["map", "", "seven"], ["near"], mode="nearest"),
        node("Resize", ["map", "", "", "sizes"], ["level"], mode="nearest", nearest_mode="round_prefer_ceil",
             coordinate_transformation_mode="asymmetric"),
        node("GlobalMaxPool", ["near"], ["most"]), node("Flatten", ["most"], ["most_row"]), node("Flatten", ["near"], ["row"]),
        node("Gather", ["row", "few"], ["some"], axis=1), node("ReduceMean", ["level"], ["middle"], axes=[2, 3], keepdims=0),
        node("Mul", ["some", "most_row"], ["product"]), node("Add", ["product", "middle"], ["y"])],
        [w, constant("seven", np.array([1, 1, .7, .7], np.float32)), constant("sizes", np.array([1, 8, 16, 9])),
         constant("few", np.arange(8) * 43)], [1, 3, 15, 10], 1, 15, 10, opset=17, ir=8)
    # places of TensorFlow's nearest neighbour
    nodes, constants = head("near", 8, 5, 35)
    special("resize_as_tf1", [conv, node("Resize", ["map", "none", "none", "sizes"], ["near"], mode="nearest", nearest_mode="floor",
                                         coordinate_transformation_mode="tf_half_pixel_for_nn"), *nodes],
            [w, constant("none", np.zeros(0, np.float32)), constant("sizes", np.array([1, 8, 4, 11])), *constants],
            [1, 3, 7, 7], 1, 7, 7, opset=12, ir=7)
    # a window narrower than its stride
    nodes, constants = head("wide", 4, 5, 36)
    special("conv_transpose_short", [conv, node("ConvTranspose", ["map", "short"], ["wide"], strides=[3, 2], auto_pad="SAME_LOWER"), *nodes],
            [w, constant("short", (np.random.default_rng(36).standard_normal((8, 4, 2, 3)) / 3).astype(np.float32)), *constants],
            ["N", 3, 5, 6], 2, 5, 6, opset=17, ir=8)
    # channels in the opposite order, as an index list of an open batch
    nodes, constants = head("turned", 8, 5, 37)
    special("reversed_channels", [
        conv, node("Transpose", ["map"], ["first"], perm=[1, 0, 2, 3]), node("GatherND", ["first", "back"], ["order"]),
        node("Transpose", ["order"], ["turned"], perm=[1, 0, 2, 3]), *nodes],
        [w, constant("back", np.arange(8)[::-1].reshape(8, 1).copy()), *constants], ["N", 3, "H", "W"], 2, 5, 6, opset=17, ir=8)


def functions(conv, w):
    """Scalar functions, reductions, comparisons, what picks and puts by index: each once, and what they give added up."""
    node = helper.make_node
    f = lambda name, value: constant(name, np.array(value, np.float32))
    add = lambda names: [node("Sum", names, ["sum"])]
    nodes, constants = head("sum", 8, 6, 51)
    inside = [conv, node("Tanh", ["map"], ["t"])]  # within -1 and 1
    names = ["Acos", "Asin", "Atan", "Cos", "Cosh", "Sinh", "Tan", "Exp", "Sign"]
    special("functions", [
        *inside, *[node(name, ["t"], [name]) for name in names], node("Mul", ["t", "t"], ["square"]), node("Add", ["square", "one"], ["large"]),
        node("Reciprocal", ["large"], ["Reciprocal"]), node("Mul", ["map", "few"], ["far"]), node("Round", ["far"], ["Round"]),
        node("Ceil", ["far"], ["Ceil"]), *add([*names, "Reciprocal", "Round", "Ceil"]), *nodes],
        [w, f("one", 1), f("few", 3.3), *constants], ["N", 3, 5, 6], 2, 5, 6, opset=17, ir=8)
    names = ["ReduceL1", "ReduceLogSumExp", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceLogSum"]
    special("reductions", [
        *inside, node("Exp", ["t"], ["positive"]), *[node(name, ["positive"], [name], axes=[3 - i % 2], keepdims=1) for i, name in enumerate(names)],
        node("ReduceSum", ["t", "axis"], ["ReduceSum"], keepdims=1), node("Mean", ["t", "positive", "map"], ["mean"]),
        node("CumSum", ["t", "last"], ["forward"]), node("CumSum", ["t", "second"], ["backward"], reverse=1, exclusive=1),
        *add([*names, "ReduceSum", "mean", "forward", "backward"]), *nodes],
        [w, constant("axis", np.array([-1])), constant("last", np.int64(3)), constant("second", np.int64(-2)), *constants],
        ["N", 3, 4, 5], 2, 4, 5, opset=17, ir=8)
    special("comparisons", [
        conv, node("Less", ["map", "low"], ["l"]), node("Greater", ["map", "high"], ["m"]), node("LessOrEqual", ["map", "zero"], ["c"]),
        node("GreaterOrEqual", ["map", "low"], ["d"]), node("And", ["c", "d"], ["e"]), node("Or", ["l", "m"], ["o"]), node("Xor", ["c", "o"], ["g"]),
        node("IsNaN", ["map"], ["h"]), node("Where", ["e", "map", "high"], ["i"]), node("CastLike", ["g", "map"], ["j"]),
        node("Cast", ["h"], ["k"], to=TensorProto.FLOAT), *add(["i", "j", "k"]), *nodes],
        [w, f("low", -.3), f("high", .4), f("zero", 0), *constants], ["N", 3, 5, 6], 2, 5, 6, opset=17, ir=8)
    places = np.random.default_rng(52).integers(-5, 5, (1, 8, 5, 3))
    rows = np.stack([np.zeros(6, int), np.arange(6), np.array([4, 3, 2, 1, 0, -1])], 1)
    special("by_index", [
        conv, node("GatherElements", ["map", "places"], ["taken"], axis=2), node("ScatterElements", ["map", "far", "taken"], ["put"], axis=3),
        node("GatherND", ["map", "rows"], ["lines"]), node("Neg", ["lines"], ["turned"]), node("ScatterND", ["put", "rows", "turned"], ["both"]),
        node("Trilu", ["both", "above"], ["upper"]), node("Trilu", ["map"], ["lower"], upper=0), node("ReduceMax", ["map"], ["most"], axes=[2, 3]),
        node("Expand", ["most", "shape"], ["wide"]), node("ConstantOfShape", ["shape"], ["halves"], value=constant("", np.array([.5], np.float32))),
        node("NonZero", ["some"], ["found"]), node("Gather", ["lower", "found"], ["picked"], axis=3), node("Squeeze", ["picked", "third"], ["kept"]),
        node("Size", ["map"], ["count"]), node("Cast", ["count"], ["number"], to=TensorProto.FLOAT), node("Div", ["wide", "number"], ["level"]),
        *add(["upper", "kept", "level", "halves"]), *nodes],
        [w, constant("places", places), constant("far", np.argsort(np.random.default_rng(53).random((1, 8, 5, 5)), 3)[..., :3].copy()),
         constant("rows", rows), constant("above", np.int64(-1)), constant("shape", np.array([1, 8, 5, 5])),
         constant("some", np.ones(5, np.float32)), constant("third", np.array([3])), *constants], [1, 3, 5, 5], 1, 5, 5, opset=17, ir=8)
    special("group_norm", [conv, node("GroupNormalization", ["map", "gain", "lift"], ["norm"], num_groups=4, epsilon=1e-3),
                           node("Swish", ["norm"], ["gated"], alpha=1.3), node("RMSNormalization", ["gated", "gain"], ["sum"], axis=-1), *nodes],
            [w, f("gain", np.linspace(.5, 1.5, 8)), f("lift", np.linspace(-.5, .5, 8)), *constants], ["N", 3, 4, 8], 2, 4, 8, opset=24, ir=11)
    special("upsample", [conv, node("Upsample", ["map", "scales"], ["sum"], mode="nearest"), *nodes],
            [w, f("scales", [1, 1, 2, 3]), *constants], ["N", 3, 4, 5], 2, 4, 5, opset=9, ir=7)


def layered(conv, w):
    """Heads of two products with each function between them."""
    node = helper.make_node
    r = np.random.default_rng(61)
    f = lambda name, *dims: constant(name, r.standard_normal(dims).astype(np.float32))
    for name, between in {
            "relu": [node("Relu", ["first"], ["second"])], "sigmoid": [node("Sigmoid", ["first"], ["second"])],
            "silu": [node("Sigmoid", ["first"], ["gate"]), node("Mul", ["first", "gate"], ["second"])],
            "hard_sigmoid": [node("HardSigmoid", ["first"], ["second"], alpha=.25)], "hard_swish": [node("HardSwish", ["first"], ["second"])],
            "leaky_relu": [node("LeakyRelu", ["first"], ["second"], alpha=.2)], "gelu": [node("Gelu", ["first"], ["second"])],
            "gelu_tanh": [node("Gelu", ["first"], ["second"], approximate="tanh")], "tanh": [node("Tanh", ["first"], ["second"])]}.items():
        special(f"head_{name}", [
            conv, node("GlobalAveragePool", ["map"], ["pooled"]), node("Flatten", ["pooled"], ["flat"]),
            node("Gemm", ["flat", "w1", "b1"], ["first"], transB=1), *between, node("Gemm", ["second", "w2", "b2"], ["y"], transB=1)],
            [w, f("w1", 10, 8), f("b1", 10), f("w2", 6, 10), f("b2", 6)], ["N", 3, 4, 5], 2, 4, 5)


    # there and back to integers, as a step and around one; uint16, so that a small step crosses many of the grid's lines
    middle = constant("z", np.uint16(32768))
    pair = lambda x, y, scale: [node("QuantizeLinear", [x, scale, "z"], [x + "_q"]), node("DequantizeLinear", [x + "_q", scale, "z"], [y])]
    special("head_rounded", [
        conv, *pair("map", "level", "s1"), node("GlobalAveragePool", ["level"], ["pooled"]), *pair("pooled", "round", "s0"),
        node("Flatten", ["round"], ["flat"]), node("Gemm", ["flat", "w1", "b1"], ["first"], transB=1), node("QuantizeLinear", ["first", "s1", "z"], ["q"]),
        node("Flatten", ["q"], ["row"]), node("DequantizeLinear", ["row", "s1", "z"], ["second"]),
        node("Gemm", ["second", "w2", "b2"], ["last"], transB=1, alpha=.25), *pair("last", "y", "s1")],
        [w, middle, constant("s0", np.float32(2e-5)), constant("s1", np.float32(1e-4)), f("w1", 10, 8), f("b1", 10), f("w2", 6, 10), f("b2", 6)],
        ["N", 3, 4, 5], 2, 4, 5, opset=21, ir=10)


def windows(conv, w):
    """Convolutions of other than two dimensions, more outputs than are computed at once, and one by weights that are computed."""
    node = helper.make_node
    r = np.random.default_rng(21)
    nodes, constants = head("kept", 8, 6, 21)
    special("conv_3d", [
        conv, node("Reshape", ["map", "volume"], ["box"]), node("Conv", ["box", "w3", "b3"], ["deep"], pads=[2, 1, 0, 2, 2, 0]),
        node("Conv", ["deep", "g3"], ["few"], group=2, strides=[2, 1, 3], dilations=[1, 2, 1], pads=[0, 3, 1, 2, 0, 0]),
        node("Reshape", ["few", "square"], ["first"]), node("Reshape", ["few", "line"], ["row"]),
        node("Conv", ["row", "w1", "b1"], ["short"], auto_pad="SAME_LOWER", strides=[5]),
        node("ReduceMean", ["short"], ["level"], axes=[2], keepdims=1), node("Unsqueeze", ["level", "last"], ["levels"]),
        node("Add", ["first", "levels"], ["kept"]), *nodes],
        [w, constant("volume", np.array([0, 1, 24, 24, 8])), constant("w3", (r.standard_normal((4, 1, 5, 4, 1)) / 4).astype(np.float32)),
         constant("b3", r.standard_normal(4).astype(np.float32)), constant("g3", (r.standard_normal((8, 2, 2, 3, 2)) / 4).astype(np.float32)),
         constant("square", np.array([0, 8, -1, 3])), constant("line", np.array([0, 8, -1])),
         constant("w1", (r.standard_normal((8, 8, 7)) / 4).astype(np.float32)), constant("b1", r.standard_normal(8).astype(np.float32)),
         constant("last", np.array([3])), *constants], ["N", 3, 24, 24], 1, 24, 24, opset=17, ir=8)
    # parts of a map, cut by a list, by a size that leaves a rest, and into ones; put together in another order
    nodes, constants = head("mixed", 14, 6, 23)
    special("sequences", [
        conv, node("SplitToSequence", ["map", "sizes"], ["parts"], axis=1), node("SequenceAt", ["parts", "zero"], ["p"]),
        node("SequenceAt", ["parts", "back"], ["q"]), node("SequenceConstruct", ["q", "map", "p"], ["list"]),
        node("ConcatFromSequence", ["list"], ["all"], axis=-3), node("SplitToSequence", ["all", "three"], ["cut"], axis=3),
        node("SequenceLength", ["cut"], ["many"]), node("Sub", ["many", "two"], ["last"]), node("SequenceAt", ["cut", "last"], ["rest"]),
        node("SplitToSequence", ["rest"], ["ones"], axis=3), node("SequenceAt", ["ones", "zero"], ["mixed"]), *nodes],
        [w, constant("sizes", np.array([2, 2, 4])), constant("zero", np.int64(0)), constant("back", np.int64(-1)),
         constant("three", np.int64(3)), constant("two", np.int64(1)), *constants], ["N", 3, 5, 7], 2, 5, 7, opset=17, ir=8)
    # the sizes of parts as PyTorch's exporter computes them: one larger than the others as often as there is a rest
    nodes, constants = head("mixed", 4, 6, 24)
    special("tensor_split", [
        conv, node("Shape", ["map"], ["shape"]), node("Gather", ["shape", "first"], ["size"]), node("Div", ["size", "two"], ["each"]),
        node("Add", ["each", "first"], ["larger"]), node("Mod", ["size", "two"], ["rest"]), node("Tile", ["larger", "rest"], ["some"]),
        node("Sub", ["two", "rest"], ["more"]), node("Tile", ["each", "more"], ["others"]), node("Concat", ["some", "others"], ["sizes"], axis=0),
        node("SplitToSequence", ["map", "sizes"], ["parts"], axis=1), node("SequenceAt", ["parts", "zero"], ["p"]),
        node("SequenceAt", ["parts", "one"], ["q"]), node("Mul", ["p", "q"], ["mixed"]), *nodes],
        [w, constant("first", np.array([1])), constant("two", np.array([2])), constant("zero", np.int64(0)), constant("one", np.int64(1)),
         *constants], ["N", 3, "H", "W"], 2, 5, 7, opset=17, ir=8)
    nodes, constants = head("map", 8, 6, 22)
    special("computed_weights", [
        node("ReduceMean", ["x"], ["level"], keepdims=1), node("Mul", ["conv", "level"], ["more"]), node("Add", ["conv", "more"], ["own"]),
        node("Conv", ["x", "own", "own_b"], ["map"], strides=[1, 2], pads=[1, 0, 1, 2]), *nodes],
        [w, constant("own_b", r.standard_normal(8).astype(np.float32)), *constants], [1, 3, 9, 8], 1, 9, 8, opset=17, ir=8)


def main():
    if ONLY:
        specials()
        lines = [line for line in (HERE / "cases.txt").read_text().splitlines() if line.split()[0] not in ONLY]
        (HERE / "cases.txt").write_text("\n".join(CASES + lines) + "\n")
        return
    for old in [*HERE.glob("*.onnx"), *HERE.glob("*.f32")]:
        old.unlink()
    specials()
    for seed in SEEDS:
        try:
            net = Net(seed)
            want = theirs(net)
        except Exception:  # not a network, or none that onnxruntime runs
            continue
        if np.isfinite(want).all() and want.max() - want.min() > 1e-3:
            save(f"net_{seed}", net.model, net.pictures, want, *net.dims[2:])
    (HERE / "cases.txt").write_text("\n".join(CASES) + "\n")
    print(f"{len(CASES)} cases, {sum(f.stat().st_size for f in HERE.iterdir()) >> 10} KB")


if __name__ == "__main__":
    main()
