#!/usr/bin/env python3
"""How well the label audit finds wrong labels, beside cleanlab: python3 tests/bench/audit.py AUDIT DATA [--peers] [--draws N]

1,000 test pictures a draw, of MNIST and Fashion-MNIST (DATA, `make data`), through classifiers of scikit-learn that saw a
few thousand others: a network, one that memorised (over-confident), a linear one (under-confident); each also with its
logits halved and doubled.  5, 30 and 100 labels are changed at random.  `found`: wrong ones among the first 1.5 N of the
ranking; `false` and `expected`: right labels among these, true and as told; F1 of the cut.
"""
import argparse
import gzip
import pathlib
import subprocess
import tempfile
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier


def idx(path):
    data = gzip.open(path).read()
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def models(folder):
    """(name, logits, labels) of the test pictures."""
    x = idx(folder / "train-images-idx3-ubyte.gz").reshape(60000, -1)[:12000] / 255
    y = idx(folder / "train-labels-idx1-ubyte.gz")[:12000]
    test = idx(folder / "t10k-images-idx3-ubyte.gz").reshape(10000, -1) / 255
    labels = idx(folder / "t10k-labels-idx1-ubyte.gz").astype(np.int32)
    for name, n, model in (("network", 12000, MLPClassifier((128,), max_iter=12, random_state=0)),
                           ("memorised", 4000, MLPClassifier((256,), max_iter=60, alpha=1e-6, random_state=0)),
                           ("linear", 3000, LogisticRegression(C=0.01, max_iter=100))):
        model.fit(x[:n], y[:n])
        yield f"{folder.name} {name}", np.log(np.maximum(model.predict_proba(test), 1e-30)).astype(np.float32), labels


def f1(past, wrong):
    return 2 * (past & wrong).sum() / max(past.sum() + wrong.sum(), 1)


def ours(binary, z, y):
    with tempfile.NamedTemporaryFile() as file:
        np.array(z.shape, np.int32).tofile(file)
        z.tofile(file)
        y.astype(np.int32).tofile(file)
        file.flush()
        text = subprocess.run([binary, file.name], check=True, capture_output=True, text=True).stdout.splitlines()
    threshold = float(text[0].split()[0])
    rows = np.array([line.split() for line in text[1:]], float)
    return rows[:, 0], rows[:, 1], rows[:, 0] <= threshold + 1e-9


def peers(z, y, wrong, first):
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
    p = np.exp(z - z.max(1, keepdims=True))
    p = (p / p.sum(1, keepdims=True)).astype(float)
    out = {}
    for method in ("self_confidence", "normalized_margin"):
        order = np.argsort(get_label_quality_scores(y, p, method=method), kind="stable")
        out[f"found {method}"] = wrong[order[:first]].sum() / wrong.sum()
    for method in ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given"):
        out[f"F1 {method}"] = f1(find_label_issues(y, p, filter_by=method, n_jobs=1), wrong)
    return out


def draw(args, z, y, count, seed, total):
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(y), 1000, replace=False)
    z, y, wrong = z[rows], y[rows].copy(), np.zeros(1000, bool)
    changed = rng.choice(1000, count, replace=False)
    y[changed] = (y[changed] + rng.integers(1, z.shape[1], count)) % z.shape[1]
    wrong[changed] = True
    first = int(1.5 * count + 0.5)
    pmi, expected, past = ours(args.binary, np.ascontiguousarray(z), y)
    order = np.argsort(pmi, kind="stable")[:first]
    row = {"found": wrong[order].sum() / count, "false": (~wrong[order]).sum() * args.draws, "F1": f1(past, wrong),
           "expected": expected[order[-1]] * args.draws, **(peers(z, y, wrong, first) if args.peers else {})}
    for key, value in row.items():
        total[key] = total.get(key, 0) + value / args.draws


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--draws", type=int, default=20)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in ("mnist", "fashion"):
        for model, z, y in models(args.data / name):
            for scale in (1, 0.5, 2):
                for count in (5, 30, 100):
                    total = {}
                    for seed in range(args.draws):
                        draw(args, z * np.float32(scale), y, count, seed, total)
                    print(f"{model:18} x{scale:<4}{count:4} wrong:", ", ".join(f"{k} {v:.3g}" for k, v in total.items()),
                          flush=True)


main()
