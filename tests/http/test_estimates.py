"""Estimates over HTTP: what api 2.4 promises, against what /v1/classify answers for the same photos."""
import contextlib
import functools
import io
import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import jsonschema
import numpy
import pytest
from PIL import Image

import conftest
import kill9
from conftest import encode

BASE = "/v1/estimates"
JSON = [("Content-Type", "application/json")]
# OpenBLAS rounds a photo's float32 sums by the size of its batch
CLOSE = 1e-6 if conftest.ENVIRONMENT.get("INFOMASK_ISA") == "blas" else 1e-9


def photo(seed):
    """A noise picture: no object, but every network says something about it."""
    pixels = numpy.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=numpy.uint8)
    return encode(Image.fromarray(pixels).resize((120, 96)))


def form(parts):
    """[(field, file name, bytes)] as multipart/form-data."""
    out = io.BytesIO()
    for field, name, data in parts:
        out.write(f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode())
        out.write(data + b"\r\n")
    out.write(b"--x--\r\n")
    return out.getvalue(), [("Content-Type", "multipart/form-data; boundary=x")]


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def service(make_server, state):
    return make_server("--state-dir", state)


def create(server, **members):
    response = server.ask("POST", BASE, json.dumps(members).encode(), JSON)
    assert response.status == 201, response.text
    return json.loads(response.text)["id"]


def post(server, estimate, parts, query=""):
    body, headers = form(parts)
    return server.ask("POST", f"{BASE}/{estimate}/samples{query}", body, headers)


def read(server, estimate, query=""):
    response = server.ask(path=f"{BASE}/{estimate}{query}")
    assert response.status == 200, response.text
    return json.loads(response.text)


def test_an_estimate_is_what_the_photos_say(service):
    estimate = create(service, name="noise")
    photos, labels = [photo(i) for i in range(6)], [0, 1, 2, 0, 1, 2]
    response = post(service, estimate, [(str(y), f"{i}.png", p) for i, (y, p) in enumerate(zip(labels, photos))])
    assert response.status == 201, response.text
    reply = json.loads(response.text)
    assert (reply["accepted"], reply["rejected"], reply["samples"]) == (6, [], 6)
    log_q, pmi, information = [], [], []
    for y, p in zip(labels, photos):
        answer = json.loads(service.ask("POST", f"/v1/classify?target={y}", p).text)
        log_q.append(answer["target"]["log_probability"])
        pmi.append(answer["target"]["pmi"])
        information.append(answer["information"])
    state = read(service, estimate)
    entropy = math.log(3)
    value = state["mutual_information"]
    assert state["samples"] == value["limit_samples"] == 6
    assert state["label_entropy"] == pytest.approx(entropy, abs=1e-9)
    assert value["estimate"] == pytest.approx(entropy + sum(log_q) / 6, abs=CLOSE)
    assert state["calibration"]["log_loss"] == pytest.approx(-sum(log_q) / 6, abs=CLOSE)
    assert state["plug_in"] == pytest.approx(sum(information) / 6, abs=CLOSE)
    assert state["overconfidence"] == pytest.approx(state["plug_in"] - value["estimate"], abs=1e-9)
    assert max(value["lower_limit"], value["lower_limit_t"]) < value["estimate"]
    for row in state["classes"]:
        assert row["mean_pmi"] == pytest.approx((pmi[row["index"]] + pmi[row["index"] + 3]) / 2, abs=CLOSE)
    assert sum(row["information"] for row in state["classes"]) / 3 == pytest.approx(value["estimate"], abs=1e-9)
    assert state["suspect_threshold"] == pytest.approx(-math.log(6)) and state["expected_suspects"] == pytest.approx(1)
    assert state["suspects"] == sorted(state["suspects"], key=lambda s: s["pmi"])
    assert [s["pmi"] for s in state["suspects"]] == pytest.approx(sorted(pmi), abs=CLOSE)
    assert all(s["past"] == (s["pmi"] <= state["audit"]["cut"]) for s in state["suspects"])
    assert len(read(service, estimate, "?suspects=2")["suspects"]) == 2 and not read(service, estimate, "?suspects=0")["suspects"]
    assert service.ask(path=f"{BASE}/{estimate}?suspects=100001").status == 400
    assert any("few" in w for w in state["warnings"])
    bits = read(service, estimate, "?units=bits")
    assert bits["mutual_information"]["lower_limit"] == pytest.approx(value["lower_limit"] / math.log(2))
    assert bits["label_entropy"] == pytest.approx(math.log2(3)) and bits["accuracy"] == state["accuracy"]
    uniform = read(service, estimate, "?prior=uniform")  # from the kept logits, in half precision
    assert uniform["mutual_information"]["estimate"] == pytest.approx(value["estimate"], abs=0.02)
    assert [s["sample"] for s in uniform["suspects"]] == [s["sample"] for s in state["suspects"]]  # the prior is uniform
    assert uniform["audit"]["samples"] == state["audit"]["samples"] == 6 and uniform["audit"]["cut"] == pytest.approx(state["audit"]["cut"], abs=0.05)
    assert len(read(service, estimate, "?prior=uniform&suspects=2")["suspects"]) == 2


