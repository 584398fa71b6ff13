"""Open Inference Protocol v2: what KServe's and Triton's clients send and expect, byte by byte."""
import base64
import json
import shutil
import struct
import time

import jsonschema
import numpy as np
import pytest

from conftest import CLASSIFY, ROOT, SLOW
from test_access import bearer, write_keys

MODEL = "/v2/models/efficientnet-lite0"
PHOTO = (ROOT / "tests/data/photos/coffee.png").read_bytes()
LOGITS = np.fromfile(ROOT / "tests/data/golden/coffee.logits.f32", np.float32)


def golden(name="coffee"):
    return np.fromfile(ROOT / f"tests/data/golden/{name}.input.f32", np.float32).reshape(1, 3, 224, 224)


def binary(header, *tensors):
    """The JSON with the tensors behind it, and the header that says where they begin."""
    front = json.dumps(header).encode()
    return front + b"".join(tensors), [("Inference-Header-Content-Length", len(front))]


def fp32(x, **more):
    return {"name": "input", "datatype": "FP32", "shape": list(x.shape), **more}


def image(count=1, **more):
    return {"name": "image", "datatype": "BYTES", "shape": [count], **more}


def element(data):
    return struct.pack("<I", len(data)) + data


def infer(server, header, *tensors, path=MODEL + "/infer"):
    body, headers = binary(header, *tensors) if tensors else (json.dumps(header).encode(), [])
    return server.ask("POST", path, body, headers)


def outputs(response):
    """name -> array or list of strings, whichever form they came in."""
    assert response.status == 200, response.text
    length = response.get("Inference-Header-Content-Length")
    front = response.body if length is None else response.body[:int(length)]
    rest, found = response.body[len(front):], {}
    for tensor in json.loads(front)["outputs"]:
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is None:
            data = tensor["data"]
        else:
            data, rest = rest[:size], rest[size:]
        if tensor["datatype"] == "FP32":
            data = np.frombuffer(data, "<f4") if size is not None else np.array(data, np.float32)
            found[tensor["name"]] = data.reshape(tensor["shape"])
        elif size is None:
            found[tensor["name"]] = data
        else:
            strings = []
            while data:
                n, = struct.unpack_from("<I", data)
                strings.append(data[4:4 + n].decode())
                data = data[4 + n:]
            found[tensor["name"]] = strings
    assert rest == b""
    return found


def asked(*names, **parameters):
    return [{"name": name, "parameters": parameters} for name in names]


def test_health_and_metadata(server):
    assert server.ask(path="/v2/health/live").json == {"live": True}
    assert server.ask(path="/v2/health/ready").json == {"ready": True}
    assert server.ask(path=MODEL + "/ready").json == {"name": "efficientnet-lite0", "ready": True}
    assert server.ask(path=MODEL + "/versions/1/ready").status == 200
    about = server.ask(path="/v2").json
    assert about["name"] == "infomask" and "binary_tensor_data" in about["extensions"]
    model = server.ask(path=MODEL).json
    assert model == server.ask(path=MODEL + "/versions/1").json
    assert model["inputs"][0] == {"name": "input", "datatype": "FP32", "shape": [-1, 3, 224, 224]}
    assert [output["name"] for output in model["outputs"]] == ["probabilities", "logits", "pmi", "map"]


@pytest.mark.parametrize("as_binary", [False, True])
def test_golden_logits(server, as_binary):
    x = golden()
    header = {"id": "a-1", "outputs": asked("logits", "probabilities", "pmi", binary_data=as_binary)}
    if as_binary:
        header["inputs"] = [fp32(x, parameters={"binary_data_size": x.nbytes})]
        response = infer(server, header, x.tobytes())
        assert response.get("Content-Type") == "application/octet-stream"
    else:
        header["inputs"] = [fp32(x, data=x.ravel().tolist())]
        response = infer(server, header)
        assert response.json["id"] == "a-1" and response.json["model_name"] == "efficientnet-lite0"
    found = outputs(response)
    assert np.abs(found["logits"][0] - LOGITS).max() < 1e-4
    p = np.exp(LOGITS - LOGITS.max(), dtype=np.float64)
    p /= p.sum()
    assert np.abs(found["probabilities"][0] - p).max() < 1e-5
    assert np.abs(found["pmi"][0] - (np.log(p) + np.log(1000))).max() < 2e-4


def test_nested_data_and_a_batch(server):
    x = np.concatenate([golden("coffee"), golden("rocket")])
    one = outputs(infer(server, {"inputs": [fp32(x, data=x.tolist())], "outputs": asked("logits")}))["logits"]
    assert one.shape == (2, 1000) and np.abs(one[0] - LOGITS).max() < 1e-4
    assert one[1].argmax() == 657


