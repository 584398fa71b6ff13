#!/usr/bin/env python3
"""Make model.onnx of ResNet-50, torchvision's graph, with random weights: for speed, not for answers.

    make_resnet50.py MODEL.onnx [SEED]

Every BatchNorm is folded into its convolution, as torch.onnx.export does it.  Weights are normal with variance
2 / inputs; the last convolution of each block is a fifth of that, so that sixteen residual sums stay of one size.
"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "config"))
from convert_efficientnet_lite0 import Graph  # noqa: E402  (its writer of ONNX files)

STAGES = [(3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)]  # blocks, width, stride of the first block
EXPANSION, CLASSES = 4, 1000


class Network:
    def __init__(self, seed):
        self.graph, self.random = Graph(any_size=False), np.random.default_rng(seed)

    def weights(self, name, shape, scale=1.0):
        deviation = scale * np.sqrt(2 / np.prod(shape[1:]))
        values = self.random.normal(0, deviation, shape).astype(np.float32)
        bias = self.random.normal(0, 0.1, shape[0]).astype(np.float32)
        return [self.graph.constant(name + ".weight", shape, values.ravel().tolist()),
                self.graph.constant(name + ".bias", shape[:1], bias.tolist())]

    def conv(self, name, x, c_in, c_out, kernel, stride, relu=True, scale=1.0):
        pad = kernel // 2
        y = self.graph.node("Conv", name, [x] + self.weights(name, [c_out, c_in, kernel, kernel], scale),
                            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[pad] * 4)
        return self.graph.node("Relu", name + ".relu", [y]) if relu else y

    def bottleneck(self, name, x, c_in, width, stride):
        out = width * EXPANSION
        y = self.conv(name + ".conv1", x, c_in, width, 1, 1)
        y = self.conv(name + ".conv2", y, width, width, 3, stride)
        y = self.conv(name + ".conv3", y, width, out, 1, 1, relu=False, scale=0.2)
        if c_in != out:
            x = self.conv(name + ".downsample", x, c_in, out, 1, stride, relu=False, scale=0.7)
        return self.graph.node("Relu", name + ".relu", [self.graph.node("Add", name + ".add", [y, x])])

    def build(self):
        x, channels = self.conv("conv1", "input", 3, 64, 7, 2), 64
        x = self.graph.node("MaxPool", "maxpool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        for stage, (blocks, width, stride) in enumerate(STAGES):
            for block in range(blocks):
                x = self.bottleneck(f"layer{stage + 1}.{block}", x, channels, width, stride if block == 0 else 1)
                channels = width * EXPANSION
        x = self.graph.node("GlobalAveragePool", "avgpool", [x])
        x = self.graph.node("Flatten", "flatten", [x], axis=1)
        self.graph.node("Gemm", "fc", [x] + self.weights("fc", [CLASSES, channels]), transB=1)
        return self.graph.model("resnet50", [("input", ["N", 3, "H", "W"])], [("fc", ["N", CLASSES])],
                                "ResNet-50 with random weights")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.split("\n\n")[1].strip())
    part = f"{sys.argv[1]}.{os.getpid()}.part"
    with open(part, "wb") as file:
        file.write(Network(int(sys.argv[2]) if len(sys.argv) == 3 else 0).build())
    os.replace(part, sys.argv[1])


if __name__ == "__main__":
    main()