FIELDS = {
    "request_id", "id", "name", "model", "units", "prior", "samples", "logits_kept", "accuracy", "label_entropy",
    "mutual_information", "plug_in", "overconfidence", "mean_entropy", "calibrated", "calibration", "classes", "suspects",
    "suspects_in_all", "suspect_threshold", "expected_suspects", "warnings", "audit", "duplicates"}
VALUE = {
    "estimate", "standard_error", "lower_limit", "confidence", "method", "limit_samples", "units", "lower_limit_t",
    "lower_limit_bernstein", "fraction_of_label_entropy", "fano", "confusion", "stratified", "stratified_standard_error"}


def test_every_field_is_there_from_no_sample_on(service):
    document = json.loads(service.ask(path="/openapi.json").text)
    estimate = create(service)
    for count in (0, 1, 12):
        if count:
            post(service, estimate, [(str(i % 2), f"{i}.png", photo(i)) for i in range(count)])
        state = read(service, estimate)
        jsonschema.validate(state, {"$ref": "#/components/schemas/Estimate", "components": document["components"]})
        assert set(state) == FIELDS and set(state["mutual_information"]) == VALUE
        assert set(state["calibrated"]) == {"temperature", "at_edge", "estimate"}
        assert set(state["calibration"]) == {"ece", "log_loss", "brier", "reliability"}
        assert state["samples"] == state["logits_kept"] == sum(row["samples"] for row in state["classes"]) == count
        assert sum(row["samples"] for row in state["calibration"]["reliability"]) == count
    missing = {key for key in VALUE if state["mutual_information"][key] is None}
    assert missing == {"stratified", "stratified_standard_error"}  # of a population with classes that were not seen
    assert (state["mutual_information"]["confidence"], state["mutual_information"]["method"]) == (0.975, "betting")
    for row in state["classes"]:
        assert set(row) == {"index", "label", "samples", "mean_pmi", "information", "accuracy"}
    for row in state["suspects"]:
        assert set(row) == {"sample", "label", "pmi", "predicted", "expected", "past", "below_class"}
    assert state["accuracy"] == pytest.approx(sum(r["samples"] * r["accuracy"] for r in state["classes"]) / 12)
    assert state["mutual_information"]["fraction_of_label_entropy"] == pytest.approx(
        state["mutual_information"]["estimate"] / state["label_entropy"])


def test_another_photo_or_label_under_a_known_name_is_a_conflict(service):
    estimate = create(service)
    both = post(service, estimate, [("3", "1.jpg", photo(1)), ("4", "1.jpg", photo(2))])
    assert both.status == 201, both.text
    reply = json.loads(both.text)
    assert (reply["accepted"], reply["known"], reply["samples"]) == (1, 0, 1)
    assert [(r["sample"], r["code"]) for r in reply["rejected"]] == [("1.jpg", "conflict")]
    for parts in ([("3", "1.jpg", photo(2))], [("4", "1.jpg", photo(1))]):  # other bytes; another label
        response = post(service, estimate, parts)
        assert response.status == 409 and json.loads(response.text)["code"] == "conflict", response.text
    all_of_them = post(service, estimate, [("3", "1.jpg", photo(2)), ("5", "1.jpg", photo(3))])
    reply = json.loads(all_of_them.text)
    assert all_of_them.status == 409 and reply["code"] == "conflict" and reply["type"] == "urn:infomask:problem:conflict"
    assert all_of_them.get("Content-Type") == "application/problem+json"
    assert [r["code"] for r in reply["rejected"]] == ["conflict"] * 2 and reply["samples"] == 1
    mixed = post(service, estimate, [("3", "1.jpg", photo(1)), ("3", "1.jpg", photo(2))])
    assert mixed.status == 200 and json.loads(mixed.text)["known"] == 1 and len(json.loads(mixed.text)["rejected"]) == 1
    assert read(service, estimate)["samples"] == 1