def test_the_photo_itself(server):
    header = {"inputs": [image(parameters={"binary_data_size": len(PHOTO) + 4})], "parameters": {"binary_data_output": True}}
    found = outputs(infer(server, header, element(PHOTO)))
    there = server.ask("POST", CLASSIFY + "?top_k=1", PHOTO).json["predictions"][0]
    assert found["probabilities"][0].argmax() == there["index"] == 967
    assert abs(found["pmi"][0, 967] - there["pmi"]) < 1e-4
    assert found["map"].shape == (1, 7, 7) and abs(found["map"].mean() - there["pmi"]) < 1e-4
    encoded = base64.b64encode(PHOTO).decode()
    again = outputs(infer(server, {"inputs": [image(data=[encoded])]}))
    assert np.array_equal(found["logits"], again["logits"])


def test_target_and_prior(server):
    encoded = base64.b64encode(PHOTO).decode()
    header = {"inputs": [image(data=[encoded])], "parameters": {"target": "cup", "prior": "uniform"},
              "outputs": asked("map", "pmi")}
    found = outputs(infer(server, header))
    assert abs(found["map"].mean() - found["pmi"][0, 968]) < 1e-4


def test_a_group_is_a_target(server):
    encoded = base64.b64encode(PHOTO).decode()
    header = {"inputs": [image(data=[encoded])], "parameters": {"target": "beverage"}, "outputs": asked("map", "probabilities")}
    found = outputs(infer(server, header))
    members = next(g for g in server.ask("GET", "/v1/models/efficientnet-lite0/groups").json["groups"]
                   if g["name"] == "beverage")["members"]
    p = found["probabilities"][0, members].astype(float).sum()
    assert abs(found["map"].mean() - (np.log(p) - np.log(len(members) / 1000))) < 1e-4


def test_several_photos(server):
    photos = [PHOTO, (ROOT / "tests/data/photos/rocket.jpg").read_bytes()]
    data = b"".join(map(element, photos))
    header = {"inputs": [image(2, parameters={"binary_data_size": len(data)})],
              "outputs": asked("probabilities", binary_data=True, classification=2)}
    strings = outputs(infer(server, header, data))["probabilities"]
    assert len(strings) == 4
    value, index, label = strings[0].split(":")
    assert abs(float(value) - 0.951) < 0.01 and index == "967" and label == "espresso"
    assert strings[2].split(":")[1] == "657"


def test_classification_of_the_pmi_in_json(server):
    encoded = base64.b64encode(PHOTO).decode()
    header = {"inputs": [image(data=[encoded])], "outputs": asked("pmi", classification=3)}
    strings = outputs(infer(server, header))["pmi"]
    values = [float(text.split(":")[0]) for text in strings]
    assert values == sorted(values, reverse=True) and strings[0].endswith(":967:espresso")


def test_as_described(server):
    document = server.ask(path="/openapi.json").json
    encoded = base64.b64encode(PHOTO).decode()
    replies = {"V2Server": server.ask(path="/v2"), "V2Live": server.ask(path="/v2/health/live"),
               "V2Model": server.ask(path=MODEL), "V2Ready": server.ask(path=MODEL + "/ready"),
               "V2Inference": infer(server, {"inputs": [image(data=[encoded])]})}
    for name, response in replies.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(response.json)


X = [[[[0.0] * 8] * 8] * 3]


