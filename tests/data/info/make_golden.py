#!/usr/bin/env python3
"""Golden data of core/info: samples of a wrong model and what an independent implementation in NumPy makes of them.

    python3 tests/data/info/make_golden.py > tests/data/info/golden.json

It shares no code with the C sources; every number in the file is compared at 1e-9 by tests/unit/info/test_estimate.c
(the betting limit, which is rounded down, at a hundredth of the standard error).
Needs numpy and scipy.
"""
import json
import numpy as np
from scipy import optimize, special, stats

MASK = 2**64 - 1


def order(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    h = ((h ^ h >> 30) * 0xBF58476D1CE4E5B9) & MASK
    h = ((h ^ h >> 27) * 0x94D049BB133111EB) & MASK
    return h ^ h >> 31


def log_softmax(z):
    return z - special.logsumexp(z, axis=-1, keepdims=True)


def philox(seed, stream):
    """32-bit words of Philox4x32-10 (Salmon et al. 2011), key = seed, counter = (index, stream)."""
    index = 0
    while True:
        c = [index & 0xFFFFFFFF, index >> 32, stream & 0xFFFFFFFF, stream >> 32]
        key = [seed & 0xFFFFFFFF, seed >> 32]
        for _ in range(10):
            a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(b >> 32) ^ c[1] ^ key[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ key[1], a & 0xFFFFFFFF]
            key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
        yield from c
        index += 1


def below(words, bound):
    while True:
        product = next(words) * bound
        if product & 0xFFFFFFFF >= 2**32 % bound:
            return product >> 32


def shuffled(x, stream):
    words, place = philox(0x6265747321, stream), list(range(len(x)))
    for i in range(len(x) - 1, 0, -1):
        j = below(words, i + 1)
        place[i], place[j] = place[j], place[i]
    return x[place]


def capital(x, goal, m):
    """What the bettor of docs/information.md has at the end of one order, for each claim m."""
    n, sum_, squares, w, most = len(x), 0.7, 0.05, np.ones_like(m), 1.5 * goal
    for i in range(n):
        sd = np.sqrt(squares / (i + 1))
        if sd * np.sqrt(n) < 2:
            w = w * (1 + np.minimum(np.sqrt(2 * np.log(goal) / n) / sd, 0.9 / m) * (x[i] - m))
        else:
            curve = stats.norm.pdf(stats.norm.ppf(np.clip(w / most, 1e-300, 1 - 1e-16)))
            stake = np.minimum(most * curve / (sd * np.sqrt(n - i)), np.minimum(0.9 * w, most - w))
            w = w + np.maximum(stake, 0) * (x[i] - m)
        sum_ += x[i]
        squares += (x[i] - sum_ / (i + 2)) ** 2
    return w


def betting(x, confidence):
    x, goal = np.sort(x), 1 / (1 - confidence)
    orders = [shuffled(x, k) for k in range(min(max(2**17 // len(x), 8), 64))]
    low, high = 0.0, x.mean()
    for _ in range(4):
        m = low + (high - low) * np.arange(1, 100) / 100
        count = int((np.mean([capital(row, goal, m) for row in orders], axis=0) >= goal).sum())
        low, high = (m[count - 1] if count else low), (m[count] if count < len(m) else high)
    return low


def limits(ids, y, log_q, confidence):
    n = len(y)
    guard = min(1e-3, 1 / n)
    f = np.bincount(y) / n
    pmi = log_q - np.log(f[y])
    v = np.log((1 - guard) * np.exp(pmi) + guard)
    low, high = np.log(guard), -np.log(f[f > 0].min())
    x = (v - low) / (high - low)
    l = np.log(2 / (1 - confidence))
    bernstein = x.mean() - x.std(ddof=1) * np.sqrt(2 * l / n) - 7 * l / (3 * (n - 1))
    return min(low + (high - low) * betting(x, confidence), pmi.mean()), low + (high - low) * bernstein


def entropy(p):
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def report(z, y, ids, prior, logit_prior, smoothing):
    n, k = z.shape
    lt, lr = np.log(prior), np.log(logit_prior)
    d = log_softmax(z)
    if smoothing > 0:
        p = np.maximum(np.exp(d) - smoothing / k, 0.01 * (np.exp(d) + smoothing / k) / 2)
        d = np.log(p / p.sum(1, keepdims=True))
    lq = log_softmax(d + lt - lr)
    q, r = np.exp(lq), np.arange(n)
    f = np.bincount(y, minlength=k) / n
    given = lq[r, y]
    v = given - np.log(f[y])
    h = entropy(f)
    kl = (q * (lq - lt)).sum(1)
    predicted = q.argmax(1)
    confidence = q.max(1)
    bins = np.minimum((confidence * 15).astype(int), 14)
    ece = sum(abs(confidence[bins == b].sum() - (predicted == y)[bins == b].sum()) for b in range(15)) / n

    def ce(b):
        return -log_softmax(b * d + lt - lr)[r, y].mean()

    b = optimize.minimize_scalar(ce, bounds=(0.125, 8), method="bounded", options={"xatol": 1e-12}).x
    error = 1 - (predicted == y).mean()
    counts = np.bincount(y, minlength=k)
    spread = [given[y == c].std(ddof=1) for c in range(k)]
    joint = np.zeros((k, k))
    np.add.at(joint, (y, predicted), 1 / n)
    g = 2 * sum(counts[c] * (np.log(f[c]) - lt[c]) for c in range(k) if counts[c])
    lower, bernstein = limits(ids, y, given, 0.975)
    brier = ((q - np.eye(k)[y]) ** 2).sum(1).mean()
    estimate = v.mean()
    return {
        "accuracy": (predicted == y).mean(), "log_loss": -given.mean(), "label_entropy": h, "estimate": estimate,
        "deviation": v.std(ddof=1), "standard_error": v.std(ddof=1) / np.sqrt(n),
        "lower_limit_t": estimate - stats.t.ppf(0.975, n - 1) * v.std(ddof=1) / np.sqrt(n),
        "fraction": estimate / h, "plug_in": kl.mean(), "plug_in_deviation": kl.std(ddof=1),
        "overconfidence": kl.mean() - estimate, "mean_entropy": -(q * lq).sum(1).mean(), "ece": ece, "brier": brier,
        "fano": h - entropy(np.array([error, 1 - error])) - error * np.log(k - 1),
        "stratified": sum(prior[c] * (given[y == c].mean() - lt[c]) for c in range(k)),
        "stratified_error": np.sqrt(sum((prior[c] * spread[c]) ** 2 / counts[c] for c in range(k))),
        "prior_chi2": g, "prior_p_value": stats.chi2.sf(g, k - 1),
        "betting": lower, "bernstein": bernstein,
        "confusion": entropy(joint.sum(0)) + entropy(joint.sum(1)) - entropy(joint.ravel()),
        "fitted": {"temperature": 1 / b, "calibrated_estimate": h - ce(b)},  # to 1e-6: interpolated
        "class_log_q": [float(given[y == c].sum()) for c in range(k)],
    }


def case(name, rng, n, prior, logit_prior, smoothing, sharpness):
    k = len(prior)
    truth = rng.dirichlet(np.full(k, 3.0))
    y = np.concatenate([np.repeat(np.arange(k), 2), rng.choice(k, n - 2 * k, p=truth)])
    z = (sharpness * np.eye(k)[y] + rng.standard_normal((n, k)) * 1.5).astype(np.float32)
    ids = [f"{name}-{i}.jpg" for i in range(n)]
    return {"name": name, "prior": prior.tolist(), "logit_prior": logit_prior.tolist(), "smoothing": smoothing,
            "labels": y.tolist(), "logits": [[float(v) for v in row] for row in z],
            "expected": report(z.astype(float), y, ids, prior, logit_prior, smoothing)}


def main():
    rng = np.random.default_rng(6)
    uniform, skew = np.full(4, 0.25), np.array([0.5, 0.3, 0.15, 0.05])
    cases = [case("plain", rng, 120, uniform, uniform, 0.0, 2.0),
             case("unbalanced", rng, 120, skew, skew, 0.0, 1.0),
             case("shifted", rng, 120, skew, uniform, 0.0, 2.5),
             case("smoothed", rng, 120, uniform, skew, 0.05, 1.5),
             case("sharp", rng, 150, np.full(7, 1 / 7), np.full(7, 1 / 7), 0.0, 12.0)]
    t, df = [-3.0, -0.5, 0.0, 1.0, 10.0], [1, 2, 7.5, 30, 1e6]
    tables = {
        "student_cdf": [[a, b, stats.t.cdf(a, b)] for a in t for b in df],
        "student_quantile": [[p, b, stats.t.ppf(p, b)] for p in (0.01, 0.5, 0.9, 0.975, 0.9999) for b in df],
        "chi2_tail": [[x, b, stats.chi2.sf(x, b)] for x in (0.1, 1.0, 5.0, 40.0, 1100.0) for b in (1, 4, 30, 999)],
        "order": [[s, str(order(s))] for s in ("", "a", "photo-1.jpg", "\u00e4/\u4e2d.png")],
    }
    print(json.dumps({"cases": cases, **tables}, indent=None, separators=(",", ":")))


main()
