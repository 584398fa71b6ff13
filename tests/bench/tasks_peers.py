#!/usr/bin/env python3
"""The tables that `tasks --write FOLDER` kept, beside scikit-learn: python3 tests/bench/tasks_peers.py FOLDER

A classifier's lower bound on the information is H(Y) less its cross-entropy on rows that it has not seen, five folds in
turn, cut without a look at the labels: in stratified folds a row's label has a say in the class frequencies that it is
judged by, worth (K - 1) / n nats.  The peers: logistic regression of standardised columns, and histogram gradient boosting as it comes and with early
stopping.  `ahead` is ours less the best of theirs, with the standard error of the paired difference a row; nats.  Fails
where ours is behind one of them by more than a standard error, over the seeds of a task together.
"""
import collections
import pathlib
import sys
import warnings

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PEERS = {
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "stopped": lambda: HistGradientBoostingClassifier(random_state=0, early_stopping=True),
}
FOLDS = 5


def read(path):
    data = path.read_bytes()
    n, columns, classes = np.frombuffer(data, np.uint32, 3).tolist()
    truth, at = np.frombuffer(data, np.float64, 1, 12)[0], 20
    x = np.frombuffer(data, np.float32, n * columns, at).reshape(n, columns)
    at += 4 * n * columns
    y = np.frombuffer(data, np.uint32, n, at).astype(int)
    return x, y, truth, np.frombuffer(data[at + 4 * n:], np.float64, n)


def held_out(make, x, y):
    """log q(label | row) of each row by the model of the folds without it."""
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    q = cross_val_predict(make(), x, y, cv=folds, method="predict_proba")
    return np.log(np.maximum(q[np.arange(len(y)), np.searchsorted(np.unique(y), y)], 1e-12))


def entropy(y):
    p = np.bincount(y) / len(y)
    return -(p[p > 0] * np.log(p[p > 0])).sum()


def compare(name, paths):
    ours, truths, differences, entropies = [], [], {peer: [] for peer in PEERS}, []
    for path in paths:
        x, y, truth, log_q = read(path)
        if np.bincount(y)[np.unique(y)].min() < FOLDS:
            return f"{name:26} a class has fewer than {FOLDS} rows: a fold may have all of them", False
        ours.append(log_q.mean())
        truths.append(truth)
        entropies.append(entropy(y))
        for peer, make in PEERS.items():
            differences[peer].append(log_q - held_out(make, x, y))
    all_rows = {peer: np.concatenate(rows) for peer, rows in differences.items()}
    mean = {peer: d.mean() for peer, d in all_rows.items()}
    error = {peer: d.std(ddof=1) / np.sqrt(len(d)) for peer, d in all_rows.items()}
    best = min(mean, key=mean.get)
    behind = any(mean[peer] < -error[peer] for peer in PEERS)
    information = np.mean(entropies) + np.mean(ours)
    theirs = " ".join(f"{information - mean[peer]:9.4f}" for peer in PEERS)
    return (f"{name:26} {np.mean(truths):8.4f} {information:8.4f} {theirs} {mean[best]:+8.4f} +- {error[best]:.4f}"
            f"{'  BEHIND ' + best if behind else ''}"), behind


def main():
    warnings.filterwarnings("ignore")
    runs = collections.defaultdict(list)
    for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        runs[path.name.rpartition("-")[0]].append(path)
    print(f"{'task-rows':26} {'I':>8} {'ours':>8} " + " ".join(f"{peer:>9}" for peer in PEERS) + "    ahead of the best")
    behind = 0
    for name, paths in runs.items():
        line, is_behind = compare(name, paths)
        behind += is_behind
        print(line, flush=True)
    print(f"{len(runs)} tasks, behind on {behind}")
    return behind > 0


sys.exit(main())