@pytest.mark.parametrize("header,tensors,status,words", [
    ([], (), 400, "object"),
    ({}, (), 400, "inputs"),
    ({"inputs": [fp32(np.zeros((1, 3, 8, 8)), data=X), fp32(np.zeros((1, 3, 8, 8)), data=X)]}, (), 400, "one tensor"),
    ({"inputs": [{"name": "x", "shape": [1, 3, 8, 8], "datatype": "INT64", "data": []}]}, (), 400, "FP32 or BYTES"),
    ({"inputs": [fp32(np.zeros((1, 3, 8, 9)), data=X)]}, (), 400, "216"),
    ({"inputs": [fp32(np.zeros((1, 4, 6, 8)), data=[0] * 192)]}, (), 400, "C = 3"),
    ({"inputs": [fp32(np.zeros((1, 4, 6, 8)), data=X)]}, (), 400, "nested as the shape"),
    ({"inputs": [fp32(np.zeros((1, 3, 8, 8)), data=X[0])]}, (), 400, "nested as the shape"),
    ({"inputs": [fp32(np.zeros((1, 3, 8, 8)), data=[[X[0][0], X[0][1]], [X[0][2]]])]}, (), 400, "nested as the shape"),
    ({"inputs": [fp32(np.zeros((1, 3, 8, 8)), data=[[0] * 192])]}, (), 400, "nested as the shape"),
    ({"inputs": [{**fp32(np.zeros((1, 3, 8, 8)), data=X), "name": "image"}]}, (), 400, "no input"),
    ({"inputs": [{**fp32(np.zeros((1, 3, 8, 8)), data=X), "name": "x"}]}, (), 400, "no input"),
    ({"parameters": {"data": [1, 2]}, "inputs": [fp32(np.zeros((1, 3, 8, 8)), data=X)]}, (), 400, "nested as the shape"),
    ({"inputs": [{"name": "x", "shape": [1, -3, 8, 8], "datatype": "FP32", "data": X}]}, (), 400, "positive"),
    ({"inputs": [{"name": "x", "shape": [1 << 20] * 4, "datatype": "FP32", "data": X}]}, (), 400, "2^30"),
    ({"inputs": [{"name": "x", "shape": [65, 1, 1, 1], "datatype": "FP32", "data": []}]}, (), 400, "64"),
    ({"inputs": [fp32(np.zeros((1, 3, 8, 8)))]}, (), 400, "binary_data_size"),
    ({"inputs": [fp32(np.zeros((1, 3, 8, 9)), data=[0] * 216)]}, (), 400, "8 x 9, the model is made for 224 x 224"),
    ({"inputs": [fp32(np.zeros((1, 3, 8, 8)), parameters={"binary_data_size": 4})]}, (b"abcd",), 400, "768 bytes"),
    ({"inputs": [fp32(np.zeros((1, 1, 1, 1)), parameters={"binary_data_size": 4})]}, (b"\0\0\x80\x7f",), 400, "finite"),
    ({"inputs": [image(parameters={"binary_data_size": 4})]}, (b"\x09\0\0\0",), 400, "past the end"),
    ({"inputs": [image(parameters={"binary_data_size": 6})]}, (b"\x01\0\0\0ab",), 400, "behind the last"),
    ({"inputs": [image(parameters={"binary_data_size": 4})]}, (b"\xff\xff\xff\xff",), 400, "past the end"),
    ({"inputs": [image(2, data=["aa"])]}, (), 400, "as many strings"),
    ({"inputs": [image(data=["a*"])]}, (), 400, "base64"),
    ({"inputs": [image(data=["aGVsbG8="])]}, (), 415, ""),
    ({"inputs": [image(data=[base64.b64encode(PHOTO[:9000]).decode()])]}, (), 422, ""),
    ({"inputs": [image(data=["aaaa"])], "outputs": asked("nope")}, (), 400, "probabilities"),
    ({"inputs": [image(data=["aaaa"])], "outputs": asked("pmi", "pmi")}, (), 400, "twice"),
    ({"inputs": [image(data=["aaaa"])], "outputs": asked("map", classification=2)}, (), 400, "map"),
    ({"inputs": [image(data=["aaaa"])], "outputs": asked("pmi", classification=0)}, (), 400, "classification"),
    ({"inputs": [image(data=["aaaa"])], "parameters": {"target": "no such thing"}}, (), 404, ""),
    ({"inputs": [image(data=["aaaa"])], "parameters": {"prior": 3}}, (), 400, "prior"),
])
def test_refusals(server, header, tensors, status, words):
    response = infer(server, header, *tensors)
    assert response.status == status and words in response.json["error"] and list(response.json) == ["error"]


def test_more_refusals(server):
    assert server.ask("POST", MODEL + "/infer", b"{", []).json.keys() == {"error"}
    for length in ("x", "-1", "99999999", ""):
        response = server.ask("POST", MODEL + "/infer", b"{}", [("Inference-Header-Content-Length", length)])
        assert response.status == 400 and "error" in response.json
    for path in ("/v2/models/nope", "/v2/models/nope/ready", MODEL + "/versions/7", "/v2/nope"):
        response = server.ask(path=path)
        assert response.status == 404 and list(response.json) == ["error"]
    assert server.ask(path=MODEL + "/infer").status == 405
    assert server.ask("POST", "/v2/repository/index", b"").status == 403


def test_repository(make_server, tmp_path):
    path = tmp_path / "keys"
    write_keys(path, root="admin", alice="infer")
    server = make_server("--keys", path)
    index = server.ask("POST", "/v2/repository/index", b"{}", bearer("root"))
    assert index.status == 200
    assert [(m["name"], m["state"]) for m in index.json if m["name"] == "efficientnet-lite0"] == [("efficientnet-lite0", "READY")]
    load = server.ask("POST", "/v2/repository/models/efficientnet-lite0/load", b"{}", bearer("root"))
    assert load.status == 200
    assert server.ask("POST", "/v2/repository/models/nope/load", b"{}", bearer("root")).status == 404
    assert server.ask("POST", "/v2/repository/index", b"{}", bearer("alice")).status == 403
    assert server.ask("POST", "/v2/repository/models/efficientnet-lite0/unload", b"", bearer("root")).json.keys() == {"error"}


