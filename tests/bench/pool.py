#!/usr/bin/env python3
"""Tables of known information, of kinds that tasks.c has not: python3 tests/bench/pool.py INFOMASK [--peers] [NAME ...]

Each task draws rows of which log p(y|x) is known; the truth is H(Y) - H(Y|X) of up to a million.  `bias` is the estimate
less the truth, `sample` what the exact posterior errs by on the same rows, `limit` the lower limit less the truth (above 0:
it did not hold).  --peers: beside scikit-learn's logistic regression and histogram boosting, five folds, nats of the same
rows; `ahead` is the estimate less the better of them.  --seeds N (1), --seed S (1), --rows N (5000) for tasks that are not
about few rows.  Fails where a limit fails more often than it may, or a bar is missed: RMSE .03, .05 of what columns tell
only together, and two thirds of the information where one column of 10,000 tells.
"""
import argparse
import csv
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings
import zlib

import numpy as np

TASKS = {}
TRUTH_ROWS = 1_000_000


class Task:
    def __init__(self, draw, noise, rows, together, bar, truth):
        self.draw, self.noise, self.rows, self.together, self.bar, self.truth = draw, noise, rows, together, bar, truth


def task(noise=0, rows=None, together=False, bar=None, truth=TRUTH_ROWS):
    """draw(rng, n) -> (columns, log p [n][K] up to a constant a row, extra options by name).  noise: columns of noise that
    are added, normal numbers; `codesN`: N categories of 6 values, `bitsN`: N columns of 0 and 1.  truth: rows that the true
    value is taken from."""
    def add(draw):
        TASKS[draw.__name__.replace("_", "-")] = Task(draw, noise, rows, together, bar, truth)
        return draw
    return add


def two(z):
    return np.stack([np.zeros_like(z), z], 1)


def names(codes, prefix="v"):
    return np.char.add(prefix, np.asarray(codes).astype(str))


def normal_classes(x, means, deviation=1.0, log_prior=None):
    """log p(y|x) of normal classes: x [n][d], means [K][d]."""
    z = -0.5 * (((x[:, None, :] - means[None]) / deviation) ** 2).sum(2)
    return z if log_prior is None else z + log_prior


# ---- One column at a time ---------------------------------------------------------------------------------------------------


@task(noise=10)
def additive_curves(rng, n):
    x = rng.normal(size=(n, 4))
    return list(x.T), two(1.5 * np.sin(2 * x[:, 0]) + x[:, 1] ** 2 - 1 + np.abs(x[:, 2]) - 0.8 * x[:, 3])


@task(noise=30)
def cosine_five_periods(rng, n):
    x = rng.uniform(0, 1, n)
    return [x], two(2.5 * np.cos(10 * np.pi * x))


@task(noise=20)
def hour_of_day(rng, n):
    hour = rng.integers(0, 24, n)
    return [hour.astype(float)], np.stack([np.zeros(n), 1.5 * np.cos(2 * np.pi * (hour - 3) / 24),
                                          1.5 * np.cos(2 * np.pi * (hour - 14) / 12)], 1)


@task(noise=8)
def stairs(rng, n):
    x = rng.exponential(size=n)
    return [x], two(3 * ((np.floor(4 * x) % 2) - 0.5))


@task()
def ten_ordered_classes(rng, n):
    x = rng.normal(size=(n, 3))
    mean = x @ [1.0, 0.6, 0.3]
    cuts = np.linspace(-1.8, 1.8, 9)
    below = 1 / (1 + np.exp(-2 * (cuts[None] - mean[:, None])))
    p = np.diff(np.concatenate([np.zeros((n, 1)), below, np.ones((n, 1))], 1), axis=1)
    return list(x.T), np.log(np.maximum(p, 1e-300))


@task()
def hundred_weak_columns(rng, n):
    x = rng.normal(size=(n, 100))
    return list(x.T), two(x @ np.full(100, 0.15))


@task(noise=5)
def scales_of_all_sizes(rng, n):
    x = rng.normal(size=(n, 4))
    return [1e6 * np.exp(2 * x[:, 0]), 1e-6 * x[:, 1], 1e9 + 100 * x[:, 2], np.exp(-9 * x[:, 3])], two(
        x @ [1.0, -0.8, 0.7, 0.9])


