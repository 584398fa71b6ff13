"""An ONNX file of convolutions, clips, sums, one pooling and one linear layer as a PyTorch module, for peers to time."""
import onnx
import torch
from onnx import numpy_helper


class Network(torch.nn.Module):
    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        values = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
        self.input, self.steps, self.layers = graph.input[0].name, [], torch.nn.ModuleList()
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                values[node.output[0]] = torch.from_numpy(numpy_helper.to_array(attributes["value"]).copy())
                continue
            layer = self.make(node, attributes, values)
            if node.op_type == "GlobalAveragePool":
                self.features = last
            self.layers.append(layer)
            last = layer
            self.steps.append((layer, [n for n in node.input if n and n not in values], node.output[0]))

    @staticmethod
    def make(node, attributes, values):
        weights = [values[n] for n in node.input if n in values]
        if node.op_type == "Conv":
            w, pads = weights[0], attributes.get("pads", [0, 0, 0, 0])
            layer = torch.nn.Conv2d(w.shape[1] * attributes.get("group", 1), w.shape[0], tuple(w.shape[2:]),
                                    tuple(attributes.get("strides", [1, 1])), 0, groups=attributes.get("group", 1),
                                    bias=len(weights) > 1)
            layer.weight.data = w
            if len(weights) > 1:
                layer.bias.data = weights[1]
            if pads[:2] == pads[2:]:
                layer.padding = tuple(pads[:2])
                return layer
            return torch.nn.Sequential(torch.nn.ZeroPad2d((pads[1], pads[3], pads[0], pads[2])), layer)
        if node.op_type == "BatchNormalization":
            layer = torch.nn.BatchNorm2d(len(weights[0]), eps=attributes.get("epsilon", 1e-5))
            layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var = weights
            return layer
        if node.op_type == "Gemm":
            layer = torch.nn.Linear(weights[0].shape[1], weights[0].shape[0])
            layer.weight.data, layer.bias.data = weights
            return layer
        return {"Clip": lambda: torch.nn.ReLU6(), "Relu": lambda: torch.nn.ReLU(), "Add": lambda: Add(),
                "GlobalAveragePool": lambda: torch.nn.AdaptiveAvgPool2d(1), "Flatten": lambda: torch.nn.Flatten(),
                "Reshape": lambda: torch.nn.Flatten(), "Squeeze": lambda: torch.nn.Flatten()}[node.op_type]()

    def forward(self, x):
        values = {self.input: x}
        for layer, inputs, output in self.steps:
            values[output] = layer(*(values[n] for n in inputs))
        return values[output]


class Add(torch.nn.Module):
    def forward(self, a, b):
        return a + b
