"""How far a fill is from the truth for a network: features' cosine distance inside the hole, and KL of the classes."""
import numpy as np
import onnx
import onnxruntime
from PIL import Image

SIDE = 224
TENSORS = {8: "block4.add", 16: "block10.add", 32: "head.relu6"}


class Network:
    def __init__(self, path):
        model = onnx.load(path)
        self.names = list(TENSORS.values()) + [model.graph.output[0].name]
        for name in TENSORS.values():
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                                    providers=["CPUExecutionProvider"])

    def run(self, rgb):
        x = (np.asarray(rgb, np.float32) - 127) / 128
        return self.session.run(self.names, {"input": x.transpose(2, 0, 1)[None]})


def box_of(mask):
    """The square around the hole, half as long again as its box, moved into the photo."""
    h, w = mask.shape
    ys, xs = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    side = min(h, w, int(1.5 * max(ys[-1] - ys[0] + 1, xs[-1] - xs[0] + 1)))
    y = min(max(0, (ys[0] + ys[-1] + 1 - side) // 2), h - side)
    x = min(max(0, (xs[0] + xs[-1] + 1 - side) // 2), w - side)
    return x, y, x + side, y + side


def view(photo, box):
    return Image.fromarray(photo).crop(box).resize((SIDE, SIDE), Image.BICUBIC)


def log_softmax(z):
    z = z.astype(np.float64) - z.max()
    return z - np.log(np.exp(z).sum())


def compare(network, truth, fills, mask):
    """{name: (d/8, d/16, d/32, KL, PSNR)} of each fill."""
    box = box_of(mask)
    part = Image.fromarray((mask * 255).astype(np.uint8)).crop(box).resize((SIDE, SIDE), Image.BILINEAR)
    true = network.run(view(truth, box))
    log_p = log_softmax(true[-1][0])
    shares = {s: np.asarray(part.resize((SIDE // s, SIDE // s), Image.BOX), np.float64) / 255 for s in TENSORS}
    rows = {}
    for name, fill in fills.items():
        got = network.run(view(fill, box))
        row = []
        for i, stride in enumerate(TENSORS):
            a, b = true[i][0].astype(np.float64), got[i][0].astype(np.float64)
            cosine = (a * b).sum(0) / np.maximum(1e-12, np.sqrt((a * a).sum(0) * (b * b).sum(0)))
            inside = shares[stride] >= .5
            row.append(float((1 - cosine)[inside].mean()))
        log_q = log_softmax(got[-1][0])
        row.append(float((np.exp(log_p) * (log_p - log_q)).sum()))
        error = ((truth[mask].astype(np.float64) - fill[mask]) ** 2).mean()
        row.append(float(10 * np.log10(255 ** 2 / max(error, 1e-9))))
        rows[name] = row
    return rows
