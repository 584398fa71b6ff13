#!/usr/bin/env python3
"""Makes the small networks of this folder and what onnxruntime computes with them.

    python3 -m venv venv && venv/bin/pip install numpy onnx onnxruntime && venv/bin/python make.py

For each case NAME.onnx and NAME.f32: the input [n, c, h, w], then the output, float32 little-endian, row-major as
ONNX has them.  cases.txt has one line a case: name, n, c, h, w, elements of the output.
Files bad_NAME.onnx must be refused: refusals.txt has name, status and words of the sentence.  Only who changes a case needs
to run this; the files are in the repository.
"""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from net import CASES, HERE, Net
from refused import REFUSALS, refusals


# ---- Convolutions -----------------------------------------------------------------------------------------------------

def convolutions():
    for name, c_out, kernel, groups, attributes in [
            ("conv1x1", 6, 1, 1, {}),
            ("conv1x1_stride2", 6, 1, 1, dict(strides=[2, 2])),
            ("conv3x3", 5, 3, 1, dict(pads=[1, 1, 1, 1])),
            ("conv3x3_uneven", 5, 3, 1, dict(pads=[0, 0, 1, 1], strides=[2, 2])),
            ("conv3x3_stride_1_2", 5, 3, 1, dict(pads=[1, 2, 0, 1], strides=[1, 2])),
            ("conv5x3_dilated", 5, (5, 3), 1, dict(dilations=[2, 3], pads=[4, 3, 4, 3])),
            ("conv1x7", 5, (1, 7), 1, dict(pads=[0, 3, 0, 3])),
            ("conv7x1", 5, (7, 1), 1, dict(pads=[3, 0, 3, 0])),
            ("conv_groups", 6, 3, 2, dict(pads=[1, 1, 1, 1])),
            ("depthwise3", 4, 3, 4, dict(pads=[1, 1, 1, 1])),
            ("depthwise5_stride2", 4, 5, 4, dict(pads=[1, 1, 2, 2], strides=[2, 2])),
            ("depthwise3_dilated", 4, 3, 4, dict(pads=[2, 2, 2, 2], dilations=[2, 2])),
            ("depthwise_multiplier", 8, 3, 4, dict(pads=[1, 1, 1, 1])),
            ("conv_same_upper", 5, 4, 1, dict(auto_pad="SAME_UPPER", strides=[2, 2])),
            ("conv_same_lower", 5, 4, 1, dict(auto_pad="SAME_LOWER", strides=[2, 2])),
            ("conv_valid", 5, 3, 1, dict(auto_pad="VALID"))]:
        net = Net()
        net.conv(4, c_out, kernel, groups=groups, bias=name != "conv1x1", **attributes)
        net.flatten()
        net.save(name)


def normalisations():
    net = Net()
    net.conv(4, 6, 3, bias=False)
    net.norm(6)
    net.then("Relu")
    net.flatten()
    net.save("conv_batch_norm_relu")
    net = Net()
    net.norm(4)
    net.then("Relu")
    net.conv(4, 5, 3)
    net.flatten()
    net.save("batch_norm_alone")
    net = Net()
    net.then("GlobalAveragePool")
    net.flatten()
    net.linear(4, 7)
    net.norm(7)
    net.then("Relu")
    net.save("linear_batch_norm")
    net = Net()  # read twice: nothing may join the convolution
    y = net.conv(4, 4, 3, pads=[1, 1, 1, 1])
    net.norm(4)
    net.then("Add", y)
    net.flatten()
    net.save("conv_batch_norm_shared")


# ---- Activations ------------------------------------------------------------------------------------------------------