def test_folders_are_part_of_the_name_and_equal_photos_are_counted(service):
    estimate = create(service)
    reply = json.loads(post(service, estimate, [("3", "a/1.jpg", photo(1)), ("3", "b/1.jpg", photo(2)),
                                                ("3", "c/1.jpg", photo(1))]).text)
    assert (reply["accepted"], reply["known"], reply["duplicates"], reply["rejected"]) == (3, 0, 1, [])
    state = read(service, estimate)
    assert {row["sample"] for row in state["suspects"]} == {"a/1.jpg", "b/1.jpg", "c/1.jpg"} and state["duplicates"] == 1
    assert any("bytes of another" in warning for warning in state["warnings"])
    body = photo(7)
    for _ in range(2):  # without a name the hash is the id
        response = service.ask("POST", f"{BASE}/{estimate}/samples?label=3", body)
    assert response.status == 200 and json.loads(response.text)["known"] == 1


def test_a_sample_counts_once(service):
    estimate = create(service)
    assert post(service, estimate, [("3", "a.png", photo(1))]).status == 201
    again = post(service, estimate, [("3", "a.png", photo(1))])
    assert again.status == 200 and json.loads(again.text)["samples"] == 1
    path = f"{BASE}/{estimate}/samples?label=4"
    assert service.ask("POST", path + "&sample=b", photo(2)).status == 201
    assert service.ask("PUT", path + "&sample=b", photo(2)).status == 200
    assert service.ask("PUT", path + "&sample=b", photo(3)).status == 409
    assert service.ask("POST", path, photo(2)).status == 201  # without an id: by its bytes
    assert service.ask("POST", path, photo(2)).status == 200
    assert read(service, estimate)["samples"] == 3


def test_bad_photos_spoil_only_themselves(service):
    estimate = create(service)
    response = post(service, estimate, [("1", "good.png", photo(4)), ("1", "bad.png", b"no photo"),
                                        ("no such class", "c.png", photo(5)), ("1", "cut.png", photo(6)[:900])])
    reply = json.loads(response.text)
    assert response.status == 201 and reply["accepted"] == 1 and reply["samples"] == 1
    assert {r["sample"]: r["code"] for r in reply["rejected"]} == {
        "bad.png": "unsupported_format", "c.png": "no_such_class", "cut.png": "bad_image"}


@pytest.mark.parametrize("query, body, status, code", [
    ("", b"", 400, "bad_request"),
    ("?label=nothing+like+it", None, 404, "no_such_class"),
    ("?label=1", b"no photo at all", 415, "unsupported_format"),
    ("", None, 400, "bad_parameter"),
    ("?top_k=3&label=1", None, 400, "bad_parameter"),
])
def test_a_lone_bad_sample_is_refused(service, query, body, status, code):
    estimate = create(service)
    response = service.ask("POST", f"{BASE}/{estimate}/samples{query}", photo(7) if body is None else body)
    assert (response.status, json.loads(response.text)["code"]) == (status, code), response.text


@pytest.mark.parametrize("body, status, code, named", [
    (b"", 400, "bad_request", ""),
    (b"[]", 400, "bad_request", "object"),
    (b'{"modle": "x"}', 400, "bad_parameter", "modle"),
    (b'{"model": "x"}', 404, "no_such_model", "x"),
    (b'{"model": 3}', 400, "bad_parameter", "model"),
    (b'{"prior": "mine"}', 400, "bad_parameter", "prior"),
    (b'{"prior": [1, 2]}', 400, "bad_parameter", "numbers"),
    (b'{"name": 7}', 400, "bad_parameter", "name"),
])
def test_what_cannot_be_created_is_named(service, body, status, code, named):
    response = service.ask("POST", BASE, body, JSON)
    problem = json.loads(response.text)
    assert (response.status, problem["code"]) == (status, code) and named in problem["detail"]