@task(noise=5)
def cauchy_columns(rng, n):
    y_mean = np.array([[0, 0, 0], [2, 0, 1], [0, 2, -1]])
    y = rng.integers(0, 3, n)
    x = rng.standard_cauchy((n, 3)) + y_mean[y]
    return list(x.T) + list(rng.standard_cauchy((n, 3)).T), -np.log1p((x[:, None] - y_mean[None]) ** 2).sum(2), {"y": y}


@task(noise=10)
def copies_of_a_column(rng, n):
    y = rng.integers(0, 3, n)
    x = y + rng.normal(size=n)
    return [x] * 5 + [x + 1e-3 * rng.normal(size=n) for _ in range(5)] + [-2 * x, x ** 3], normal_classes(
        x[:, None], np.arange(3.0)[:, None]), {"y": y}


@task(noise=6)
def zero_inflated(rng, n):
    y = rng.integers(0, 2, n)
    zero = rng.random(n) < np.where(y == 1, 0.4, 0.7)
    rate = np.where(y == 1, 0.5, 1.0)
    x = np.where(zero, 0, rng.exponential(1 / rate))
    density = np.stack([np.log(1.0) - 1.0 * x + np.log(0.3), np.log(0.5) - 0.5 * x + np.log(0.6)], 1)
    return [x], np.where(zero[:, None], np.log([0.7, 0.4]), density), {"y": y}


@task()
def sparse_words(rng, n):
    """300 words, each in one text of thirty; 30 of them tell."""
    x = (rng.random((n, 300)) < 1 / 30).astype(float)
    weight = np.random.default_rng(5).normal(size=(30, 3)) * 1.5
    return list(x.T), x[:, :30] @ weight


@task(noise=20)
def nothing(rng, n):
    return [rng.normal(size=n)], np.zeros((n, 4))


@task(noise="codes7")
def nothing_in_codes(rng, n):
    return [names(rng.integers(0, 40, n))], np.zeros((n, 3))


@task(noise=4, bar=0.7)
def five_hundred_codes(rng, n):
    """Ten rows a code: from eight of them, who knows how the codes were drawn reaches .200 of .238 nats."""
    code = rng.integers(0, 500, n)
    return [names(code)], 1.5 * np.random.default_rng(6).normal(size=(500, 2))[code]


@task(noise=10)
def logistic_line(rng, n):
    x = rng.normal(size=(n, 5))
    return list(x.T), two(x @ [0.4, -0.3, 0.2, 0.1, 0.05])


# ---- Columns together -------------------------------------------------------------------------------------------------------


@task(noise=48, together=True)
def xor_of_50(rng, n):
    x = rng.normal(size=(n, 2))
    return list(x.T), two(2.2 * np.sign(x[:, 0] * x[:, 1]))


@task(noise=48, together=True)
def soft_xor_of_50(rng, n):
    x = rng.uniform(-1, 1, (n, 2))
    return list(x.T), two(8 * x[:, 0] * x[:, 1])


@task(noise=12, together=True)
def parity_of_three(rng, n):
    x = rng.integers(0, 2, (n, 3))
    return list(x.astype(float).T), two(2.5 * (2 * (x.sum(1) % 2) - 1))


@task(noise="codes10", together=True)
def codes_that_interact(rng, n):
    a, b = rng.integers(0, 12, n), rng.integers(0, 9, n)
    return [names(a, "a"), names(b, "b")], 1.5 * np.random.default_rng(7).normal(size=(12, 9, 3))[a, b]


@task(noise="codes5", together=True)
def three_codes_modulo(rng, n):
    x = rng.integers(0, 4, (n, 3))
    return [names(c) for c in x.T], 2.0 * np.eye(4)[x.sum(1) % 4]


@task(noise=15, together=True)
def slope_of_a_code(rng, n):
    code, x = rng.integers(0, 10, n), rng.normal(size=n)
    slope = np.array([2, -2, 1.5, -1.5, 1, -1, 2.5, -2.5, 0, 0.5])
    return [names(code), x], two(slope[code] * x)


@task(noise=18, together=True)
def product_of_sines(rng, n):
    x = rng.uniform(0, 2, (n, 2))
    return list(x.T), two(4 * np.sin(np.pi * x[:, 0]) * np.sin(np.pi * x[:, 1]))


@task(noise=18, together=True)
def near_each_other(rng, n):
    x = rng.normal(size=(n, 2))
    return list(x.T), two(3 - 4 * np.abs(x[:, 0] - x[:, 1]))


