#!/usr/bin/env python3
"""Asks two builds of the service the same and compares their answers byte for byte: for a change that is to change none.

    tools/compare_answers.py OLD NEW [--only TEXT] [--models FOLDER]

OLD, NEW: the binaries.  Both are started on free ports with empty state folders and get the same requests in turn: every
route of NEW's /openapi.json with good and bad values of each of its parameters, three photos as bodies, forms and JSON,
several photos at once, masks of one's own, jobs, estimates with their samples, tensors, and requests that are wrong.
What differs from run to run is taken out before: times, random names, Date, and the numbers of /metrics.  --only: requests
whose line has TEXT in it (those that make estimates are always sent).  Exit code 1 if an answer differs.
"""
import argparse
import base64
import collections
import http.client
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PHOTOS = [ROOT / "tests/data/photos" / name for name in ("coffee.png", "chelsea.png", "rocket.jpg")]
DIGIT = ROOT / "tests/data/digits/7.png"
TEXTS = {  # values, good and bad, of parameters that are texts
    "model": ["digits", "nosuch", ""], "target": ["7", "3", "label:7", "group:odd", "nosuch"],
    "prior": ["uniform", "train", "0.5,0.5", "x"], "resolution": ["300", "native", "0", "99999", "x"],
    "threshold": ["otsu", "window", "max:0.5", "nats:1", "bits:1", "share:0.2", "max:7", "x"],
    "fill": ["match", "blur", "mean", "inpaint", "diffuse", "pixelate", "transparent", "#ff0000", "#ff", "x"],
    "include": ["mask", "mask,overlay,saliency,image", "x"], "label": ["7", "nosuch"], "sample": ["a", ""],
    "baseline": ["nosuch"],
}
NAMES = {"{name}": ["digits", "nosuch"], "{version}": ["1", "9"], "{id}": ["0" * 24, "nosuch"]}
VARIABLE = [  # what differs from run to run
    (re.compile(rb'"timing_ms":\{[^}]*\}'), b'"timing_ms":{}'),
    (re.compile(rb'"(created|created_at|age_ms|expires_ms|last_inference|ns|since|until|started)":("[^"]*"|[0-9.e+-]+)'),
     rb'"\1":0'),
    (re.compile(rb"(?m)^(Server-Timing|Date):.*$"), rb"\1:"),
]
RANDOM = re.compile(rb"(?<![0-9a-fA-F])(?:[0-9a-f]{24}|[0-9a-f]{32})(?![0-9a-fA-F])")
HEADERS_LEFT_OUT = {"date", "server-timing", "content-length"}  # the length: of bodies with times