def test_a_prior_of_ones_own(service):
    models = json.loads(service.ask(path="/v1/models").text)
    classes = next(m["classes"] for m in models["models"] if m["name"] == models["default"])
    estimate = create(service, prior=[1.0 + k % 3 for k in range(classes)])
    assert post(service, estimate, [("1", "a.png", photo(8))]).status == 201
    state = read(service, estimate)
    query = ",".join(str(1.0 + k % 3) for k in range(classes))
    answer = json.loads(service.ask("POST", f"/v1/classify?target=1&prior={query}", photo(8)).text)
    assert state["prior"] == "given"
    assert state["classes"][0]["mean_pmi"] == pytest.approx(answer["target"]["pmi"], abs=1e-9)


def fields(members):
    """A form of texts."""
    parts = "".join(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in members.items())
    return (parts + "--x--\r\n").encode(), [("Content-Type", "multipart/form-data; boundary=x")]


def full_prior(classes):
    """A number of 17 digits for each class, as people have them: 20 KB of text."""
    return [float(value) for value in numpy.random.default_rng(5).dirichlet(numpy.ones(classes))]


def test_a_prior_too_long_for_a_url(service):
    """GET /v1/estimates/{id} with a body: the same reply, whichever way the prior comes."""
    models = json.loads(service.ask(path="/v1/models").text)
    classes = next(m["classes"] for m in models["models"] if m["name"] == models["default"])
    estimate = create(service)
    assert post(service, estimate, [("1", f"{i}.png", photo(i)) for i in range(4)]).status == 201

    def ask(body, headers=JSON, query=""):
        response = service.ask("POST", f"{BASE}/{estimate}{query}", body, headers)
        return response.status, {key: value for key, value in response.json.items() if key != "request_id"}

    def get(query):
        return 200, {key: value for key, value in read(service, estimate, query).items() if key != "request_id"}

    small = [1 + k % 3 for k in range(classes)]
    expected = get("?units=bits&suspects=2&prior=" + ",".join(map(str, small)))
    assert (expected[1]["prior"], expected[1]["units"]) == ("given", "bits")
    assert ask(json.dumps({"prior": small, "units": "bits", "suspects": 2}).encode()) == expected
    assert ask(*fields({"prior": ",".join(map(str, small)), "units": "bits"}), "?suspects=2") == expected
    assert ask(b'{"suspects": 2}') == get("?suspects=2") != get("")
    assert ask(b"{}") == get("") and ask(b'{"prior": "uniform"}') == get("?prior=uniform")

    prior = full_prior(classes)
    body = json.dumps({"prior": prior}).encode()
    assert len(body) > 16 * classes
    status, state = ask(body)
    assert status == 200 and state["prior"] == "given" and state != get("")[1]
    assert ask(*fields({"prior": ",".join(map(repr, prior))})) == (status, state)
    own = create(service, prior=prior)  # not from logits in half precision
    assert post(service, own, [("1", f"{i}.png", photo(i)) for i in range(4)]).status == 201
    assert state["classes"][0]["mean_pmi"] == pytest.approx(read(service, own)["classes"][0]["mean_pmi"], abs=0.02)


@pytest.mark.parametrize("body, headers, code, word", [
    (b'{"prior": [1, 2]}', JSON, "bad_parameter", "prior"), (b'{"priors": 1}', JSON, "bad_parameter", "priors"),
    (json.dumps({"image": [0.12345678901234567] * 5000}).encode(), JSON, "bad_parameter", "image"), (b'{"prior": {}}', JSON, "bad_json", "prior"),
    (b'[1, 2]', JSON, "bad_json", "object of parameters"), (b'{"prior"', JSON, "bad_json", "JSON"), (b"", JSON, "bad_request", "empty"),
    (*fields({"prior": "1,-1"}), "bad_parameter", "prior"), (*form([("image", "a.png", b"x")]), "bad_parameter", "image"),
    (b'{"prior": "train", "units": "bits"}', JSON, "bad_parameter", "more than once"),
])
def test_a_body_that_asks_for_nothing_known(service, body, headers, code, word):
    estimate = create(service)
    response = service.ask("POST", f"{BASE}/{estimate}?prior=uniform" if word == "more than once" else f"{BASE}/{estimate}", body, headers)
    assert response.status == 400 and response.code == code and word in response.json["detail"]


def test_a_body_for_an_estimate_that_is_not_there(service):
    for body in (b"{}", b'{"prior": "uniform"}'):
        assert service.ask("POST", BASE + "/0123456789abcdef0123456789abcdef", body, JSON).code == "no_such_estimate"