def activations():
    def one(name, op, *more, opset=13, alone=True, **attributes):
        net = Net(opset=opset)
        more = [net.constant(np.float32(m)) if m is not None else "" for m in more]
        if not alone:
            net.conv(4, 5, 1)
        net.then(op, *more, **attributes)
        net.flatten()
        net.save(name)

    one("relu", "Relu")
    one("conv_relu", "Relu", alone=False)
    one("clip", "Clip", -.5, .7)
    one("clip_low", "Clip", -.25)
    one("clip_high", "Clip", None, .25)
    one("clip_opset7", "Clip", opset=7, min=0., max=.5)
    one("sigmoid", "Sigmoid")
    one("conv_sigmoid", "Sigmoid", alone=False)
    one("hard_sigmoid", "HardSigmoid", alpha=.3, beta=.4)
    one("conv_hard_sigmoid", "HardSigmoid", alone=False)
    one("hard_swish", "HardSwish", opset=14)
    one("conv_hard_swish", "HardSwish", opset=14, alone=False)
    one("leaky_relu", "LeakyRelu", alpha=.1)
    one("conv_leaky_relu", "LeakyRelu", alone=False)

    net = Net()
    y = net.conv(4, 5, 3)
    net.then("Sigmoid")
    net.node("Mul", y, net.x)
    net.flatten()
    net.save("silu")

    for name in ("hard_swish_div", "hard_swish_last", "hard_swish_gate", "hard_gate_other"):
        net = Net(opset=11)
        y = net.conv(4, 5, 3)
        if name == "hard_swish_gate":  # x * HardSigmoid(x)
            net.node("Mul", net.then("HardSigmoid", alpha=1 / 6, beta=.5), y)
        elif name == "hard_gate_other":  # no HardSwish: another slope
            net.node("Mul", net.then("HardSigmoid", alpha=.25, beta=.5), y)
        else:
            net.then("Add", net.constant(np.float32(3)))
            net.then("Clip", net.constant(np.float32(0)), net.constant(np.float32(6)))
            if name == "hard_swish_div":  # x * (clip(x + 3) / 6)
                net.node("Mul", y, net.then("Div", net.constant(np.float32(6))))
            else:  # (x * clip(x + 3)) / 6
                net.node("Mul", y, net.x)
                net.then("Div", net.constant(np.float32(6)))
        net.flatten()
        net.save(name)


# ---- Sums and products ------------------------------------------------------------------------------------------------

def arithmetic():
    def pair(name, op, array, reverse=False, alone=True, node=False):
        net = Net()
        if not alone:
            net.conv(4, 4, 3, pads=[1, 1, 1, 1])
        constant = net.constant(np.asarray(array, np.float32), node)
        net.node(op, *((constant, net.x) if reverse else (net.x, constant)))
        net.flatten()
        net.save(name)

    channel = np.array([.5, -2, 3, .25]).reshape(4, 1, 1)
    pair("add_scalar", "Add", 1.5)
    pair("add_channel", "Add", channel[None])
    pair("add_row", "Add", np.linspace(-1, 1, 11))
    pair("add_all", "Add", np.linspace(-1, 1, 4 * 9 * 11).reshape(1, 4, 9, 11), reverse=True, node=True)
    pair("sub_channel", "Sub", channel)
    pair("sub_from", "Sub", 2., reverse=True)
    pair("mul_channel", "Mul", channel, reverse=True)
    pair("mul_scalar", "Mul", [3.])
    pair("div_channel", "Div", channel)
    pair("conv_add_channel", "Add", channel, alone=False)
    pair("conv_mul_channel", "Mul", channel, alone=False)

    for name, op in (("add_activations", "Add"), ("sub_activations", "Sub"), ("mul_activations", "Mul")):
        net = Net()
        a = net.then("Sigmoid")
        net.node(op, a, net.node("Relu", "x"))
        net.flatten()
        net.save(name)
    net = Net()  # a gate, first
    gate = net.then("Sigmoid", )
    gate = net.then("GlobalAveragePool")
    net.node("Mul", gate, "x")
    net.flatten()
    net.save("mul_gate")


