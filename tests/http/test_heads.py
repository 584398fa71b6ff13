"""Heads of other people's networks: logits, and maps whose cells are the head linearised at the picture, beside NumPy.

The networks are written here by hand: a convolution, and behind it every kind of head.  NumPy computes the head g in
float64 and its Jacobian by differences; the cells are g(m) + J (f(u) - m), whatever formulas the service has for them.
"""
import array
import base64
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from conftest import BINARY, ENVIRONMENT, ROOT, encode, until
from test_oip import asked, fp32, infer, outputs

sys.path.insert(0, str(ROOT / "config"))
import convert_efficientnet_lite0 as onnx  # noqa: E402  the writer of ONNX by hand

SIDE, CHANNELS, HIDDEN, CLASSES = 16, 6, 7, 5
CELLS = SIDE // 2
MAPS = {"relu": "piecewise", "leaky": "piecewise", "hardswish": "first-order", "silu": "first-order",
         "tanh": "first-order", "gate": "first-order", "norm": "first-order", "unit": "first-order", "two": "piecewise",
         "deep": "piecewise", "nothing": "piecewise", "flat": "piecewise", "flat-deep": "piecewise",
         "linear": "linear"}


class Head:
    """An ONNX file and, step by step beside its nodes, the same in float64."""

    def __init__(self, kind, end, seed, k=CLASSES):
        self.random = np.random.default_rng(seed)
        self.graph = onnx.Graph(any_size=False)
        self.kind, self.end, self.k = kind, end, k
        self.kernel = self.random.normal(size=(CHANNELS if kind != "nothing" else k, 3, 3, 3)) * 0.4
        y = self.node("Conv", ["x", self.constant(self.kernel)], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        y = self.node("Relu", [y])
        self.steps = []
        if kind.startswith("flat"):
            self.width, y = CHANNELS * CELLS ** 2, self.node("Flatten", [y], axis=1)
        else:
            self.width = len(self.kernel)
            y = self.node("Flatten", [self.node("GlobalAveragePool", [y])], axis=1)
        y = self.end_with(self.layers(y))
        self.model = self.graph.model("net", [("x", ["N", 3, SIDE, SIDE])], [(y, ["N", k])], "")

    def node(self, op, inputs, **attributes):
        return self.graph.node(op, f"{op}{len(self.graph.nodes)}", inputs, **attributes)

    def constant(self, values):
        values = np.asarray(values, float)
        return self.graph.constant(f"c{len(self.graph.initializers)}", list(values.shape),
                                   array.array("f", values.astype(np.float32).ravel().tolist()))

    def step(self, function):
        self.steps.append(function)

    def linear(self, y, n, k, record=True):
        w = (self.random.normal(size=(k, n)) / np.sqrt(n) * 2).astype(np.float32).astype(float)
        b = self.random.normal(size=k).astype(np.float32).astype(float)
        if record:
            self.step(lambda v: w @ v + b)
        return self.node("Gemm", [y, self.constant(w), self.constant(b)], transB=1), (w, b)

    def activation(self, y, kind):
        if kind == "relu":
            self.step(lambda v: np.maximum(v, 0))
            return self.node("Relu", [y])
        if kind == "leaky":
            self.step(lambda v: np.where(v < 0, 0.01 * v, v))
            return self.node("LeakyRelu", [y])
        if kind == "tanh":
            self.step(np.tanh)
            return self.node("Tanh", [y])
        if kind == "silu":
            self.step(lambda v: v / (1 + np.exp(-v)))
            return self.node("Mul", [y, self.node("Sigmoid", [y])])
        if kind == "hardswish":
            self.step(lambda v: v * np.clip(v + 3, 0, 6) / 6)
            inner = self.node("Clip", [self.node("Add", [y, self.constant(3)]), self.constant(0), self.constant(6)])
            return self.node("Mul", [y, self.node("Div", [inner, self.constant(6)])])
        if kind == "gate":  # the product of two layers
            self.step(None)
            left, (wa, ba) = self.linear(y, HIDDEN, HIDDEN, record=False)
            right, (wb, bb) = self.linear(y, HIDDEN, HIDDEN, record=False)
            self.steps[-1] = lambda v: (wa @ v + ba) / (1 + np.exp(-(wb @ v + bb)))
            return self.node("Mul", [left, self.node("Sigmoid", [right])])
        if kind == "norm":
            gain = self.random.normal(size=HIDDEN).astype(np.float32).astype(float)
            self.step(lambda v: (v - v.mean()) / np.sqrt(v.var() + 1e-5) * gain)
            centred = self.node("Sub", [y, self.node("ReduceMean", [y], axes=[-1], keepdims=1)])
            square = self.node("Pow", [centred, self.constant(2)])
            spread = self.node("Sqrt", [self.node("Add", [self.node("ReduceMean", [square], axes=[-1], keepdims=1),
                                                          self.constant(1e-5)])])
            return self.node("Mul", [self.node("Div", [centred, spread]), self.constant(gain)])
        assert kind == "unit"
        self.step(lambda v: v / np.linalg.norm(v))
        return self.node("Div", [y, self.node("ReduceL2", [y], axes=[-1], keepdims=1)])

    def layers(self, y):
        if self.kind == "nothing":
            return y
        if self.kind in ("linear", "flat"):
            return self.linear(y, self.width, self.k)[0]
        if self.kind == "two":  # the mean of two heads
            a, (wa, ba) = self.linear(y, self.width, self.k, record=False)
            b, (wb, bb) = self.linear(y, self.width, self.k, record=False)
            self.step(lambda v: (wa @ v + ba + wb @ v + bb) / 2)
            return self.node("Div", [self.node("Add", [a, b]), self.constant(2)])
        y = self.activation(self.linear(y, self.width, HIDDEN)[0], "relu" if "deep" in self.kind else self.kind)
        if self.kind == "deep":
            y = self.activation(self.linear(y, HIDDEN, HIDDEN)[0], "leaky")
        return self.linear(y, HIDDEN, self.k)[0]

    def end_with(self, y):
        if self.end == "Log(Softmax)":
            return self.node("Log", [self.node("Softmax", [y], axis=1)])
        if self.end == "x - LogSumExp":
            return self.node("Sub", [y, self.node("ReduceLogSumExp", [y], axes=[1], keepdims=1)])
        return y if self.end is None else self.node(self.end, [y], **({} if self.end == "Sigmoid" else {"axis": 1}))

    # ---- in NumPy ----

    def map(self, x):
        """[cells, channels] of one picture [3, side, side]."""
        kernel, padded = self.kernel.astype(np.float32).astype(float), np.pad(x, ((0, 0), (1, 1), (1, 1)))
        out = np.array([[np.tensordot(kernel, padded[:, i:i + 3, j:j + 3], 3) for j in range(0, SIDE, 2)]
                        for i in range(0, SIDE, 2)])
        return np.maximum(out, 0).reshape(CELLS ** 2, -1)

    def g(self, v):
        for step in self.steps:
            v = step(v)
        return v

    def cells(self, x):
        """Logits, and what each cell says of them [cells, k]."""
        f = self.map(x)
        rows = f
        if self.kind.startswith("flat"):  # the whole map with all but one cell zero, times the number of cells
            rows = np.zeros((len(f), f.size))
            for u, cell in enumerate(f):
                rows[u, np.arange(f.shape[1]) * len(f) + u] = cell * len(f)
        mean = rows.mean(0)
        step = 1e-5
        jacobian = np.stack([(self.g(mean + step * e) - self.g(mean - step * e)) / (2 * step) for e in np.eye(len(mean))], 1)
        return self.g(mean), self.g(mean) + (rows - mean) @ jacobian.T


def folder_of(folder, name, head, **more):
    (folder / name).mkdir(parents=True)
    (folder / name / "model.onnx").write_bytes(head.model)
    size = {"width": SIDE, "height": SIDE}
    (folder / name / "model.json").write_text(json.dumps({"name": name, "input": size, **more}))


ENDS = [None, "Softmax", "LogSoftmax", "Log(Softmax)", "x - LogSumExp"]


@pytest.fixture(scope="module")
def heads():
    return {kind: Head(kind, ENDS[i % len(ENDS)], seed=i) for i, kind in enumerate(MAPS)}


@pytest.fixture(scope="module")
def binary_heads():
    return {f"{kind}-{end}": Head(kind, end, seed=50 + i, k=k)
            for i, (kind, end, k) in enumerate([("linear", "Sigmoid", 5), ("hardswish", "Sigmoid", 5), ("deep", None, 5),
                                                ("nothing", "Sigmoid", 4), ("flat-deep", None, 3), ("relu", "Sigmoid", 1)])}


PRIOR, INSIDE = [0.9, 0.5, 0.1, 0.3, 0.7], [0.4, 0.5, 0.2, 0.6, 0.5]


@pytest.fixture(scope="module")
def server(make_server, tmp_path_factory, heads, binary_heads):
    folder = tmp_path_factory.mktemp("models")
    for name, head in heads.items():
        folder_of(folder, name, head)
    for name, head in binary_heads.items():
        (folder / f"yes-{name}").mkdir()
        (folder / f"yes-{name}/labels.txt").write_text("".join(f"class {i}\n" for i in range(head.k)))
        (folder / f"yes-{name}/model.onnx").write_bytes(head.model)
        (folder / f"yes-{name}/model.json").write_text(json.dumps({
            "name": f"yes-{name}", "input": {"width": SIDE, "height": SIDE}, "head": "sigmoid",
            "prior": PRIOR[:head.k], "logit_prior": INSIDE[:head.k]}))
    return make_server("--models-dir", folder, "--model", "relu")


@pytest.fixture(scope="module")
def encoders(make_server, tmp_path_factory):
    """Encoders of 8 numbers, their classes' embeddings [4][8], and a service with them."""
    folder, made = tmp_path_factory.mktemp("encoders"), {}
    for i, kind in enumerate(["linear", "relu", "flat", "nothing"]):
        head, e = Head(kind, None, seed=80 + i, k=8), np.random.default_rng(i).normal(size=(4, 8)).astype(np.float32)
        folder_of(folder, kind, head, head_scale=20)
        np.save(folder / kind / "head.npy", e)
        inner = head.g
        head.g = lambda v, inner=inner, e=e.astype(float): 20 * e @ (inner(v) / np.linalg.norm(inner(v)))
        made[kind] = head
    return make_server("--models-dir", folder, "--model", "linear"), made


@pytest.mark.parametrize("kind", ["linear", "relu", "flat", "nothing"])
def test_embeddings_of_classes_make_an_encoder_a_classifier(encoders, kind):
    server, made = encoders
    x = picture(5)
    z, cells = made[kind].cells(x[0].astype(float))
    found = ask(server, kind, x, 2)
    assert found["logits"].shape == (1, 4) and np.abs(found["logits"][0] - z).max() < 1e-4 * np.ptp(z)
    assert np.abs(found["probabilities"][0] - softmax(z)).max() < 1e-4
    want = cells[:, 2] - z[2] + np.log(softmax(z)[2]) + np.log(4)
    assert np.abs(found["map"].ravel() - want).max() < 2e-4 * max(1, np.ptp(want))
    assert server.ask("GET", f"/v1/models/{kind}").json["map"] == "first-order"  # the length is no linear function


def test_other_embeddings_are_another_classifier(make_server, tmp_path):
    """Under the same file: nothing that was found out, kept or summed under the old ones is used for the new."""
    folder_of(tmp_path, "encoder", Head("linear", None, seed=80, k=8), head_scale=20)
    e = np.random.default_rng(7).normal(size=(4, 8)).astype(np.float32)
    np.save(tmp_path / "encoder/head.npy", e)
    server = make_server("--models-dir", tmp_path, "--cache", "16M", "--state-dir", tmp_path / "state")
    photo = encode(Image.linear_gradient("L").convert("RGB").resize((64, 48)))

    def classify():
        return server.ask("POST", "/v1/classify?top_k=4", photo)

    def probabilities(reply):
        return [row["probability"] for row in sorted(reply.json["predictions"], key=lambda row: row["index"])]

    def change(rows, scale):
        before = server.ask("GET", "/v1/models/encoder")
        np.save(tmp_path / "encoder/head.npy", rows)
        document = json.loads((tmp_path / "encoder/model.json").read_text())
        (tmp_path / "encoder/model.json").write_text(json.dumps({**document, "head_scale": scale}))
        server.signal(signal.SIGHUP)
        after = until(lambda: (now := server.ask("GET", "/v1/models/encoder", None, [("If-None-Match", before.get("ETag"))])).status
                      == 200 and now)
        assert after.json["sha256"] != before.json["sha256"]

    estimate = server.ask("POST", "/v1/estimates", b"{}").json["id"]
    samples = f"/v1/estimates/{estimate}/samples?label=1"
    assert server.ask("POST", samples, photo).status == 201
    first, again = classify(), classify()
    assert again.get("Infomask-Cache") == "hit" and probabilities(first) == probabilities(again)
    change(np.roll(e, 1, axis=0), 20)
    rolled = classify()
    assert rolled.get("Infomask-Cache") == "miss"
    assert np.allclose(probabilities(rolled), np.roll(probabilities(first), 1), atol=1e-6)
    assert rolled.json["model"]["sha256"] != first.json["model"]["sha256"]
    refused = server.ask("POST", samples, photo)
    assert refused.status == 400 and "not the one that this estimate was opened for" in refused.json["detail"]
    change(np.roll(e, 1, axis=0), 10)
    scaled = classify()
    assert scaled.get("Infomask-Cache") == "miss" and max(probabilities(scaled)) < max(probabilities(rolled))
    change(e, 20)
    assert classify().json["model"]["sha256"] == first.json["model"]["sha256"]


def test_what_a_check_found_holds_for_its_embeddings(tmp_path):
    folder_of(tmp_path, "encoder", Head("linear", None, seed=80, k=8), head_scale=20)
    e = np.random.default_rng(7).normal(size=(4, 8)).astype(np.float32)

    def digest(rows, scale):
        np.save(tmp_path / "encoder/head.npy", rows)
        document = json.loads((tmp_path / "encoder/model.json").read_text())
        (tmp_path / "encoder/model.json").write_text(json.dumps({**document, "head_scale": scale}))
        subprocess.run([BINARY, "models", "check", str(tmp_path / "encoder")], check=True, capture_output=True, env=ENVIRONMENT)
        return json.loads((tmp_path / "encoder/check.json").read_text())["checks"][0]["digest"]

    assert len({digest(e, 20), digest(2 * e, 20), digest(e, 10)}) == 3


REFUSED = [
    ("wide", np.zeros((4, 9), np.float32), dict(head_scale=20), None, "head.npy has 9 numbers a class, but the network gives 8"),
    ("labels", np.ones((4, 8), np.float32), dict(head_scale=20), 5, "head.npy has 4 classes, but there are 5 labels"),
    ("zero", np.ones((4, 8), np.float32), dict(head_scale=0), None, "\"head_scale\" must be more than 0, not 0"),
    ("minus", np.ones((4, 8), np.float32), dict(head_scale=-3), None, "\"head_scale\" must be more than 0, not -3"),
    ("missing", np.ones((4, 8), np.float32), {}, None, "\"head_scale\" is missing"),
    ("alone", None, dict(head_scale=20), None, "there is none in the folder"),
    ("flat", np.ones(8, np.float32), dict(head_scale=20), None, "head.npy: must have two dimensions"),
    ("double", np.ones((4, 8)), dict(head_scale=20), None, "head.npy: not a .npy file of float32"),
    ("infinite", np.full((4, 8), np.inf, np.float32), dict(head_scale=20), None, "number 0 of class 0 is not finite"),
    ("one", np.ones((1, 8), np.float32), dict(head_scale=20), None, "a classifier has at least 2"),
]


def test_embeddings_that_do_not_fit_are_refused_with_a_sentence(make_server, tmp_path):
    for name, e, more, labels, _ in REFUSED:
        folder_of(tmp_path, name, Head("linear", None, seed=1, k=8), **more)
        if e is not None:
            np.save(tmp_path / name / "head.npy", e)
        if labels:
            (tmp_path / name / "labels.txt").write_text("".join(f"c{i}\n" for i in range(labels)))
    folder_of(tmp_path, "good", Head("linear", None, seed=1))
    told = {m["name"]: m for m in make_server("--models-dir", tmp_path, "--model", "good").ask("GET", "/v1/models").json["models"]}
    assert told["good"]["status"] == "ready"
    for name, _, _, _, sentence in REFUSED:
        assert told[name]["status"] == "failed" and sentence in told[name]["reason"], (name, told[name])


def picture(seed):
    return np.random.default_rng(seed).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)


