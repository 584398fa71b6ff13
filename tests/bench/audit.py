#!/usr/bin/env python3
"""How well the label audit finds wrong labels, beside cleanlab: python3 tests/bench/audit.py AUDIT DATA [--peers] [--draws N]

1,000 test pictures a draw, of MNIST and Fashion-MNIST (DATA, `make data`), through classifiers of scikit-learn that saw a
few thousand others: a network, one that memorised (over-confident), a linear one (under-confident); each also with its
logits halved and doubled.  5, 30 and 100 labels are changed at random.  `found`: wrong ones among the first 1.5 N of the
ranking; `false` and `expected`: right labels among these, true and as told; F1 of the cut.

Then the same for sets of two or three classes and 150 to 800 rows, by classifiers that have not seen the row they are asked
about (five folds); 1, 3 and 10 % of the labels are changed.
"""
import argparse
import gzip
import pathlib
import subprocess
import tempfile
import warnings

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


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


def small_sets():
    """(name, rows, labels)"""
    for name, load in (("cancer", load_breast_cancer), ("wine", load_wine), ("iris", load_iris)):
        yield (name, *load(return_X_y=True))
    x, y = load_digits(return_X_y=True)
    for one, other in ((3, 8), (1, 7)):
        either = (y == one) | (y == other)
        yield f"digits {one} {other}", x[either], (y[either] == other).astype(int)
    for n, apart, share in ((200, 1, 0.5), (200, 2, 0.5), (600, 1, 0.5), (600, 2, 0.5), (800, 1.5, 0.9)):
        x, y = make_classification(n, 20, n_informative=5, class_sep=apart, weights=[share], flip_y=0, random_state=7)
        yield f"drawn {n} {apart} {share}", x, y


def small_models():
    """(name, logits, labels)"""
    makers = {"logistic": lambda: LogisticRegression(max_iter=500), "forest": lambda: RandomForestClassifier(60, random_state=0),
              "calibrated": lambda: CalibratedClassifierCV(RandomForestClassifier(40, random_state=0), cv=3), "Bayes": GaussianNB,
              "network": lambda: MLPClassifier((32,), max_iter=150, random_state=0)}
    for name, x, y in small_sets():
        for model, make in makers.items():
            p = cross_val_predict(make_pipeline(StandardScaler(), make()), x, y, method="predict_proba",
                                  cv=StratifiedKFold(5, shuffle=True, random_state=0))
            yield f"{name} {model}", np.log(np.maximum(p, 1e-30)).astype(np.float32), y.astype(np.int32)


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
    n = min(1000, len(y))
    rows = rng.choice(len(y), n, replace=False)
    z, y, wrong = z[rows], y[rows].copy(), np.zeros(n, bool)
    changed = rng.choice(n, count, replace=False)
    y[changed] = (y[changed] + rng.integers(1, z.shape[1], count)) % z.shape[1]
    wrong[changed] = True
    first = int(1.5 * count + 0.5)
    pmi, expected, past = ours(args.binary, np.ascontiguousarray(z), y)
    order = np.argsort(pmi, kind="stable")[:first]
    row = {"found": wrong[order].sum() / count, "false": (~wrong[order]).sum() * args.draws, "F1": f1(past, wrong),
           "expected": expected[order[-1]] * args.draws, **(peers(z, y, wrong, first) if args.peers else {})}
    for key, value in row.items():
        total[key] = total.get(key, 0) + value / args.draws


def cell(args, name, z, y, count):
    total = {}
    for seed in range(args.draws):
        draw(args, z, y, count, seed, total)
    print(f"{name:26}{count:4} wrong:", ", ".join(f"{k} {v:.3g}" for k, v in total.items()), flush=True)
    return total


def sum_up(cells):
    """The mean F1 of the cut, and of each filter; cells where the cut is behind one of them."""
    f1s = {key: np.array([c[key] for c in cells]) for key in cells[0] if key.startswith("F1")}
    behind = np.sum(np.max([v for key, v in f1s.items()], 0) > f1s["F1"] + 1e-9)
    print(f"{len(cells)} cells, behind one filter or another in {behind}; means:",
          ", ".join(f"{key} {np.mean(v):.3f}" for key, v in f1s.items()), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--draws", type=int, default=20)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    sum_up([cell(args, f"{model} x{scale}", z * np.float32(scale), y, count)
            for name in ("mnist", "fashion") for model, z, y in models(args.data / name)
            for scale in (1, 0.5, 2) for count in (5, 30, 100)])
    sum_up([cell(args, model, z, y, max(1, round(share * len(y))))
            for model, z, y in small_models() for share in (0.01, 0.03, 0.1)])


main()
