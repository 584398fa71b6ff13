"""Requests of a client that means no good, or whose programmer was in a hurry: each is made of a seed, and is a good one with
something wrong in a picture, mask, form, JSON text, query, tensor or field.  Some are good by chance."""
import base64
import copy
import json
import random
import struct
from urllib.parse import quote

from PIL import Image

from conftest import encode
from damage import cut, flip, move, originals
from test_rude import jpeg_header, png_header, png_of, zeros
from wire import form

NUMBERS = ["", "0", "-0", "+1", "1", "3", "007", "1e2", "1E400", "1e-400", "0x1p3", "0X10", "nan", "NaN", "inf", "-inf", "1_000", " 1",
           "1 ", "1.", ".5", "-1", "1,5", "2147483648", "-9223372036854775809", "9" * 400, "true", "%EF%BC%91", "1%00", "%2B1"]
TEXTS = ["%00", "a%00b", "%", "%z", "%c3%28", "%ed%a0%80", "%f4%90%80%80", "%0d%0aSet-Cookie:+a", "../../etc/passwd", "a" * 3000,
         "%F0%9F%98%80", "<script>", "'\"\\", "label:", "group:", "label:" * 40, ",".join(["1"] * 1000), ",,,", "max:nan", "share:0x1p-1",
         "nats:-1e3", "bits:", "#12345", "#gggggg", "uniform,train", "mask,mask", "native", "digits", "efficientnet-lite0", "7", "json"]
NAMES = ["", "x", "TOP_K", "top_k%00", "image", "mask", "__proto__", "%ff", "a" * 500, "target[]", "samples"]
IDS = ["0" * 24, "0" * 32, "x", "%2e%2e", "..%2f..%2fetc", "a" * 2000, "%00", "-1", "stats", "digits"]
VALUES = [None, True, False, 0, -1, 1.5, 1e308, 2 ** 53, 2 ** 64, 10 ** 400, "", "x", "\0", "\ud800", "é" * 300, [], {}, [[]], [None] * 40,
          {"": {}}, [1, "2"], float("nan"), float("-inf")]
JSON = ("Content-Type", "application/json")
FIELDS = [("X-Request-Timeout", value) for value in ("nan", "-1", "0", "1e-3", "0x1p3", "1e99", "", "5 s")] + [
    ("Accept", value) for value in ("image/webp", "text/html", "*/*;q=0", ";;;", "application/x-ndjson;q=2", "a" * 2000)] + [
    ("Content-Type", value) for value in ("application/json", "multipart/form-data", "text/plain", "image/png", "/", "x" * 500)] + [
    ("Prefer", "respond-async, wait=-1"), ("Accept-Language", "\xff\xfe"), ("If-None-Match", '"'), ("Traceparent", "00-0-0-0"),
    ("Content-Encoding", "gzip"), ("Cookie", "a=" + "b" * 3000), ("Inference-Header-Content-Length", "-5"), ("Range", "bytes=9-1")]
PICTURES = originals()


class Case:
    """One request.  route: its path as the description of the interface has it."""

    def __init__(self, kind, method, route, path, body, headers=()):
        self.kind, self.method, self.route, self.path, self.body = kind, method, route, path, body
        self.headers = [("X-Request-Timeout", 10), *headers]

    def __str__(self):
        return f"{self.kind}: {self.method} {self.path[:200]} {self.headers[1:]!r:.300} {self.body!r:.200}"


