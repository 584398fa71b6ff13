#!/usr/bin/env python3
"""onnxruntime's own int8 of a network, for its speed: static QDQ quantisation, u8 activations and s8 weights by channel,
calibrated on random inputs (so its answers are of no use).

    make_qdq.py MODEL OUT
"""
import sys

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static


class Noise(CalibrationDataReader):
    def __init__(self, model):
        self.name = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()[0].name
        random = np.random.default_rng(0)
        self.left = [random.uniform(-1, 1, (1, 3, 224, 224)).astype(np.float32) for _ in range(4)]

    def get_next(self):
        return {self.name: self.left.pop()} if self.left else None


def main():
    model, out = sys.argv[1:]
    quantize_static(model, out, Noise(model), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)


if __name__ == "__main__":
    main()