def test_unload_until_loaded(make_server, tmp_path):
    keys = tmp_path / "keys"
    write_keys(keys, root="admin,infer")
    shutil.copytree(ROOT / "config/models/digits", tmp_path / "models/one")
    shutil.copytree(ROOT / "config/models/digits", tmp_path / "models/two")
    for name in ("one", "two"):
        path = tmp_path / "models" / name / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "name": name}))
    server = make_server("--keys", keys, "--models-dir", tmp_path / "models", "--model", "one")

    def ready(name):
        return server.ask(path=f"/v2/models/{name}/ready", headers=bearer("root")).status

    def repository(name, what):
        return server.ask("POST", f"/v2/repository/models/{name}/{what}", b"{}", bearer("root"))

    assert (ready("one"), ready("two")) == (200, 200)
    assert repository("two", "unload").status == 200
    assert (ready("one"), ready("two")) == (200, 404)
    assert repository("two", "unload").status == 404
    refused = repository("one", "unload")
    assert refused.status == 400 and "default" in refused.json["error"]
    assert repository("two", "load").status == 200
    assert (ready("one"), ready("two")) == (200, 200)


def test_statistics(server):
    def statistics():
        return server.ask(path=MODEL + "/stats").json["model_stats"][0]

    before = statistics()
    assert server.ask("POST", CLASSIFY, PHOTO).status == 200
    assert infer(server, {"inputs": [fp32(np.zeros((2, 3, 224, 224)), parameters={"binary_data_size": 2 * 3 * 224 * 224 * 4})]},
                 bytes(2 * 3 * 224 * 224 * 4)).status == 200
    assert server.ask("POST", CLASSIFY, PHOTO[:9000]).status == 422
    deadline = time.monotonic() + 10 * SLOW
    after = before
    while (after["inference_stats"]["fail"] == before["inference_stats"]["fail"] or
           after["execution_count"] < before["execution_count"] + 2):
        assert time.monotonic() < deadline
        time.sleep(0.01)
        after = statistics()
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["execution_count"] - before["execution_count"] == 2
    spans, old = after["inference_stats"], before["inference_stats"]
    assert spans["success"]["count"] == after["execution_count"] and spans["fail"]["count"] == old["fail"]["count"] + 1
    grown = {name: span["ns"] - old[name]["ns"] for name, span in spans.items()}
    assert 0 < grown["compute_infer"] < grown["success"]
    assert server.ask(path="/v2/models/stats").json["model_stats"][0]["name"]
    assert server.ask(path="/v2/models/nope/stats").status == 404


def test_an_input_that_the_network_overflows_on(server):
    """Found by the fuzzer of the daemon: no internal error, the numbers are the client's."""
    x = np.full((1, 1, 28, 28), -3e38, np.float32)
    header = {"inputs": [fp32(x, parameters={"binary_data_size": x.nbytes})]}
    response = infer(server, header, x.tobytes(), path="/v2/models/digits/infer")
    assert response.status == 400 and "overflows" in response.json["error"]


def test_lengths_have_no_signs(server):
    for length in ["+10", "-1", " 10 1", "0x10", ""]:
        response = server.ask("POST", MODEL + "/infer", b"{}", [("Inference-Header-Content-Length", length)])
        assert response.status == 400, length


def test_many_photos_as_numbers(server):
    """Over a million of them: the limit of a request is its bytes."""
    x = np.round(np.random.default_rng(7).normal(size=(7, 3, 224, 224)), 1).astype(np.float32)
    got = outputs(infer(server, {"inputs": [fp32(x, data=x.tolist())], "outputs": asked("logits")}))["logits"]
    binary = outputs(infer(server, {"inputs": [fp32(x, parameters={"binary_data_size": x.nbytes})], "outputs": asked("logits")}, x.tobytes()))
    assert np.array_equal(got, binary["logits"])


def test_limits_of_the_json_are_named(server):
    many = server.ask("POST", MODEL + "/infer", b'{"x": [' + b"null," * 1000000 + b"1]}")
    deep = server.ask("POST", MODEL + "/infer", b"[" * 40 + b"]" * 40)
    assert many.status == deep.status == 400 and "1000000 values" in many.json["error"] and "32 arrays" in deep.json["error"]