def ask(server, name, x, target):
    header = {"inputs": [fp32(x, data=x.ravel().tolist())], "parameters": {"target": str(target)},
              "outputs": asked("map", "pmi", "probabilities", "logits")}
    return outputs(infer(server, header, path=f"/v2/models/{name}/infer"))


def softmax(z):
    p = np.exp(z - z.max())
    return p / p.sum()


@pytest.mark.parametrize("kind", MAPS)
def test_cells_are_the_head_linearised_at_the_picture(server, heads, kind):
    for seed in range(3):
        x = picture(100 + seed)
        z, cells = heads[kind].cells(x[0].astype(float))
        assert np.abs(cells.mean(0) - z).max() < 1e-7  # the identity, in NumPy
        for target in (0, 3):
            found = ask(server, kind, x, target)
            pmi = np.log(softmax(z)) + np.log(CLASSES)
            assert np.abs(found["probabilities"][0] - softmax(z)).max() < 1e-5
            assert np.abs(found["pmi"][0] - pmi).max() < 1e-4
            want = cells[:, target] - z[target] + pmi[target]
            assert found["map"].shape == (1, CELLS, CELLS)
            assert np.abs(found["map"].ravel() - want).max() < 2e-4 * max(1, np.ptp(want))


@pytest.mark.parametrize("kind", MAPS)
def test_a_model_says_what_its_map_is(server, kind):
    told = server.ask("GET", f"/v1/models/{kind}").json
    assert told["map"] == MAPS[kind] and told["class_map"] is True
    if kind == "linear":
        assert told["why_not"] is None and len(told["methods"]) == 6
    else:
        assert told["methods"] == ["infocam", "cam", "infocam+", "occlusion"]
        assert set(told["why_not"]) == {"gradcam++", "layercam"}