class Service:
    """One build that runs, and the random names that it gave, in the order in which they came."""

    def __init__(self, binary, models):
        self.folder, self.names = tempfile.TemporaryDirectory(), {}
        arguments = [binary, "serve", "--port", "0", "--models-dir", str(models), "--state-dir", self.folder.name,
                     "--request-timeout", "600"]  # a filter ends its rounds early where time runs out
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if ":" not in line:
            raise SystemExit(f"{binary} does not serve")
        self.port = int(line.strip().rsplit(":", 1)[1].rstrip("/"))

    def ask(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request(method, self.own(path), body, headers)
        reply = connection.getresponse()
        data = reply.read()
        connection.close()
        return self.plain(reply.status, reply.getheaders(), data)

    def interface(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request("GET", "/openapi.json")
        return json.load(connection.getresponse())

    def own(self, path):
        """ID0 is the first random name that this build gave."""
        for name, number in self.names.items():
            path = path.replace(f"ID{number}", name)
        return path

    def plain(self, status, headers, data):
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        boundary = re.search(r'boundary="?([^";]+)', kind)
        text = f"{status}\n".encode()
        for name, value in sorted(headers):
            if name.lower() not in HEADERS_LEFT_OUT:
                text += f"{name}: {'(there)' if name.lower() == 'etag' else value}\n".encode()
        text += b"\n"
        if kind.startswith("image/"):
            return text + data
        text += data
        for pattern, instead in VARIABLE:
            text = pattern.sub(instead, text)
        if boundary:
            text = text.replace(boundary.group(1).encode(), b"BOUNDARY")
        return RANDOM.sub(self.number, text)

    def number(self, match):
        name = match.group(0).decode()
        return f"ID{self.names.setdefault(name, len(self.names))}".encode()

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def values(parameter):
    """Good and bad values of a parameter, by its schema."""
    schema = parameter.get("schema", {})
    if parameter["name"] in TEXTS:
        return TEXTS[parameter["name"]]
    if "enum" in schema:
        return [*schema["enum"], "x"]
    if schema.get("type") == "boolean":
        return ["true", "false", "maybe"]
    if schema.get("type") in ("integer", "number"):
        low, high = schema.get("minimum", 0), schema.get("maximum", 10)
        return [str(low), str(min(low + 1, high)), str(low - 1), f"{high:.0f}1", "x"]
    return ["x"]


def form(fields):
    """multipart/form-data of (name, file name or None, bytes)."""
    parts = b"".join(b'--cut\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
                     % (name.encode(), b'; filename="%s"' % file.encode() if file else b"", data)
                     for name, file, data in fields)
    return parts + b"--cut--\r\n", {"Content-Type": "multipart/form-data; boundary=cut"}


def of_parameters(path, method, operation):
    """A request for each value of each parameter, and one with none; of photos with the small model, which is quick."""
    takes_photo = "application/octet-stream" in operation.get("requestBody", {}).get("content", {}) and "v2" not in path
    base = "model=digits" if takes_photo else ""
    body = DIGIT.read_bytes() if takes_photo else b"{}" if operation.get("requestBody") else None
    headers = {"Content-Type": "application/octet-stream" if takes_photo else "application/json"} if body else {}
    yield method, path, base, body, headers
    for parameter in operation.get("parameters", []):
        if parameter.get("in") != "query":
            continue
        for value in values(parameter):
            query = f"{parameter['name']}={value.replace('#', '%23').replace('+', '%2B')}"
            yield method, path, "&".join(filter(None, (base if "model=" not in query else "", query))), body, headers
    yield method, path, "nosuch=1", body, headers


def of_interface(interface):
    for path, operations in interface["paths"].items():
        places = [path]
        for name, instead in NAMES.items():
            places = [place.replace(name, value) for place in places for value in (instead if name in place else [""])]
        for method, operation in operations.items():
            if method != "parameters" and not path.startswith("/v1/estimates/{id}/") and "unload" not in path:
                for place in places:
                    yield from of_parameters(place, method.upper(), operation)
        yield "PATCH", places[0], "", None, {}


def of_photos():
    """Three photos, small ones in every wrapping, and bodies that are none."""
    octets, mask = {"Content-Type": "application/octet-stream"}, (ROOT / "tests/data/digits/0.png").read_bytes()
    small = [(ROOT / "tests/data/images" / name).read_bytes() for name in ("444.jpg", "gray8.png", "exif-big-endian.jpg")]
    for route in ("/v1/classify", "/v1/mask", "/v1/filter", "/v1/analyze"):
        for photo in PHOTOS:
            yield "POST", route, "", photo.read_bytes(), octets
        for data in small:
            yield "POST", route, "units=bits", *form([("image", "some/a b.png", data), ("seed", None, b"3")])
        text = json.dumps({"image": base64.b64encode(small[0]).decode(), "target": "cup"})
        yield "POST", route, "", text, {"Content-Type": "application/json"}
        yield "PUT", route, "", small[0], octets
        several = form([("image", f"{i}.png", data) for i, data in enumerate([small[0], b"no photo", small[2]])])
        for accept in ("application/json", "application/x-ndjson", "multipart/mixed", "image/webp", "text/html"):
            yield "POST", route, "", several[0], {**several[1], "Accept": accept}
        yield "POST", route, "", *form([("image", "a.png", small[1]), ("mask", "m.png", mask)])
        yield "POST", route, "", *form([("image", "a.png", DIGIT.read_bytes()), ("mask", "m.png", mask)])
        for data in (b"", b"no photo", small[0][:300], PHOTOS[0].read_bytes()[:900]):
            yield "POST", route, "", data, octets
        for text in ("{", "[]", '{"image": 3}', '{"image": "!"}', '{"url": "http://example.org/"}', "{}"):
            yield "POST", route, "", text, {"Content-Type": "application/json"}
        yield "POST", route, "target=cup&target=espresso", small[0], octets
        yield "POST", route, "units=bits&units=nats", small[0], octets
        yield "POST", route, "model=digits", DIGIT.read_bytes(), octets
    for query in ("format=json", "target=crane", "target=group:dog", "quality=fast&fill=inpaint", "quality=middle&mode=keep"):
        yield "POST", "/v1/filter", query, small[0], octets
    for method in ("cam", "infocam%2B", "gradcam%2B%2B", "layercam", "occlusion"):
        yield "POST", "/v1/mask", f"quality=fast&output=overlay&method={method}", small[0], octets


def of_state():
    """An estimate with its samples, from its making to its end.  ID0: its name."""
    text, octets = {"Content-Type": "application/json"}, {"Content-Type": "application/octet-stream"}
    digits = [(ROOT / f"tests/data/digits/{i}.png").read_bytes() for i in (0, 1, 2, 7)]
    for body in ('{"model": "digits", "name": "one"}', '{"model": "nosuch"}', '{"model": 3}', '{"x": 1}', "{",
                 '{"model": "digits", "prior": [1, 2]}', '{"model": "digits", "prior": "uniform", "name": "two"}'):
        yield "POST", "/v1/estimates", "", body, text
    place = "/v1/estimates/ID0"
    yield "POST", f"{place}/samples", "label=7&sample=seven", digits[3], octets
    yield "POST", f"{place}/samples", "label=7&sample=seven", digits[3], octets
    yield "POST", f"{place}/samples", "label=7&sample=seven", digits[0], octets
    yield "POST", f"{place}/samples", "label=1&sample=seven", digits[3], octets
    yield "POST", f"{place}/samples", "label=nosuch", digits[3], octets
    yield "POST", f"{place}/samples", "", digits[3], octets
    yield "POST", f"{place}/samples", "label=1", b"no photo", octets
    yield "POST", f"{place}/samples", "", *form([("0", "0.png", digits[0]), ("1", "1.png", digits[1]), ("2", "", digits[2]),
                                                ("nosuch", "x.png", digits[0]), ("3", "y.png", b"no"),
                                                ("5", "seven", digits[3])])
    yield "POST", f"{place}/samples", "", *form([("5", "seven", digits[3]), ("4", "0.png", digits[0])])
    yield "POST", "/v1/estimates/nosuch/samples", "label=7", digits[3], octets
    for query in ("", "units=bits", "prior=uniform", "prior=1,2", "suspects=2", "suspects=x"):
        yield "GET", place, query, None, {}
        yield "POST", place, query, "{}", text
    yield "GET", "/v1/estimates", "", None, {}
    yield "GET", "/v1/models/digits/information", "baseline=one", None, {}
    yield "GET", "/v1/models/efficientnet-lite0/information", "", None, {}
    yield "DELETE", place, "", None, {}
    yield "GET", place, "", None, {}


def of_tensors():
    image = base64.b64encode(PHOTOS[0].read_bytes()).decode()
    place, text = "/v2/models/digits/infer", {"Content-Type": "application/json"}
    tensor = {"name": "input", "datatype": "FP32"}
    for asked in ({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [image]}]},
                  {"inputs": [{**tensor, "shape": [1, 1, 28, 28], "data": [i % 7 / 7 for i in range(784)]}]},
                  {"inputs": [{**tensor, "shape": [1, 3, 28, 28], "data": [0] * (3 * 784)}]},
                  {"inputs": [{**tensor, "shape": [2, 1, 28, 28], "data": [0] * 784}]},
                  {"inputs": []}, {"inputs": [{"name": "x"}]}, {"id": 3}, []):
        yield "POST", place, "", json.dumps(asked), text
        if isinstance(asked, dict):
            yield "POST", place, "", json.dumps({**asked, "parameters": {"target": "7", "prior": "uniform"}}), text
            yield "POST", place, "", json.dumps({**asked, "parameters": {"target": "nosuch"}}), text
            yield "POST", place, "", json.dumps({**asked, "outputs": [{"name": "logits"}, {"name": "nosuch"}]}), text
    yield "POST", "/v2/models/efficientnet-lite0/infer", "", json.dumps(
        {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [image]}]}), text
    yield "POST", "/v2/models/nosuch/infer", "", "{}", text