def test_list_and_delete(service):
    estimate = create(service, name="to go")
    rows = json.loads(service.ask(path=BASE).text)["estimates"]
    assert [r["name"] for r in rows if r["id"] == estimate] == ["to go"]
    assert service.ask("DELETE", f"{BASE}/{estimate}").status == 204
    for method in "GET", "DELETE":
        response = service.ask(method, f"{BASE}/{estimate}")
        assert response.status == 404 and json.loads(response.text)["code"] == "no_such_estimate"


def pages(server, limit, between=lambda: None):
    """The ids of the list, page by page; `between` is called after each one that is not the last."""
    after, out = None, []
    while True:
        query = f"?limit={limit}" + (f"&after={after}" if after is not None else "")
        page = server.ask(path=BASE + query).json
        out.append([row["id"] for row in page["estimates"]])
        after = page["next"]
        if after is None:
            return out
        between()


@pytest.fixture(scope="module")
def many(make_server, tmp_path_factory):
    """A service with 1,001 estimates, and their ids in the order in which they were made."""
    server = make_server("--state-dir", tmp_path_factory.mktemp("many"), "--durability", "relaxed")
    return server, [create(server) for _ in range(1001)]


def test_a_list_has_pages(many):
    server, ids = many
    first = server.ask(path=BASE).json
    assert [row["id"] for row in first["estimates"]] == ids[:100] and isinstance(first["next"], int)
    assert [len(page) for page in pages(server, 1000)] == [1000, 1]
    assert [len(page) for page in pages(server, 143)] == [143] * 7  # the last one is full, and nothing follows
    assert sum(pages(server, 143), []) == ids
    beyond = server.ask(path=f"{BASE}?after=9007199254740991").json
    assert beyond == {"estimates": [], "next": None}


def test_pages_stay_while_estimates_come_and_go(many):
    """Each one that is there all the time is listed once: also where the page's last one, which the next page goes on
    from, is deleted."""
    server, ids = many
    gone, come, seen = [], [], iter(range(99, 1001, 100))

    def change():
        at = next(seen)
        for index in (at - 7, at, at + 3):
            if index < len(ids):
                gone.append(ids[index])
                assert server.ask("DELETE", f"{BASE}/{ids[index]}").status == 204
        come.append(create(server))

    listed = sum(pages(server, 100, change), [])
    assert len(set(listed)) == len(listed)
    assert [i for i in listed if i not in gone] == [i for i in ids if i not in gone] + come


@pytest.mark.parametrize("query, sentence", [
    ("limit=0", 'limit must be an integer from 1 to 1000, not "0"'),
    ("limit=1001", 'limit must be an integer from 1 to 1000, not "1001"'),
    ("after=x", 'after must be an integer from 0 to 9007199254740991, not "x"'),
    ("after=-1", 'after must be an integer from 0 to 9007199254740991, not "-1"'),
    ("before=1", 'unknown parameter "before"; there are: limit, after'),
])
def test_pages_that_there_are_not(service, query, sentence):
    response = service.ask(path=f"{BASE}?{query}")
    assert (response.status, response.code) == (400, "bad_parameter")
    assert sentence in response.json["detail"]


def test_samples_survive_a_kill_and_a_restart(make_server, tmp_path):
    server = make_server("--state-dir", tmp_path)
    estimate = create(server)
    for i in range(5):
        assert post(server, estimate, [(str(i % 2), f"{i}.png", photo(i))]).status == 201
    before = read(server, estimate)
    server.signal(signal.SIGKILL)
    server.process.wait()
    after = read(make_server("--state-dir", tmp_path), estimate)
    before.pop("request_id"), after.pop("request_id")
    assert before == after and after["samples"] == 5


@conftest.in_a_file
def test_without_a_place_for_state_the_rest_works(make_server, tmp_path):
    place = tmp_path / "file"
    place.write_text("not a folder")
    server = make_server("--state-dir", place)
    response = server.ask("POST", BASE, b"{}", JSON)
    assert response.status == 503 and json.loads(response.text)["code"] == "no_state"
    assert server.ask("POST", "/v1/classify", photo(1)).status == 200