@task(noise=10, together=True)
def ring_among_noise(rng, n):
    y = rng.integers(0, 2, n)
    angle, radius = rng.uniform(0, 2 * np.pi, n), np.where(y == 1, 2.0, 1.0) + 0.3 * rng.normal(size=n)
    density = -0.5 * ((radius[:, None] - np.array([1.0, 2.0])) / 0.3) ** 2
    opposite = -0.5 * ((-radius[:, None] - np.array([1.0, 2.0])) / 0.3) ** 2
    return [radius * np.cos(angle), radius * np.sin(angle)], np.logaddexp(density, opposite), {"y": y}


@task(noise=8, together=True)
def flowers(rng, n):
    """Eight normal clouds around a circle, by turns of one class and the other."""
    which = rng.integers(0, 8, n)
    at = 3 * np.stack([np.cos(np.pi * np.arange(8) / 4), np.sin(np.pi * np.arange(8) / 4)], 1)
    x = at[which] + 0.7 * rng.normal(size=(n, 2))
    z = normal_classes(x, at, 0.7)
    return list(x.T), np.stack([np.logaddexp.reduce(z[:, c::2], 1) for c in range(2)], 1), {"y": which % 2}


@task(noise=8, together=True)
def gated(rng, n):
    x = rng.normal(size=(n, 3))
    return list(x.T), two(2.5 * np.where(x[:, 0] > 0, x[:, 1], x[:, 2]))


@task(noise=10, together=True)
def rules_of_four(rng, n):
    x = rng.uniform(size=(n, 4))
    return list(x.T), two(np.where((x > 0.25).all(1), 2.5, np.where((x[:, :2] < 0.5).all(1), -3, -1)))