def test_log_probabilities_come_out_as_they_are_in_the_file(server, heads):
    """A LogSoftmax, however it is spelled, gives logits; probabilities sum to one."""
    x = picture(7)
    for kind, head in heads.items():
        z, _ = head.cells(x[0].astype(float))
        found = ask(server, kind, x, 1)
        logits = found["logits"][0].astype(float)
        assert found["probabilities"].sum() == pytest.approx(1, abs=1e-5)
        assert np.abs((logits - logits.mean()) - (z - z.mean())).max() < 1e-4, kind


def odds(p):
    return np.log(p) - np.log1p(-np.asarray(p))


@pytest.mark.parametrize("kind, k", [("linear-Sigmoid", 5), ("hardswish-Sigmoid", 5), ("deep-None", 5), ("nothing-Sigmoid", 4),
                                     ("flat-deep-None", 3), ("relu-Sigmoid", 1)])
def test_a_sigmoids_cells_have_the_mean_of_its_binary_pmi(server, binary_heads, kind, k):
    head, prior, inside = binary_heads[kind], np.array(PRIOR[:k]), np.array(INSIDE[:k])
    x = picture(31)
    z, cells = head.cells(x[0].astype(float))
    p = 1 / (1 + np.exp(-(z + odds(prior) - odds(inside))))
    for target in range(k):
        found = ask(server, f"yes-{kind}", x, target)
        pmi = np.log(p) - np.log(prior)
        assert np.abs(found["pmi"][0] - pmi).max() < 1e-4
        want = cells[:, target] - z[target] + pmi[target]
        assert np.abs(found["map"].ravel() - want).max() < 2e-4 * max(1, np.ptp(want))
    told = server.ask("GET", f"/v1/models/yes-{kind}").json
    assert "infocam+" not in told["methods"] and "each is a question of its own" in told["why_not"]["infocam+"]