@conftest.in_a_file
def test_a_full_state_is_507(make_server, tmp_path):
    server = make_server("--state-dir", tmp_path, "--state-limit", "1M")
    estimate = create(server)
    status, count = 201, 0
    while status == 201 and count < 3000:
        parts = [("1", f"{count + i}.png", photo(count + i)) for i in range(32)]
        response = post(server, estimate, parts)
        status, count = response.status, count + (json.loads(response.text)["accepted"] if response.status == 201 else 0)
    assert status == 507 and json.loads(response.text)["code"] == "state_full"
    assert read(server, estimate)["samples"] == count
    assert server.ask("POST", "/v1/classify", photo(1)).status == 200
    assert server.ask("DELETE", f"{BASE}/{estimate}").status == 204
    assert post(server, create(server), [("1", "a.png", photo(1))]).status == 201


@conftest.in_a_file
def test_nothing_is_acknowledged_into_a_removed_file(make_server, tmp_path):
    """rm while it is open: what would be written then is gone with the process."""
    server = make_server("--state-dir", tmp_path, *conftest.PATIENT)
    estimate = create(server)
    assert post(server, estimate, [("1", "a.png", photo(1))]).status == 201
    held = tmp_path / "held"
    held.mkdir()
    for names in (["estimates.db"], ["estimates.db-wal"], ["estimates.db", "estimates.db-wal", "estimates.db-shm"]):
        for name in names:
            (tmp_path / name).rename(held / name)
        for i in range(2):
            response = post(server, estimate, [("1", f"b{i}.png", photo(2 + i))])
            assert (response.status, response.code) == (503, "no_state"), names
        response = server.ask("POST", BASE, b"{}")
        assert (response.status, response.code) == (503, "no_state")
        server.logged("removed or replaced")
        for name in names:
            (held / name).rename(tmp_path / name)
    assert post(server, estimate, [("1", "c.png", photo(4))]).status == 201  # it is all there again
    (tmp_path / "estimates.db").write_bytes(b"")  # in place: another file's bytes under the same name
    assert post(server, estimate, [("1", "d.png", photo(5))]).status in (201, 503)
    (tmp_path / "estimates.db").unlink()
    (tmp_path / "estimates.db").write_bytes(b"x" * 8192)
    assert post(server, estimate, [("1", "e.png", photo(6))]).status == 503
    assert server.ask("POST", "/v1/classify", photo(1)).status == 200


@conftest.in_a_file
@pytest.mark.parametrize("name, size", [("estimates.db", 0), ("estimates.db", 100), ("estimates.db-wal", 0),
                                        ("estimates.db-wal", 32), ("estimates.db-wal", -4096)])
def test_nothing_is_acknowledged_into_a_file_cut_short(make_server, tmp_path, name, size):
    """In place, so that it has its name still: SQLite itself goes on by what it remembers of the file."""
    server = make_server("--state-dir", tmp_path, *conftest.PATIENT)
    estimate = create(server)
    for i in range(3):
        assert post(server, estimate, [("1", f"a{i}.png", photo(i))]).status == 201
    whole = (tmp_path / name).read_bytes()
    os.truncate(tmp_path / name, size if size >= 0 else len(whole) + size)
    for i in range(2):
        response = post(server, estimate, [("1", f"b{i}.png", photo(5 + i))])
        assert (response.status, response.code) == (503, "no_state"), response.text
    assert server.ask("POST", BASE, b"{}").status == 503
    server.logged("cut short or overwritten")
    (tmp_path / name).open("r+b").write(whole)
    assert post(server, estimate, [("1", "c.png", photo(7))]).status == 201  # it is all there again
    assert read(server, estimate)["samples"] == 4


@conftest.in_a_file
@pytest.mark.parametrize("damage", ["UPDATE estimate SET totals = x'00'", "UPDATE estimate SET totals = zeroblob(1760)",
                                    "UPDATE class SET totals = x'0102'", "UPDATE estimate SET classes = -1",
                                    "UPDATE estimate SET classes = 7", "UPDATE estimate SET prior = x'00'",
                                    "UPDATE class SET label = 123456789"])
def test_damaged_rows_are_the_services_fault(make_server, tmp_path, damage):
    server = make_server("--state-dir", tmp_path, *conftest.PATIENT)
    estimate = create(server)
    assert post(server, estimate, [("1", "a.png", photo(1))]).status == 201
    with sqlite3.connect(tmp_path / "estimates.db") as db:
        db.execute(damage)
    db.close()
    for response in (server.ask(path=f"{BASE}/{estimate}"), post(server, estimate, [("1", "b.png", photo(2))])):
        assert response.status < 300 or (response.status, response.code) == (503, "no_state"), response.text


# ---- Traffic ----------------------------------------------------------------------------------------------------------