class Maker:
    def __init__(self, seed, parameters):
        """parameters: route -> names, of what its query takes."""
        self.rng, self.parameters = random.Random(seed), parameters

    def damaged(self, data):
        return self.rng.choice([cut, flip, flip, move])(data, self.rng) if data else data

    def picture(self):
        """Half of them whole."""
        rng, form_of = self.rng, self.rng.random()
        data = PICTURES[rng.choice(sorted(PICTURES))]
        if form_of < 0.5:
            return data
        if form_of < 0.85:
            return self.damaged(data)
        side = rng.choice([1, 2, 7, 8, 9, 31])
        return rng.choice([
            lambda: png_header(rng.choice([0, 1, 50000, 2 ** 31]), rng.choice([1, 8, 65536])),
            lambda: jpeg_header(rng.choice([0, 1, 65500]), rng.choice([1, 16, 65500])),
            lambda: png_of(64, 64, zeros(rng.choice([0, 1, 4])), rng.choice([0, 1, 2])),
            lambda: encode(Image.effect_noise((side, rng.choice([1, 8, 900])), 90), rng.choice(["PNG", "JPEG", "WEBP"])),
            lambda: encode(Image.new(rng.choice(["L", "RGB", "RGBA", "1"]), (rng.choice([1, 16384, 16385]), 1))),
            lambda: rng.randbytes(rng.randrange(64)), lambda: data * 2, lambda: data + b"<?php"])()

    def mask(self):
        rng = self.rng
        size = rng.choice([(96, 64), (64, 96), (48, 32), (48, 32), (1, 1), (95, 64), (3000, 2)])
        mask = Image.new(rng.choice(["L", "RGB", "1", "RGBA", "I;16", "P"]), size, rng.choice([0, 1]))
        mask.paste(1, (0, 0, size[0] // 2, size[1] // 2 + 1))
        data = encode(mask)
        return data if rng.random() < 0.6 else self.damaged(data) if rng.random() < 0.6 else self.picture()

    def odd(self):
        return self.rng.choice(self.rng.choice([NUMBERS, NUMBERS, TEXTS]))

    def query(self, route):
        """Mostly one odd value beside a good model."""
        rng = self.rng
        fields = ["model=digits"] if "model" in self.parameters.get(route, ()) and rng.random() < 0.9 else []
        for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 3, 12, 250, 300])):
            names = self.parameters.get(route) if rng.random() < 0.9 else None
            fields.append(f"{rng.choice(names or NAMES)}={quote(self.odd(), safe='%+,:#')}")
        if rng.random() < 0.1:
            fields += rng.sample(["&", "=", "a", "==", "%", ";top_k=1", "?"], 2) + fields[:2]
        return "?" + "&".join(fields) if fields else ""

    def fields(self):
        return self.rng.sample(FIELDS, self.rng.choice([0, 0, 0, 0, 1, 2]))

    def route(self):
        return self.rng.choice(["/v1/classify", "/v1/mask", "/v1/filter", "/v1/analyze"])

    def of_picture(self):
        route = self.route()
        return Case("picture", "POST", route, route + "?model=digits", self.picture())

    def of_query(self):
        route = self.route()
        return Case("query", "POST", route, route + self.query(route), PICTURES["PNG"], self.fields())

    def of_mask(self):
        route = self.rng.choice(["/v1/filter", "/v1/analyze"])
        headers, body = form([("image", "a.png", PICTURES["PNG"]), ("mask", "m.png", self.mask()), ("model", "digits"),
                              *([("dilate", self.odd())] if self.rng.random() < 0.3 else [])])
        return Case("mask", "POST", route, route, body, headers)

    def of_form(self):
        rng, route = self.rng, self.route()
        parts = [("image", "a.png", self.picture()), ("model", "digits"), *(
            (rng.choice([*self.parameters[route], *NAMES]), self.odd()) for _ in range(rng.choice([0, 1, 1, 2, 70])))]
        rng.shuffle(parts)
        headers, body = form(parts, boundary=rng.choice(["XyZzY", "X" * 70, "--", "a b"]), end=rng.random() < 0.8)
        if rng.random() < 0.5:
            body = self.damaged(body)
        return Case("form", "POST", route, route, body, headers + self.fields())

    def of_lines(self):
        """Several photos, each answered in its line or part."""
        rng, route = self.rng, self.route()
        headers, body = form([(f"f{i}", f"{i}.png", self.picture()) for i in range(rng.choice([1, 2, 3, 6]))])
        accept = rng.choice(["application/x-ndjson", "application/x-ndjson", "multipart/mixed", "application/json"])
        return Case("lines", "POST", route, route + "?model=digits", body, [*headers, ("Accept", accept)])

    def spoiled(self, document):
        """With one member or element another value, gone, or doubled into the depth."""
        places = []

        def walk(node):
            for key in node if isinstance(node, dict) else range(len(node)):
                places.append((node, key))
                if isinstance(node[key], (dict, list)):
                    walk(node[key])
        walk(document)
        for node, key in self.rng.sample(places, min(len(places), self.rng.choice([0, 1, 1, 1, 2]))):
            chance = self.rng.random()
            if chance < 0.7:
                node[key] = copy.deepcopy(self.rng.choice(VALUES))
            elif isinstance(node, dict):
                node[self.rng.choice(["", "x", "name", "data"])] = copy.deepcopy(node.get(key))
            else:
                node.append(copy.deepcopy(self.rng.choice(node)))
        return document

    def text(self, document):
        """JSON, one time in three with something else wrong."""
        rng = self.rng
        text = json.dumps(self.spoiled(document)).encode()
        if rng.random() > 0.33:
            return text
        return rng.choice([
            lambda: self.damaged(text), lambda: b"\xef\xbb\xbf" + text, lambda: text + text, lambda: b"[" * rng.choice([10, 65, 90000]),
            lambda: text.replace(b":", b": // x\n"), lambda: text[:-1] + b",}", lambda: text[:-1] + b', "model": "digits"' * 2 + b"}",
            lambda: text.replace(b'"', b"'"), lambda: text.decode().encode("utf-16"), lambda: b'{"a":' * 500 + b"1" + b"}" * 500,
            lambda: b'"\\ud800"', lambda: b"nan", lambda: b""])()

    def of_json(self):
        """A photo and its parameters."""
        rng, route = self.rng, self.route()
        document = {"image": base64.b64encode(self.picture()).decode(), "model": "digits"}
        if route == "/v1/filter" and rng.random() < 0.3:
            document["mask"] = base64.b64encode(self.mask()).decode()
        document[rng.choice(self.parameters[route])] = copy.deepcopy(rng.choice([*VALUES, self.odd()]))
        return Case("JSON", "POST", route, route, self.text(document), [JSON])

    def of_estimate(self):
        rng = self.rng
        if rng.random() < 0.4:
            return Case("estimate", "POST", "/v1/estimates", "/v1/estimates",
                        self.text({"model": "digits", "name": "n", "prior": [1.0] * 10}), [JSON])
        name = rng.choice(["ESTIMATE", "ESTIMATE", "ESTIMATE", *IDS])
        if rng.random() < 0.5:
            body = self.text({"units": "bits", "prior": [0.5] * 10, "suspects": 3})
            return Case("estimate", "POST", "/v1/estimates/{id}", f"/v1/estimates/{name}", body, [JSON])
        route = "/v1/estimates/{id}"
        return Case("estimate", "GET", route, f"/v1/estimates/{name}{self.query(route)}", None)

    def of_samples(self):
        rng, route = self.rng, "/v1/estimates/{id}/samples"
        path = f"/v1/estimates/{rng.choice(['ESTIMATE', 'ESTIMATE', *IDS[:3]])}/samples"
        if rng.random() < 0.5:
            return Case("sample", "POST", route, path + self.query(route), self.picture())
        headers, body = form([(rng.choice(["1", "7", "10", "-1", "x", ""]), f"{rng.randrange(9)}.png", self.picture())
                              for _ in range(rng.choice([1, 2, 5]))])
        return Case("sample", "POST", route, path, body, headers)

    def of_tensors(self):
        rng, photo = self.rng, self.picture()
        given = {"name": "image", "datatype": "BYTES", "shape": [1]} if rng.random() < 0.4 else {
            "name": "input", "datatype": rng.choice(["FP32", "FP32", "FP16", "INT64"]),
            "shape": rng.choice([[1, 1, 28, 28], [1, 784], [0, 1, 28, 28], [2, 1, 28, 28], [-1, 1, 28, 28], [2 ** 40] * 4, [1] * 40])}
        data = struct.pack("<I", len(photo)) + photo if given["name"] == "image" else struct.pack("<784f", *[0.5] * 784)
        document = {"inputs": [given], "outputs": [{"name": "logits", "parameters": {"classification": 2}}, {"name": "map"}]}
        route, path = "/v2/models/{name}/infer", f"/v2/models/{rng.choice(['digits'] * 6 + IDS[:5])}/infer"
        if rng.random() < 0.5:
            given["data"] = [base64.b64encode(photo).decode()] if given["name"] == "image" else [0.5] * rng.choice([784, 784, 783, 0])
            return Case("tensors", "POST", route, path, self.text(document), self.fields())
        size = rng.choice([len(data), len(data), len(data) - 1, 0, -4, 2 ** 62, "x", None])
        given["parameters"] = {"binary_data_size": size}
        front = self.text(document)
        length = rng.choice([len(front), len(front), len(front) - 1, 0, 10 ** 9, "x", -1, f"0{len(front)}"])
        return Case("tensors", "POST", route, path, front + (data if rng.random() < 0.8 else self.damaged(data)),
                    [("Inference-Header-Content-Length", length)])

    def of_job(self):
        rng, route = self.rng, self.rng.choice(["/v1/filter", "/v1/estimates/{id}/samples"])
        if rng.random() < 0.3:
            end = rng.choice(["", "/result"])
            return Case("job", rng.choice(["GET", "DELETE"]), "/v1/jobs/{id}" + end, f"/v1/jobs/{rng.choice(IDS)}{end}", None)
        query = "?label=7" if "samples" in route else "?model=digits&fill=mean"
        return Case("job", "POST", route, route.replace("{id}", "ESTIMATE") + query, self.picture(), [("Prefer", "respond-async")])

    def of_other(self):
        """Any route, asked in some way."""
        rng = self.rng
        route = rng.choice(sorted(set(self.parameters) - {"/v1/models/reload", "/metrics"}))
        path = route
        for word in ("{name}", "{version}", "{id}"):
            path = path.replace(word, rng.choice(["digits", "1", *IDS]))
        body = None if rng.random() < 0.5 else self.text({"a": 1})
        return Case("route", rng.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]), route, path + self.query(route), body,
                    self.fields())

    def make(self):
        makers = [self.of_picture] * 3 + [self.of_query] * 3 + [self.of_mask] * 2 + [self.of_form] * 2 + [self.of_json] * 2 + [
            self.of_tensors] * 2 + [self.of_lines, self.of_estimate, self.of_samples, self.of_job, self.of_other]
        return self.rng.choice(makers)()
