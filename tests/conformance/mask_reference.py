"""The steps of the mask chain (docs/masks.md) in NumPy and OpenCV, written from their formulas: the reference that the
C code is compared with.  Maps are [h, w]; features are [h, w, d]; W is [K, d]."""
import numpy as np

def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def log_softmax(z):
    m = z.max(-1, keepdims=True)
    return z - m - np.log(np.exp(z - m).sum(-1, keepdims=True))


def window_mean(f, k):
    """k x k mean of the cells, reflected so that the edge cell is repeated."""
    p = np.pad(f, ((k // 2, k // 2), (k // 2, k // 2), (0, 0)), mode="symmetric")
    h, w = f.shape[:2]
    return sum(p[i:i + h, j:j + w] for i in range(k) for j in range(k)) / (k * k)


def window_pmi(f, W, b, target, k, log_t=None, log_r=None):
    K = len(b)
    uniform = np.full(K, -np.log(K))
    log_t = uniform if log_t is None else log_t
    log_r = uniform if log_r is None else log_r
    z = window_mean(f.astype(np.float64), k) @ W.T.astype(np.float64) + b + log_t - log_r
    return log_softmax(z)[..., target] - log_t[target]


def infocam(f, W, b, target):
    K = len(b)
    w = (W[target] - W.mean(0)) * K / (K - 1)
    return f @ w + (b[target] - b.mean()) * K / (K - 1)


def gradcam_pp(f, W, target):
    """From its definition: alpha = g^2 / (2 g^2 + sum A g^3), g = dz/dA = w / n, weights = sum alpha max(g, 0)."""
    n = f.shape[0] * f.shape[1]
    g = W[target] / n
    alpha = g ** 2 / (2 * g ** 2 + f.sum((0, 1)) * g ** 3)
    return f @ (alpha * np.maximum(g, 0) * n)


def layercam(f, W, target):
    """sum_k max(dz/dA_k, 0) A_k, times the number of cells, positive part."""
    return np.maximum(f @ np.maximum(W[target], 0), 0)


def cells(tensors, weights):
    parts = []
    for t, weight in zip(tensors, weights):
        x = t.reshape(-1, t.shape[-1])
        x = (x - x.mean(0)) / (x.std(0) + 1e-3)
        parts.append(x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-6) * weight ** .5)
    x = np.concatenate(parts, 1)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def affinity(x, lab):
    d2 = ((lab[:, None] - lab[None]) ** 2).sum(-1)
    return np.maximum(x @ x.T, 0) ** 4 * np.exp(-d2 / (2 * 30.0 ** 2))


def spread(A, s, centre):
    q = sigmoid(6 * (s - centre))
    k = (2 * q - 1) ** 2
    d = A.sum(1)
    L = .01 / .99 * d * k / k.mean()
    p = np.linalg.solve(np.diag(d + L) - A, L * q)
    return (p - p.min()) / (p.max() - p.min())


def otsu(m):
    h = np.bincount(np.minimum((np.clip(m.ravel(), 0, 1) * 256).astype(int), 255), minlength=256) / m.size
    w0 = np.cumsum(h)
    mu = np.cumsum(h * np.arange(256))
    return ((((mu[-1] * w0 - mu) ** 2) / (w0 * (1 - w0) + 1e-9)).argmax() + .5) / 256


def object_threshold(soft, seeds):
    """1.1 Otsu; within what is above it once more, if that leaves out much that is faint and has next to no seeds."""
    low = 1.1 * otsu(soft)
    high = 1.1 * otsu(soft[soft > low])
    bright, faint = soft > high, (soft > low) & (soft <= high)
    if not bright.any() or faint.sum() < 20 * bright.sum() or seeds[faint].mean() > .25 * seeds[bright].mean():
        return low
    return high


def limbs(saliency, x, gate):
    """x and gate, raised where thin parts of the saliency, its white top-hat, hang together with the mask."""
    import cv2
    from scipy import ndimage
    top = saliency - cv2.morphologyEx(saliency.astype(np.float32), cv2.MORPH_OPEN, np.ones((15, 15), np.uint8))
    body = (x >= .5) & (gate >= .5)
    labels, _ = ndimage.label(body | (top >= .17), np.ones((3, 3)))
    parts = ~body & np.isin(labels, np.unique(labels[body])) & (top >= .17)
    value = np.where(ndimage.binary_dilation(parts, np.ones((3, 3))) & ~body, np.minimum(.5 + 2 * (top - .17), 1), 0)
    return np.maximum(x, value), np.maximum(gate, value)


def guided(image, p, r, eps):
    """He, Sun and Tang's colour guided filter, straight from the paper."""
    import cv2
    box = lambda a: cv2.boxFilter(a, -1, (2 * r + 1, 2 * r + 1), borderType=cv2.BORDER_REFLECT)
    I, p = image.astype(np.float64), p.astype(np.float64)
    mI, mp = box(I), box(p)
    cov = np.stack([box(I[..., c] * p) - mI[..., c] * mp for c in range(3)], -1)
    S = np.stack([np.stack([box(I[..., i] * I[..., j]) - mI[..., i] * mI[..., j] for j in range(3)], -1)
                  for i in range(3)], -2)
    a = np.linalg.solve(S + eps * np.eye(3), cov[..., None])[..., 0]
    b = mp - (a * mI).sum(-1)
    return (box(a) * I).sum(-1) + box(b)


# ---- The whole chain on a photo, with the network in onnxruntime -------------------------------------------------------

PRESETS = {  # side of the pass, centre of the seeds, weights of the tensors at strides 8, 16 and 32, radii
    "standard": (448, .45, {16: 1, 32: .5}, (10, 10)),
    "middle": (320, .45, {8: .5, 16: 1, 32: .4}, (16, 8)),
    "fast": (224, .5, {8: 1, 16: 1, 32: .2}, (20, 10)),
}


def bilinear(m, h, w):
    import cv2
    return cv2.resize(np.ascontiguousarray(m, np.float32), (w, h), interpolation=cv2.INTER_LINEAR)


def to_grid(t, h, w):
    """[H, W, C] -> [h, w, C]: bilinear if it grows, else the mean over each cell's area."""
    import cv2
    kind = cv2.INTER_LINEAR if t.shape[0] < h else cv2.INTER_AREA
    return np.stack([cv2.resize(np.ascontiguousarray(t[..., c]), (w, h), interpolation=kind)
                     for c in range(t.shape[-1])], -1)


def positive(m):
    return np.maximum(m, 0) / max(float(m.max()), 1e-6)


class Network:
    """A convolutional classifier with a pooled linear head, at any size of picture, with its inner tensors."""

    def __init__(self, path):
        import onnx
        import onnxruntime
        model = onnx.load(path)
        graph = model.graph
        shape = graph.input[0].type.tensor_type.shape.dim
        shape[2].dim_param, shape[3].dim_param = "height", "width"
        del graph.value_info[:]
        constants = {c.name: onnx.numpy_helper.to_array(c) for c in graph.initializer}
        head = [node for node in graph.node if node.op_type == "Gemm"][-1]
        pool = [node for node in graph.node if node.op_type == "GlobalAveragePool"][-1]
        self.W, self.b = (constants[name].astype(np.float32) for name in head.input[1:3])
        names = [pool.input[0]] + [node.output[0] for node in graph.node if node.op_type == "Add"]
        for name in names:
            graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        self.input, self.names = graph.input[0].name, names

    def __call__(self, photo, h, w):
        """The features [h/32, w/32, d] and every residual sum, for the whole PIL photo at h x w."""
        from PIL import Image
        x = (np.asarray(photo.resize((w, h), Image.BICUBIC), np.float32) - 127) / 128
        features, *sums = self.session.run(self.names, {self.input: x.transpose(2, 0, 1)[None].copy()})
        return features[0].transpose(1, 2, 0), [s[0].transpose(1, 2, 0) for s in sums]


def pass_size(photo, side):
    aspect = np.sqrt(np.clip(photo.width / photo.height, 1 / 4, 4))
    return tuple(max(2, int(np.rint(length / 32))) * 32 for length in (side / aspect, side * aspect))


def chosen(sums, features, weights):
    """The last sum of each channel count at strides 8 and 16, and the last one at 32; the first one at 16 if all there have as
    many channels, and none at 32 that has as many as the features: [(tensor, weight)]."""
    found = []
    for stride in (8, 16, 32):
        k = 32 // stride
        at = [s for s in sums if s.shape[:2] == (k * features.shape[0], k * features.shape[1])]
        last = {s.shape[2]: s for s in at} if stride < 32 else {0: at[-1]}
        taken = list(last.values())
        if stride == 16 and len(last) == 1 and len(at) > 1:
            taken.insert(0, at[0])
        if stride == 32 and found and taken[0].shape[2] == features.shape[2]:
            taken = []
        found += [(s, weights[stride]) for s in taken] if stride in weights else []
    return found


def chain(network, photo, target, quality="standard"):
    """saliency, x and gate at longest side 224, or None where the largest window PMI is under 0.29 log K."""
    import cv2
    from PIL import Image
    side, centre, weights, radii = PRESETS[quality]
    W, b, K = network.W, network.b, len(network.b)
    f, sums = network(photo, *pass_size(photo, side))
    win = window_pmi(f, W, b, target, 5)
    if win.max() < .29 * np.log(K):
        return None
    scale = 224 / max(photo.size)
    w, h = (max(1, int(np.rint(length * scale))) for length in photo.size)
    gh, gw = 2 * f.shape[0], 2 * f.shape[1]
    gate = np.clip(win / min(1, np.log(K) / 2), 0, 1)
    told = positive(np.maximum(infocam(f, W, b, target), 0) * gate)
    seeds = bilinear(told, gh, gw)
    guide = np.asarray(photo.resize((w, h), Image.BILINEAR), np.float32) / 255
    lab = cv2.cvtColor(cv2.resize(guide, (gw, gh), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB).reshape(-1, 3)
    tensors = chosen(sums, f, weights)
    x = cells([to_grid(t, gh, gw) for t, _ in tensors], [weight for _, weight in tensors])
    u = bilinear(spread(affinity(x, lab), seeds.ravel(), centre).reshape(gh, gw), h, w)
    soft = positive(guided(guide, u, 10, 1e-3))
    sharp = sigmoid(15 * (u - object_threshold(soft, bilinear(told, h, w))))
    for r in radii:
        sharp = np.clip(guided(guide, sharp, r, 1e-4), 0, 1)
    gate = bilinear(gate, h, w)
    saliency = (soft + sharp) / 2 * gate
    return saliency, *limbs(saliency, sharp, gate)