def traffic(server, query=""):
    name = json.loads(server.ask(path="/v1/models").text)["default"]
    response = server.ask(path=f"/v1/models/{name}/information{query}")
    assert response.status == 200, response.text
    return json.loads(response.text)


def classify_noise(server, seeds, query=""):
    """Each one's information."""
    return [json.loads(server.ask("POST", "/v1/classify" + query, photo(i)).text)["information"] for i in seeds]


def test_traffic_is_a_window_of_information(make_server, tmp_path):
    server = make_server("--state-dir", tmp_path, *conftest.PATIENT)
    empty = traffic(server)
    assert (empty["total"], empty["window"], empty["information"], empty["alarm"]) == (0, 0, None, None)
    values = classify_noise(server, range(40))
    classify_noise(server, range(5), "?prior=uniform&units=bits")  # under a prior of its own: not counted
    state = traffic(server)
    assert state["total"] == state["window"] == 40 and state["baseline"] is None and state["z"] is None
    drift = state["drift"]
    assert drift["photos"] == 40 and drift["alarm"] is False and drift["moved"] == [] and drift["level"] == 0.001
    assert sum(hour["photos"] for hour in drift["history"]) == 40 and len(drift["history"]) in (1, 2)
    assert sum(hour["photos"] * hour["information"] for hour in drift["history"]) == pytest.approx(sum(values))
    assert state["information"] == pytest.approx(numpy.mean(values), abs=1e-9)
    assert state["deviation"] == pytest.approx(numpy.std(values, ddof=1), abs=1e-9)
    assert state["standard_error"] == pytest.approx(numpy.std(values, ddof=1) / 40 ** 0.5, abs=1e-9)
    shift = state["prior_shift"]
    assert shift["samples"] == 40 and shift["degrees_of_freedom"] == 999 and 0 <= shift["p_value"] <= 1
    for row in shift["classes"]:
        assert row["ratio"] == pytest.approx(row["mean_probability"] / row["prior"])
        assert 0 <= row["fitted"] <= 1
    assert traffic(server, "?units=bits")["information"] == pytest.approx(state["information"] / math.log(2))

    estimate = create(server)  # of the same photos: the labels do not matter to the plug-in
    assert post(server, estimate, [(str(i % 3), f"{i}.png", photo(i)) for i in range(35)]).status == 201
    state = traffic(server)
    base = state["baseline"]
    assert base["estimate"] == estimate and base["samples"] == 35
    assert base["plug_in"] == pytest.approx(numpy.mean(values[:35]), abs=CLOSE)
    error = base["deviation"] * math.sqrt(1 / 40 + 1 / 35)
    assert state["z"] == pytest.approx((state["information"] - base["plug_in"]) / error) and state["alarm"] is False
    metrics = server.ask(path="/metrics").text
    assert "infomask_traffic_photos_total{" in metrics and "infomask_traffic_z{" in metrics

    grey = encode(Image.new("RGB", (96, 96), (128, 128, 128)))  # drift: nothing but grey
    for _ in range(60):
        assert server.ask("POST", "/v1/classify", grey).status == 200
    drifted = traffic(server)
    assert abs(drifted["z"]) > 4 and drifted["alarm"] is True and drifted["prior_shift"]["chi2"] > 0

    server.stop()
    after = traffic(make_server("--state-dir", tmp_path))
    drifted.pop("request_id"), after.pop("request_id")
    assert after == drifted  # a restart goes on where it was


def test_a_baseline_must_fit(service):
    name = json.loads(service.ask(path="/v1/models").text)["default"]
    small = create(service)
    for query, status, code in (("nothing", 404, "no_such_estimate"), (small, 400, "bad_parameter")):
        response = service.ask(path=f"/v1/models/{name}/information?baseline={query}")
        assert (response.status, json.loads(response.text)["code"]) == (status, code)
    response = service.ask(path="/v1/models/none/information")
    assert response.status == 404 and json.loads(response.text)["code"] == "no_such_model"


@conftest.in_a_file
def test_killed_at_any_moment():
    acknowledged, _ = kill9.run(12, seed=3)  # make kill9 does a thousand
    assert acknowledged > 12