@task(noise=0, together=True, truth=100_000)
def spirals(rng, n):
    """Two arms under noise: the posterior from a fine grid of the arms."""
    y, t = rng.integers(0, 2, n), rng.uniform(0, 1, n)

    def arm(t, y):
        angle = 3 * np.pi * t + np.pi * y
        return (0.3 + 2 * t)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    x = arm(t, y) + 0.15 * rng.normal(size=(n, 2))
    grid, z = (np.arange(400) + 0.5) / 400, []
    for c in range(2):
        points = arm(grid, c)
        z.append(np.concatenate([np.logaddexp.reduce(normal_classes(part, points, 0.15), 1)
                                 for part in np.array_split(x, n // 5000 + 1)]))
    return list(x.T), np.stack(z, 1), {"y": y}


@task(noise=0, together=True)
def covariances(rng, n):
    """Classes with one mean and other correlations."""
    y = rng.integers(0, 3, n)
    shapes = [np.eye(4), 0.8 * np.ones((4, 4)) + 0.2 * np.eye(4),
              np.array([[1, -.7, 0, 0], [-.7, 1, 0, 0], [0, 0, 1, .7], [0, 0, .7, 1]])]
    root = np.stack([np.linalg.cholesky(s) for s in shapes])
    x = np.einsum("nij,nj->ni", root[y], rng.normal(size=(n, 4)))
    z = np.stack([-0.5 * np.einsum("ni,ij,nj->n", x, np.linalg.inv(s), x) - 0.5 * np.linalg.slogdet(s)[1] for s in shapes], 1)
    return list(x.T), z, {"y": y}


# ---- Missing values, rare classes, weights, groups --------------------------------------------------------------------------


@task(noise=4)
def missing_at_random(rng, n):
    """x0 is missing the more often the larger x1 is, which is there."""
    y = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 2)) + np.stack([2.0 * y, 0.5 * y], 1)
    gone = rng.random(n) < 1 / (1 + np.exp(-2 * x[:, 1]))
    z = normal_classes(x[:, 1:], np.array([[0.0], [0.5]])) + np.where(
        gone[:, None], 0, normal_classes(x[:, :1], np.array([[0.0], [2.0]])))
    return [np.where(gone, np.nan, x[:, 0]), x[:, 1]], z, {"y": y}


@task(noise=4)
def missing_when_large(rng, n):
    y = rng.integers(0, 3, n)
    x = 1.2 * y + rng.normal(size=n)
    gone = x > 2
    tail = np.array([0.5 * math.erfc((2 - m) / math.sqrt(2)) for m in (0, 1.2, 2.4)])
    z = np.where(gone[:, None], np.log(tail), normal_classes(x[:, None], np.array([[0.0], [1.2], [2.4]])))
    return [np.where(gone, np.nan, x)], z, {"y": y}


@task(noise=4, together=True)
def missing_tells_with_another(rng, n):
    gone, x = rng.random(n) < 0.4, rng.normal(size=n)
    return [np.where(gone, np.nan, rng.normal(size=n)), x], two(np.where(gone, 2.0, -2.0) * np.sign(x))


@task(noise=3)
def missing_categories(rng, n):
    code = rng.integers(0, 6, n)
    return [np.where(code == 5, "", names(code))], np.concatenate([np.eye(3), 2 * np.eye(3)])[code]


@task(noise=5)
def rare_classes(rng, n):
    log_prior = np.log([0.96, 0.03, 0.01])
    y = rng.choice(3, n, p=np.exp(log_prior))
    means = np.array([[0, 0, 0], [2, 1, 0], [0, 1.5, 2.5]])
    x = means[y] + rng.normal(size=(n, 3))
    return list(x.T), normal_classes(x, means, log_prior=log_prior), {"y": y}


@task(noise=10)
def one_in_two_hundred(rng, n):
    y = (rng.random(n) < 0.005).astype(int)
    x = rng.normal(size=(n, 2)) + 2.5 * y[:, None]
    return list(x.T), normal_classes(x, np.array([[0, 0], [2.5, 2.5]]), log_prior=np.log([0.995, 0.005])), {"y": y}


@task(noise=5)
def weighted_rows(rng, n):
    """Drawn with one class three times as often as it is; the weights undo that."""
    y = rng.choice(2, n, p=[0.25, 0.75])
    x = rng.normal(size=(n, 2)) + np.stack([1.2 * y, 0 * y], 1)
    return list(x.T), normal_classes(x, np.array([[0, 0], [1.2, 0]])), {"y": y, "weights": np.where(y == 1, 1 / 3, 1.0)}


@task(noise=5)
def rows_of_subjects(rng, n):
    """Ten rows a subject, which has a label and a place of its own: a row of a new subject tells less."""
    subject = np.arange(n) // 10
    y = rng.integers(0, 2, n)[subject]
    x = rng.normal(size=(n, 2))[subject] + 0.5 * rng.normal(size=(n, 2)) + 1.5 * np.stack([y, 0 * y], 1)
    return list(x.T), normal_classes(x, np.array([[0, 0], [1.5, 0]]), math.sqrt(1.25)), {"y": y, "groups": subject}


@task(noise=0)
def subjects_of_noise(rng, n):
    subject = np.arange(n) // 20
    return list((rng.normal(size=(n, 4))[subject] + 0.1 * rng.normal(size=(n, 4))).T), np.zeros((n, 2)), {
        "y": rng.integers(0, 2, n)[subject], "groups": subject}


# ---- Few rows ---------------------------------------------------------------------------------------------------------------


@task(noise=9999, rows=100, bar=2 / 3)
def straw_of_10000(rng, n):
    y = rng.integers(0, 2, n)
    x = rng.normal(size=n) + 3.5 * y
    return [x], normal_classes(x[:, None], np.array([[0.0], [3.5]])), {"y": y}


@task(noise=9999, rows=100, bar=2 / 3)
def straw_of_three_classes(rng, n):
    y = rng.integers(0, 3, n)
    x = rng.normal(size=n) + 4 * y
    return [x], normal_classes(x[:, None], np.array([[0.0], [4], [8]])), {"y": y}


@task(noise=9999, rows=100, bar=2 / 3)
def straw_with_tails(rng, n):
    """Log-normal: the telling column is not normal within a class."""
    y = rng.integers(0, 2, n)
    t = rng.normal(size=n) + 4 * y
    return [np.exp(t)], normal_classes(t[:, None], np.array([[0.0], [4]])), {"y": y}


@task(noise=9999, rows=100, bar=2 / 3)
def straw_in_the_middle(rng, n):
    """One class in the middle of the other: no class mean tells."""
    x = rng.uniform(-3, 3, n)
    return [x], two(np.where(np.abs(x) < 1.5, 3.5, -3.5))


@task(noise="bits9999", rows=100, bar=2 / 3)
def straw_of_bits(rng, n):
    x = rng.integers(0, 2, n)
    return [x.astype(float)], two(3.5 * (2 * x - 1.0))


@task(noise=0, rows=1000, truth=100_000)
def two_hundred_classes(rng, n):
    means = 2 * np.random.default_rng(8).normal(size=(200, 8))
    y = rng.permutation(np.arange(n) % 200)
    x = means[y] + rng.normal(size=(n, 8))
    return list(x.T), normal_classes(x, means), {"y": y}


@task(noise=0, rows=2000, truth=40_000)
def four_hundred_classes(rng, n):
    means = 3 * np.random.default_rng(9).normal(size=(400, 30))
    y = rng.permutation(np.arange(n) % 400)
    x = means[y] + rng.normal(size=(n, 30))
    return list(x.T), normal_classes(x, means), {"y": y}


# ---- Drawing, and the truth -------------------------------------------------------------------------------------------------


def log_softmax(z):
    z = z - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def draw(t, rng, n, noise):
    columns, z, *extra = t.draw(rng, n)
    extra = extra[0] if extra else {}
    log_p = log_softmax(z)
    y = extra.get("y")
    if y is None:
        y = (rng.random((n, 1)) > np.cumsum(np.exp(log_p), 1)).sum(1).clip(0, z.shape[1] - 1)
    if noise and isinstance(t.noise, str):
        kind, count = t.noise.rstrip("0123456789"), int(t.noise.lstrip("abcdefghijklmnopqrstuvwxyz"))
        codes = rng.integers(0, 2 if kind == "bits" else 6, (count, n))
        columns = columns + [c.astype(float) if kind == "bits" else names(c) for c in codes]
    elif noise:
        columns = columns + list(rng.normal(size=(t.noise, n)))
    if noise:
        columns = [columns[i] for i in rng.permutation(len(columns))]
    return columns, log_p, y, extra


def truth_of(name, t):
    """H(Y) - H(Y|X), weighted where rows are."""
    total, prior, entropy, size = 0.0, 0.0, 0.0, 20_000
    for part in range(t.truth // size):
        _, log_p, y, extra = draw(t, np.random.default_rng([zlib.crc32(name.encode()), part]), size, False)
        w = extra.get("weights", np.ones(size))
        if "weights" in extra:  # of weighted rows log p is that of the weighted population
            total, prior = total + w.sum(), prior + (w[:, None] * np.eye(log_p.shape[1])[y]).sum(0)
        else:
            total, prior = total + size, prior + np.exp(log_p).sum(0)
        entropy -= (w[:, None] * np.exp(log_p) * np.maximum(log_p, -700)).sum()
    prior = prior / total
    return -(prior * np.log(prior)).sum() - entropy / total


def label_entropy(y, w):
    p = np.bincount(y, w) / w.sum()
    return -(p[p > 0] * np.log(p[p > 0])).sum()


# ---- Estimates --------------------------------------------------------------------------------------------------------------


def write(folder, columns, y, extra):
    """The table, as what `estimate` is told to read."""
    arguments = []
    for key, option in (("weights", "--weights"), ("groups", "--group-by")):
        if key in extra:
            np.savetxt(folder / f"{key}.csv", extra[key], header=key, comments="", fmt="%.9g")
            arguments += [option, str(folder / f"{key}.csv")]
    if all(c.dtype.kind == "f" for c in columns):
        np.save(folder / "x.npy", np.stack(columns, 1).astype(np.float32 if len(columns) > 1000 else np.float64))
        np.save(folder / "y.npy", y.astype(np.int64))
        return ["--data", str(folder / "x.npy"), "--labels", str(folder / "y.npy"), *arguments]
    with open(folder / "x.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow([f"c{j}" for j in range(len(columns))] + ["label"])
        out.writerows(zip(*[c if c.dtype.kind == "U" else ["" if math.isnan(v) else repr(float(v)) for v in c] for c in columns],
                          names(y, "class ")))
    return ["--data", str(folder / "x.csv"), "--labels", "label", *arguments]


def ours(binary, columns, y, extra):
    with tempfile.TemporaryDirectory() as folder:
        arguments = write(pathlib.Path(folder), columns, y, extra)
        done = subprocess.run([binary, "estimate", "--json", "--quiet", "--columns", "0", *arguments], capture_output=True,
                              text=True, cwd=folder)
    if done.returncode != 0:
        raise SystemExit(f"infomask: {done.stderr}")
    return json.loads(done.stdout)


def peers(columns, y, extra):
    """Information by two classifiers of scikit-learn on rows that they have not seen."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
    import pandas

    frame = pandas.DataFrame({f"c{j}": c for j, c in enumerate(columns)})
    texts = [c for c in frame if not pandas.api.types.is_numeric_dtype(frame[c])]
    numbers = [c for c in frame if c not in texts]
    logistic = make_pipeline(make_column_transformer(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), texts)),
        LogisticRegression(max_iter=300))
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    few = all(frame[c].nunique() < 250 for c in texts)
    boosting = make_pipeline(make_column_transformer((encoder, texts), remainder="passthrough"), HistGradientBoostingClassifier(
        random_state=0, early_stopping=len(y) > 500, categorical_features=list(range(len(texts))) if few else None))
    w = extra.get("weights", np.ones(len(y)))
    cut = GroupKFold(5) if "groups" in extra else KFold(5, shuffle=True, random_state=0)
    log_q = np.zeros((2, len(y)))
    for seen, held in cut.split(frame, y, extra.get("groups")):
        for m, model in enumerate((logistic, boosting)):
            step = model.steps[-1][0] + "__sample_weight"
            model.fit(frame.iloc[seen], y[seen], **({step: w[seen]} if "weights" in extra else {}))
            q, classes = model.predict_proba(frame.iloc[held]), model.classes_
            full = np.full((len(held), y.max() + 1), 1 / (len(y) * (y.max() + 1)))
            full[:, classes] += (1 - 1 / len(y)) * q
            log_q[m, held] = np.log(full[np.arange(len(held)), y[held]])
    return label_entropy(y, w) + (log_q @ w) / w.sum()


def run(args, name, t):
    truth, biases, samples, above, row_peers, seconds = truth_of(name, t), [], [], [], [], 0.0
    n = t.rows or args.rows
    for seed in range(args.seed, args.seed + args.seeds):
        columns, log_p, y, extra = draw(t, np.random.default_rng([seed, zlib.crc32(name.encode())]), n, True)
        w = extra.get("weights", np.ones(n))
        start = time.monotonic()
        result = ours(args.binary, columns, y, extra)
        seconds += time.monotonic() - start
        biases.append(result["mutual_information"]["estimate"] - truth)
        above.append(result["mutual_information"]["lower_limit"] - truth)
        samples.append(label_entropy(y, w) + (w * log_p[np.arange(n), y]).sum() / w.sum() - truth)
        if args.verbose:
            parts = {p["name"]: (round(p["estimate"], 4), round(p["weight"], 2)) for p in result["table"]["parts"]}
            print("   ", parts, file=sys.stderr)
        if args.peers and len(columns) < 2000 and np.bincount(y).min() >= 5:
            row_peers.append(peers(columns, y, extra))
    rmse, bias = float(np.sqrt(np.mean(np.square(biases)))), float(np.mean(biases))
    missed = truth + bias < t.bar * truth if t.bar else t.rows is None and rmse > (0.05 if t.together else 0.03)
    line = (f"{name:28}{n:6}{truth:8.4f}{rmse:8.4f}{bias:+9.4f}{np.mean(samples):+9.4f}{max(above):+9.4f}"
            f"{seconds / args.seeds:7.1f}")
    if row_peers:
        best = np.mean(row_peers, 0)
        line += "".join(f"{v:9.4f}" for v in best) + f"{truth + bias - best.max():+9.4f}"
    print(line + (" LIMIT" if max(above) > 0 else "") + (" MISSED" if missed else ""), flush=True)
    return sum(a > 0 for a in above), missed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("names", nargs="*")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    for option, value in (("--seeds", 1), ("--seed", 1), ("--rows", 5000)):
        parser.add_argument(option, type=int, default=value)
    args = parser.parse_intermixed_args()
    warnings.filterwarnings("ignore")
    chosen = {name: t for name, t in TASKS.items() if not args.names or any(name.startswith(n) for n in args.names)}
    print(f"{'task':28}{'rows':>6}{'I':>8}{'RMSE':>8}{'bias':>9}{'sample':>9}{'limit':>9}{'s':>7}"
          + (f"{'logistic':>9}{'boosting':>9}{'ahead':>9}" if args.peers else ""))
    results = [run(args, name, t) for name, t in chosen.items()]
    above, missed, runs = sum(a for a, _ in results), sum(m for _, m in results), len(results) * args.seeds
    print(f"{runs - above} of {runs} limits held, {missed} of {len(results)} bars missed")
    return above > 0.025 * runs + 2 * math.sqrt(0.025 * runs) or missed > 0


if __name__ == "__main__":
    sys.exit(main())