def own_mask(x0, x1):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, x0:x1] = 255
    return base64.b64encode(encode(Image.fromarray(mask))).decode()


def test_what_a_sigmoid_holds_no_likelier_than_before_a_look_is_removed(server):
    """No class is the first of several: the whole and the place decide, against the prior."""
    verdicts = []
    for kind, k in (("linear-Sigmoid", 5), ("deep-None", 5), ("relu-Sigmoid", 1)):
        for seed in range(24):
            until, bright = SIDE * (seed % 3 + 1) // 4, [2, 6, 20][seed % 3]
            pixels = np.random.default_rng(seed).integers(0, bright + 1, (SIDE, SIDE, 3), dtype=np.uint8)
            pixels[:, until:] //= 1 + seed % 2 * bright  # what is told is in the mask's place, or everywhere
            image = base64.b64encode(encode(Image.fromarray(pixels))).decode()
            for target in range(k):
                body = {"image": image, "mask": own_mask(0, until), "model": f"yes-{kind}", "target": str(target),
                        "format": "json", "fill": "#000000", "max_area": 1}
                row = server.ask("POST", "/v1/filter", json.dumps(body).encode(), [("Content-Type", "application/json")]).json["verification"]
                row = row[0] if isinstance(row, list) else row
                if row["pmi_before"] <= 0:
                    assert row["verdict"] is None
                    continue
                whole, place = max(row["pmi_after"], row["map_pmi_after"]), row["region_pmi_after"]
                left = place is not None and place > max(0, row["context_pmi_after"] or 0)
                gone = row["pmi_after"] < row["pmi_before"] and whole <= 0 and not left
                assert (row["verdict"] == "removed") == gone, row
                verdicts.append((k, row["verdict"]))
    assert {(1, "removed"), (5, "removed")} < set(verdicts), verdicts
    assert any(verdict != "removed" for _, verdict in verdicts)