def products():
    def head(name, build, channels=6):
        net = Net(channels=channels, height="H", width="W")
        net.then("GlobalAveragePool")
        net.flatten()
        build(net)
        net.save(name, 5, 7)

    head("gemm", lambda net: net.linear(6, 10))
    head("gemm_not_transposed", lambda net: net.then("Gemm", net.weights(6, 10), net.weights(1, 10)))
    head("gemm_alpha_beta", lambda net: net.linear(6, 10, alpha=.5, beta=2.))
    head("gemm_scalar_bias", lambda net: net.then("Gemm", net.weights(6, 10), net.constant(np.float32(.5))))
    head("gemm_no_bias", lambda net: net.then("Gemm", net.weights(10, 6), transB=1))
    head("matmul", lambda net: net.then("MatMul", net.weights(6, 10)))

    def with_bias(net):
        net.then("MatMul", net.weights(6, 10))
        net.node("Add", net.weights(10, scale=.5), net.x)
    head("matmul_add", with_bias)

    def residual(net):
        before = net.x
        net.linear(6, 6)
        net.then("Add", before)
        net.then("Relu")
    head("linear_residual", residual)

    def softmax(net):
        net.linear(6, 10)
        net.then("Softmax", axis=-1)
    head("softmax", softmax)


# ---- Pools ------------------------------------------------------------------------------------------------------------