@conftest.in_a_file
def test_a_full_disk_is_507(make_server, monkeypatch, tmp_path):
    disk, script = tmp_path / "disk", tmp_path / "serve"
    disk.mkdir()
    script.write_text(f'#!/bin/sh\nmount -t tmpfs -o size=1m tmpfs {disk} || exit 77\nexec "{conftest.BINARY}" "$@"\n')
    script.chmod(0o755)
    confined = tmp_path / "confined"  # a file system of its own, where that is allowed
    confined.write_text(f'#!/bin/sh\nexec unshare -rm {script} "$@"\n')
    confined.chmod(0o755)
    if subprocess.run([confined, "version"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    monkeypatch.setattr(conftest, "BINARY", str(confined))
    server = make_server("--state-dir", disk)
    estimate = create(server)
    status, count = 201, 0
    while status == 201 and count < 2000:
        response = post(server, estimate, [("1", f"{count + i}.png", photo(i)) for i in range(16)])
        status, count = response.status, count + (json.loads(response.text)["accepted"] if response.status == 201 else 0)
    assert 0 < count and status == 507 and json.loads(response.text)["code"] == "state_full", response.text
    assert json.loads(response.text)["detail"] == "the disk of the state folder is full"
    assert read(server, estimate)["samples"] == count  # nothing of the refused ones
    assert server.ask("POST", "/v1/classify", photo(1)).status == 200
    response = post(server, estimate, [("1", "0.png", photo(0))])
    assert response.status in (200, 507)
    assert read(server, estimate)["samples"] == count


@conftest.in_a_file
@pytest.mark.parametrize("damage", ["UPDATE traffic_part SET photos = x'00'", "UPDATE traffic_part SET pmi = substr(pmi, 2)",
                                    "UPDATE traffic_part SET photos = x'fffffffffffffffffffffffffffffff7'",
                                    "UPDATE traffic_part SET first = first + 1", "UPDATE traffic_part SET count = 0",
                                    "UPDATE traffic SET total = total + 1", "DELETE FROM traffic_part"])
def test_a_damaged_window_is_a_new_one(make_server, tmp_path, damage):
    server = make_server("--state-dir", tmp_path)
    classify_noise(server, range(3))
    server.stop()
    with sqlite3.connect(tmp_path / "estimates.db") as file:
        assert file.execute("SELECT total FROM traffic").fetchall() == [(3,)]
        assert file.execute(damage).rowcount == 1
    server = make_server("--state-dir", tmp_path)
    assert traffic(server)["total"] == 0
    classify_noise(server, range(2))
    assert traffic(server)["total"] == 2
    server.stop()
    assert traffic(make_server("--state-dir", tmp_path))["total"] == 2


@conftest.in_a_file
def test_a_file_of_an_older_version_gets_what_it_lacks(make_server, tmp_path):
    server = make_server("--state-dir", tmp_path)
    estimate = create(server)
    assert post(server, estimate, [("1", f"{i}.png", photo(i)) for i in range(3)]).status == 201
    before = read(server, estimate)["mutual_information"]
    server.stop()
    with sqlite3.connect(tmp_path / "estimates.db") as file:
        file.executescript("DROP TABLE traffic_step; DROP TABLE traffic_part; DROP TABLE traffic; PRAGMA user_version = 2")
    server = make_server("--state-dir", tmp_path)
    assert read(server, estimate)["mutual_information"] == before
    classify_noise(server, range(2))
    assert traffic(server)["total"] == 2


def test_a_first_start_that_is_killed_leaves_what_the_next_one_takes(tmp_path):
    """Whatever there is of the file of estimates: nothing in it, its first page, its log."""
    models = tmp_path / "models"
    shutil.copytree(conftest.ROOT / "config/models/digits", models / "digits")
    for wait in (0, .0002, .0005, .001, .002, .004, .008):
        state = tmp_path / f"state-{wait}"
        start = functools.partial(subprocess.Popen, [conftest.BINARY, "serve", "--port", "0", "--models-dir", models, "--state-dir",
                                                     state], env=conftest.ENVIRONMENT, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        first = start()
        while not (state / "estimates.db").exists():
            assert first.poll() is None
        time.sleep(wait)
        first.kill()
        first.communicate()
        with start() as second:
            assert second.stdout.readline().startswith("listening on"), wait
            second.terminate()
        with contextlib.closing(sqlite3.connect(state / "estimates.db")) as file:
            found = [file.execute(f"PRAGMA {name}").fetchone()[0] for name in ("integrity_check", "journal_mode", "auto_vacuum")]
        assert found == ["ok", "wal", 2], wait