def of_strangers():
    yield "GET", "/nosuch", "", None, {}
    yield "GET", "/", "", None, {}
    yield "OPTIONS", "/v1/classify", "", None, {}
    yield "HEAD", "/v1/models", "", None, {}
    yield "GET", "/v1/models", "", None, {"Accept": "text/html"}
    yield "GET", "/v1/models", "", None, {"Accept-Encoding": "gzip"}
    for header in ({"X-Request-Timeout": "x"}, {"X-Request-Id": "a b\x7f"}, {"Content-Length": "-1"}, {"Host": "x/y"}):
        yield "POST", "/v1/classify", "", DIGIT.read_bytes(), {"Content-Type": "image/png", **header}


def requests(interface):
    yield from of_state()
    yield from of_interface(interface)
    yield from of_photos()
    yield from of_tensors()
    yield from of_strangers()


def metrics_without_numbers(answer):
    return b"\n".join(re.sub(rb" [^ ]+$", b"", line) for line in answer.split(b"\n") if b"_bucket" not in line)


def first_difference(old, new):
    at = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), min(len(old), len(new)))
    return old[max(0, at - 60):at + 120], new[max(0, at - 60):at + 120]


def compare(services, only):
    interface = [service.interface() for service in services][1]
    different, statuses = 0, collections.Counter()
    for number, (method, path, query, body, headers) in enumerate(requests(interface)):
        line = f"{method} {path}{'?' + query if query else ''}"
        if only not in line and "/v1/estimates" not in line:
            continue
        headers = {"X-Request-Id": f"r{number}", **headers}
        answers = [service.ask(method, f"{path}?{query}" if query else path, body, headers) for service in services]
        if path == "/metrics":
            answers = [metrics_without_numbers(answer) for answer in answers]
        statuses[answers[1][:3].decode()] += 1
        if answers[0] != answers[1]:
            different += 1
            old, new = first_difference(*answers)
            kind = headers.get("Content-Type", "")
            print(f"{line}  [{kind}, {len(body or b'')} bytes]\n  old: {old!r}\n  new: {new!r}",
                  flush=True)
    print(f"{statuses.total()} requests, {different} answered differently; by status:",
          ", ".join(f"{status} {count}" for status, count in sorted(statuses.items())))
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--only", default="")
    parser.add_argument("--models", default=ROOT / "config/models", type=pathlib.Path)
    arguments = parser.parse_args()
    services = []
    try:
        for binary in (arguments.old, arguments.new):
            services.append(Service(binary, arguments.models))
        return 1 if compare(services, arguments.only) else 0
    finally:
        for service in services:
            service.close()


if __name__ == "__main__":
    sys.exit(main())
