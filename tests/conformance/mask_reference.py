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