def pools():
    for name, op, opset, attributes in [
            ("max_pool", "MaxPool", 13, dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
            ("max_pool_ceil", "MaxPool", 13, dict(kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)),
            ("max_pool_uneven", "MaxPool", 13, dict(kernel_shape=[3, 2], strides=[2, 1], pads=[0, 1, 1, 0])),
            ("max_pool_same", "MaxPool", 13, dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")),
            ("max_pool_dilated", "MaxPool", 13, dict(kernel_shape=[2, 2], dilations=[2, 2])),
            ("average_pool", "AveragePool", 13, dict(kernel_shape=[2, 2], strides=[2, 2])),
            ("average_pool_exclude", "AveragePool", 13, dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
            ("average_pool_include", "AveragePool", 13, dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1],
                                                             count_include_pad=1)),
            ("average_pool_ceil", "AveragePool", 13, dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)),
            ("average_pool_uneven", "AveragePool", 13, dict(kernel_shape=[3, 3], pads=[0, 1, 2, 0])),
            ("average_pool_same", "AveragePool", 13, dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER")),
            ("average_pool_whole", "AveragePool", 13, dict(kernel_shape=[9, 11])),
            ("global_average", "GlobalAveragePool", 13, {}),
            ("reduce_mean", "ReduceMean", 13, dict(axes=[2, 3], keepdims=1)),
            ("reduce_mean_negative", "ReduceMean", 11, dict(axes=[-1, -2], keepdims=0))]:
        net = Net(opset=opset)
        net.then(op, **attributes)
        if name != "reduce_mean_negative":
            net.flatten()
        net.save(name)
    net = Net(opset=18)
    net.then("ReduceMean", net.ints(2, 3), keepdims=0)
    net.save("reduce_mean_input")


# ---- Shapes -----------------------------------------------------------------------------------------------------------

def shapes():
    net = Net()
    net.flatten()
    net.save("flatten")
    net = Net(batch=2)
    net.then("Reshape", net.ints(2, -1))
    net.save("reshape_fixed_batch")
    net = Net()
    net.then("Reshape", net.ints(-1, 4 * 9 * 11))
    net.save("reshape_open_batch")
    net = Net(batch=2, opset=14)
    net.then("Reshape", net.ints(2, -1), allowzero=1)
    net.save("reshape_allowzero")
    net = Net()
    net.then("Reshape", net.ints(0, 2, 2, 99))
    net.then("Transpose", perm=[0, 2, 1, 3])
    net.then("Reshape", net.ints(0, 0, -1))
    net.flatten()
    net.save("reshape_transpose")
    net = Net(height="H", width="W")
    net.conv(4, 6, 3)
    pooled = net.then("GlobalAveragePool")
    net.then("Shape")
    net.then("Gather", net.constant(np.int64(0)), axis=0)
    net.then("Unsqueeze", net.ints(0))
    net.then("Concat", net.ints(-1), axis=0)
    net.node("Reshape", pooled, net.x)
    net.linear(6, 3)
    net.save("reshape_computed", 8, 6)
    net = Net(opset=11)
    net.then("Shape")
    net.then("Slice", net.ints(0), net.ints(1), net.ints(0))
    first = net.x
    net.node("Gather", net.node("Shape", "x"), net.constant(np.array([1, 2, 3], np.int64)))
    rest = net.x
    product = net.node("Mul", net.node("Gather", rest, net.constant(np.array([0], np.int64))),
                       net.node("Gather", rest, net.constant(np.array([1], np.int64))))
    product = net.node("Mul", product, net.node("Gather", rest, net.constant(np.array([2], np.int64))))
    net.node("Reshape", "x", net.node("Concat", first, product, axis=0))
    net.save("reshape_product")
    net = Net(opset=11)
    net.then("GlobalAveragePool")
    net.then("Squeeze", axes=[2, 3])
    net.save("squeeze_opset11")
    net = Net()
    net.then("GlobalAveragePool")
    net.then("Squeeze", net.ints(3))
    net.then("Unsqueeze", net.ints(-1))
    net.then("Squeeze", net.ints(-1, -2))
    net.save("squeeze_unsqueeze")
    net = Net()
    net.then("Transpose", perm=[0, 2, 3, 1])
    net.then("Reshape", net.ints(0, -1))
    net.save("transpose")
    net = Net()
    a = net.conv(4, 3, 3, pads=[1, 1, 1, 1])
    b = net.node("Sigmoid", "x")
    net.node("Concat", a, b, "x", axis=1)
    net.flatten()
    net.save("concat")
    net = Net()
    net.node("Concat", "x", net.node("Relu", "x"), axis=-1)
    net.flatten()
    net.save("concat_width")
    net = Net(opset=12)
    net.then("Identity")
    net.then("Dropout", net.constant(np.float32(.3)))
    net.flatten()
    net.then("Identity")
    net.save("dropout")
    net = Net(opset=7)
    net.flatten()
    net.then("Dropout", ratio=.25)
    net.save("dropout_opset7")


def paddings():
    for name, opset in (("pad_conv", 13), ("pad_conv_opset10", 10), ("pad_average", 13), ("pad_max", 13)):
        net = Net(opset=opset)
        if name == "pad_max":
            net.then("Relu")
        if opset < 11:
            net.then("Pad", pads=[0, 0, 1, 2, 0, 0, 0, 1])
        else:
            net.then("Pad", net.ints(0, 0, 1, 1, 0, 0, 1, 1), net.constant(np.float32(0)))
        if name == "pad_average":
            net.then("AveragePool", kernel_shape=[3, 3], strides=[2, 2])
        elif name == "pad_max":
            net.then("MaxPool", kernel_shape=[3, 3], strides=[2, 2])
        else:
            net.conv(4, 5, 3, strides=[2, 2])
        net.flatten()
        net.save(name)


def noises():
    def net_with(kind):
        net = Net()
        net.conv(4, 6, 3)
        if kind == "own":
            net.then("GaussianNoise", domain="ai.infomask", sigma=.3)
        elif kind == "portable":
            y = net.x
            net.then("RandomNormalLike", scale=1.)
            net.node("Add", y, net.then("Mul", net.constant(np.float32(.3))))
        net.then("GlobalAveragePool")
        net.flatten()
        net.linear(6, 5)
        return net

    quiet = net_with("none")
    net_with("own").save("noise_own", golden=quiet)
    net_with("portable").save("noise_portable", golden=quiet)


def types():
    for name, dtype, to in (("half_weights", np.float16, 1), ("double_weights", np.float64, 1)):
        net = Net()
        w = net.node("Cast", net.constant((net.random.standard_normal((5, 4, 3, 3)) / 6).astype(dtype)), to=to)
        net.node("Conv", "x", w)
        net.flatten()
        net.save(name)
    net = Net()
    w = numpy_helper.from_array((net.random.standard_normal((5, 4, 3, 3)) / 6).astype(np.float32), "typed")
    w = helper.make_tensor("typed", TensorProto.FLOAT, w.dims, numpy_helper.to_array(w).ravel().tolist())
    net.constants.append(w)
    net.node("Conv", "x", "typed")
    net.flatten()
    net.save("typed_weights")
    net = Net()  # weights that the file computes
    w = net.node("Mul", net.weights(5, 3, 3, 4), net.constant(np.float32(.5)))
    w = net.node("Transpose", w, perm=[0, 3, 1, 2])
    net.node("Conv", "x", w)
    net.flatten()
    net.save("computed_weights")


# ---- Networks ---------------------------------------------------------------------------------------------------------

def squeeze_excite(net, channels, gate, **attributes):
    y = net.x
    net.then("GlobalAveragePool")
    net.conv(channels, channels // 4, 1)
    net.then("Relu")
    net.conv(channels // 4, channels, 1)
    net.then(gate, **attributes)
    return net.node("Mul", y, net.x)


def head(net, channels, classes=10):
    net.then("GlobalAveragePool")
    net.flatten()
    net.linear(channels, classes)


def networks():
    def conv_norm(net, *arguments, **attributes):
        net.conv(*arguments, bias=False, **attributes)
        return net.norm(arguments[1])

    net = Net(3, "H", "W")  # ResNet: a plain block, then one with a convolution beside it
    conv_norm(net, 3, 8, 3, pads=[1, 1, 1, 1], strides=[2, 2])
    x = net.then("Relu")
    net.then("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.x
    conv_norm(net, 8, 8, 3, pads=[1, 1, 1, 1])
    net.then("Relu")
    conv_norm(net, 8, 8, 3, pads=[1, 1, 1, 1])
    net.then("Add", x)
    x = net.then("Relu")
    conv_norm(net, 8, 12, 3, pads=[1, 1, 1, 1], strides=[2, 2])
    net.then("Relu")
    main = conv_norm(net, 12, 12, 3, pads=[1, 1, 1, 1])
    net.x = x
    conv_norm(net, 8, 12, 1, strides=[2, 2])
    net.node("Add", main, net.x)
    net.then("Relu")
    head(net, 12)
    net.save("net_resnet", 29, 33)

    for name, opset in (("net_mobilenetv3", 14), ("net_mobilenetv3_opset17", 17)):
        net = Net(3, 32, 32, opset=opset, batch=1, n=1)
        conv_norm(net, 3, 8, 3, pads=[1, 1, 1, 1], strides=[2, 2])
        x = net.then("HardSwish")
        conv_norm(net, 8, 16, 1)
        net.then("HardSwish")
        conv_norm(net, 16, 16, 5, groups=16, pads=[2, 2, 2, 2])
        net.then("HardSwish")
        squeeze_excite(net, 16, "HardSigmoid", alpha=1 / 6)
        conv_norm(net, 16, 8, 1)
        net.node("Add", x, net.x)
        head(net, 8)
        net.save(name)

    net = Net(3, "H", "W")  # EfficientNet: SiLU, squeeze and excite
    def silu():
        y = net.x
        net.node("Mul", y, net.then("Sigmoid"))
    conv_norm(net, 3, 8, 3, pads=[0, 0, 1, 1], strides=[2, 2])
    silu()
    conv_norm(net, 8, 8, 3, groups=8, pads=[1, 1, 1, 1])
    silu()
    squeeze_excite(net, 8, "Sigmoid")
    conv_norm(net, 8, 8, 1)
    head(net, 8)
    net.save("net_efficientnet", 24, 20)

    net = Net(3, "H", "W")  # DenseNet: what is concatenated is read again
    x = net.conv(3, 6, 3, pads=[1, 1, 1, 1])
    channels = 6
    for _ in range(2):
        net.norm(channels)
        net.then("Relu")
        y = net.conv(channels, 4, 3, pads=[1, 1, 1, 1])
        x = net.node("Concat", x, y, axis=1)
        channels += 4
    net.norm(channels)
    net.then("Relu")
    net.conv(channels, 8, 1)
    net.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    head(net, 8)
    net.save("net_densenet", 14, 17)

    net = Net(3, "H", "W")  # Inception
    x = net.x
    branches = [net.conv(3, 4, 1)]
    net.x = x
    net.conv(3, 4, 1)
    net.then("Relu")
    net.conv(4, 4, (1, 7), pads=[0, 3, 0, 3])
    branches.append(net.conv(4, 4, (7, 1), pads=[3, 0, 3, 0]))
    net.x = x
    net.then("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    branches.append(net.conv(3, 4, 1))
    net.node("Concat", *branches, axis=1)
    net.then("Relu")
    head(net, 12)
    net.save("net_inception", 13, 15)

    net = Net(3, "H", "W")  # MobileNetV2 / MCUNet: bottlenecks with ReLU6
    conv_norm(net, 3, 8, 3, pads=[1, 1, 1, 1], strides=[2, 2])
    zero, six = net.constant(np.float32(0)), net.constant(np.float32(6), node=True)
    x = net.then("Clip", zero, six)
    for _ in range(2):
        conv_norm(net, 8, 24, 1)
        net.then("Clip", zero, six)
        conv_norm(net, 24, 24, 3, groups=24, pads=[1, 1, 1, 1])
        net.then("Clip", zero, six)
        conv_norm(net, 24, 8, 1)
        x = net.node("Add", x, net.x)
    head(net, 8)
    net.save("net_mobilenetv2", 22, 26)

    for opset in (7, 11, 13, 17):  # LeNet on 28 x 28
        net = Net(1, 28, 28, opset=opset, batch=1, n=1)
        net.conv(1, 6, 5, pads=[2, 2, 2, 2])
        net.then("Relu")
        net.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        net.conv(6, 8, 5)
        net.then("Relu")
        net.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        net.then("Reshape", net.ints(1, 200)) if opset == 11 else net.flatten()
        net.linear(200, 20)
        net.then("Relu")
        net.linear(20, 10)
        net.save(f"net_lenet_opset{opset}")

    net = Net(3, "H", "W", opset=9)  # SqueezeNet: the head is a convolution
    net.conv(3, 8, 3, strides=[2, 2])
    net.then("Relu")
    squeezed = net.conv(8, 4, 1)
    squeezed = net.then("Relu")
    a = net.conv(4, 6, 1)
    a = net.then("Relu")
    net.x = squeezed
    net.conv(4, 6, 3, pads=[1, 1, 1, 1])
    net.node("Concat", a, net.then("Relu"), axis=1)
    net.then("Dropout", ratio=.5)
    net.conv(12, 10, 1)
    net.then("Relu")
    net.then("GlobalAveragePool")
    net.flatten()
    net.save("net_squeezenet", 21, 21)

    net = Net(3, 16, 16, opset=11, batch=1, n=1)  # a head of a pool over the whole map, as older files have it
    net.conv(3, 8, 3, pads=[1, 1, 1, 1], strides=[2, 2])
    net.then("Relu")
    net.then("AveragePool", kernel_shape=[8, 8])
    net.then("Reshape", net.ints(1, -1))
    net.linear(8, 10)
    net.then("Softmax", axis=1)
    net.save("net_fixed_pool")


def main():
    for make in (convolutions, normalisations, activations, arithmetic, products, pools, shapes, paddings, noises, types,
                 networks):
        make()
    refusals()
    (HERE / "cases.txt").write_text("\n".join(CASES) + "\n")
    (HERE / "refusals.txt").write_text("\n".join(REFUSALS) + "\n")


if __name__ == "__main__":
    main()
