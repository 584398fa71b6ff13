"""models_memory: networks that come and go within a bound, while everybody gets the answers that they would get without."""
import base64
import json
import pathlib
import shutil
import signal
import threading
import time

import pytest

from conftest import BINARY, PATIENT, ROOT, SLOW, until
from test_access import bearer, write_keys
from test_async import submit
from wire import form, request

LITE = ROOT / "config/models/efficientnet-lite0"
DIGITS = ROOT / "config/models/digits"
PHOTO = (ROOT / "docs/coffee.jpg").read_bytes()
TEMPERATURES = {"a": 1.0, "b": 1.3, "c": 0.8}  # whose answer is it?
WORK = "infomask_models_"


def copy(folder, name, source=LITE, **keys):
    (folder / name).mkdir(parents=True)
    for file in source.iterdir():
        if file.name not in ("model.json", "model.onnx", "check.json"):
            shutil.copy(file, folder / name)
    (folder / name / "model.onnx").hardlink_to(source / "model.onnx")
    document = json.loads((source / "model.json").read_text())
    (folder / name / "model.json").write_text(json.dumps(dict(document, name=name, **keys)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    for name, temperature in TEMPERATURES.items():
        copy(path, name, temperature=temperature)
    return path


@pytest.fixture(scope="module")
def unbound(make_server, folder):
    """Whose administrator asks."""
    write_keys(folder / ".keys", root="admin,infer,estimates")
    return make_server("--models-dir", folder, "--keys", folder / ".keys", *PATIENT)


def models(server, headers=()):
    return {model["name"]: model for model in server.ask(path="/v1/models", headers=headers).json["models"]}


@pytest.fixture(scope="module")
def size(unbound):
    return models(unbound, bearer("root"))["a"]["memory_bytes"]


@pytest.fixture(scope="module")
def bound(make_server, folder, size):
    """Only one of the three fits."""
    return make_server("--models-dir", folder, "--models-memory", size * 3 // 2, *PATIENT)


def answer(reply):
    """Without what is a request's own."""
    document = dict(reply.json)
    for key in ("request_id", "timing_ms"):
        document.pop(key, None)
    return json.dumps(document)


def states(server):
    return {name: model["status"] for name, model in models(server).items()}


def classify(server, name, headers=(), **options):
    return server.ask("POST", f"/v1/classify?model={name}&top_k=1000", PHOTO, headers, **options)


@pytest.fixture(scope="module")
def expected(unbound):
    return {name: answer(classify(unbound, name, bearer("root"))) for name in TEMPERATURES}


# ---- One after the other ----------------------------------------------------------------------------------------------------


def test_an_unloaded_model_is_listed_and_comes_back_on_request(bound, expected, size):
    for name in ("c", "a", "b", "a"):
        assert answer(classify(bound, name)) == expected[name]
        assert states(bound) == {**dict.fromkeys("abc", "unloaded"), name: "ready"}
    listed = models(bound)
    assert listed["b"]["memory_bytes"] == size and listed["b"]["methods"] == listed["a"]["methods"]
    assert listed["b"]["usable"] is True and "models_memory" in listed["b"]["reason"] and "reason" not in listed["a"]
    one = bound.ask(path="/v1/models/b")
    assert one.json == listed["b"]
    assert classify(bound, "b").status == 200
    after = bound.ask(path="/v1/models/b", headers=[("If-None-Match", one.get("ETag"))])
    assert after.status == 200 and after.json["status"] == "ready"
    assert bound.ask(path="/v2/models/a/ready").status == 200  # it can be asked
    assert len(bound.ask(path="/v1/models/a/labels").json["labels"]) == 1000


def test_the_metrics_and_the_log_tell(bound, size):
    before = bound.metric("infomask_model_loads_total"), bound.metric("infomask_model_unloads_total")
    for name in ("a", "b"):
        assert classify(bound, name).status == 200
    until(lambda: bound.metric(WORK + "waiting") == 0)
    assert bound.metric(WORK + "loaded") == 1 and bound.metric(WORK + "bytes") == size
    assert bound.metric(WORK + "limit_bytes") == size * 3 // 2
    loads, unloads = bound.metric("infomask_model_loads_total"), bound.metric("infomask_model_unloads_total")
    assert loads - before[0] >= 1 and loads - before[0] == unloads - before[1]
    assert bound.logged("model b: its network is loaded again")
    assert bound.logged("model a: its network is unloaded")


def test_every_route_that_runs_a_network_waits_for_it(bound, tmp_path, png):
    """Each finds its model unloaded."""
    body = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 4 + len(PHOTO)}}]}).encode()
    infer = body + len(PHOTO).to_bytes(4, "little") + PHOTO
    head = [("Inference-Header-Content-Length", str(len(body)))]
    estimate = bound.ask("POST", "/v1/estimates", b'{"model": "b"}').json["id"]
    several, forms = form([("image", "1.png", png), ("image", "2.png", png), ("model", "b")])
    asked = [
        ("/v1/mask?model=b", PHOTO, []), ("/v1/filter?model=b&fill=mean", PHOTO, []), ("/v1/analyze?model=b", PHOTO, []),
        ("/v1/classify", json.dumps({"model": "b", "image": base64.b64encode(png).decode()}).encode(), [("Content-Type", "application/json")]),
        ("/v1/classify", forms, several), ("/v1/classify", forms, [*several, ("Accept", "application/x-ndjson")]),
        ("/v2/models/b/infer", infer, head), (f"/v1/estimates/{estimate}/samples?label=1", png, []),
    ]
    for path, sent, headers in asked:
        assert classify(bound, "a").status == 200 and states(bound)["b"] == "unloaded"
        reply = bound.ask("POST", path, sent, headers)
        assert reply.status in (200, 201), (path, reply.text)
        assert states(bound)["b"] == "ready", path
    assert classify(bound, "a").status == 200
    job = submit(bound, "/v1/filter?model=b&fill=mean", png)
    assert until(lambda: bound.ask(path=job).json["status"] in ("done", "failed") and bound.ask(path=job).json)["status"] == "done"


def test_a_model_larger_than_the_bound_is_refused(make_server, tmp_path, size, png):
    copy(tmp_path, "digits", DIGITS)
    copy(tmp_path, "large")
    server = make_server("--models-dir", tmp_path, "--model", "digits", "--models-memory", size - 1)
    large = models(server)["large"]
    assert large["status"] == "failed"
    assert f"{size} bytes" in large["reason"] and f"{size - 1} bytes" in large["reason"]
    reply = server.ask("POST", "/v1/classify?model=large", png)
    assert reply.status == 503 and reply.code == "model_failed" and f"{size} bytes" in reply.json["detail"]
    assert server.ask("POST", "/v1/classify", png).status == 200


# ---- Memory -----------------------------------------------------------------------------------------------------------------

needs_plain_heap = pytest.mark.skipif("san-" in BINARY, reason="a sanitizer keeps what is freed")


@needs_plain_heap
def test_memory_falls_by_what_is_reported(unbound, size):
    """And rises by it; what a session works in (some 8 MB here) comes on top."""
    def repository(name, what):
        assert unbound.ask("POST", f"/v2/repository/models/{name}/{what}", b"{}", bearer("root")).status == 200

    assert classify(unbound, "b", bearer("root")).status == 200
    for _ in range(3):
        full = unbound.rss()
        repository("b", "unload")
        fell = full - unbound.rss()
        assert 0.9 * size < fell < 1.6 * size + (8 << 20)
        low = unbound.rss()
        repository("b", "load")
        assert 0.9 * size < unbound.rss() - low < 1.6 * size + (8 << 20)


@needs_plain_heap
def test_memory_is_bounded(bound, unbound, size):
    for name in "abcabc":
        assert classify(bound, name).status == 200
    low = until(lambda: bound.metric(WORK + "waiting") == 0 and bound.rss())
    for name in "abc":
        assert classify(unbound, name, bearer("root")).status == 200
    assert unbound.rss() - low > 1.5 * size  # two of three are out
    for name in "abc" * 5:
        assert classify(bound, name).status == 200
    assert bound.rss() < low + size  # and nothing is left behind


# ---- Many at once -----------------------------------------------------------------------------------------------------------


def test_a_crowd_gets_the_answers_that_it_would_get_without_a_bound(bound, expected, size):
    """And who is in a hurry hears by the deadline that there was no time."""
    wrong, late, served = [], [], []
    rounds = 6 if SLOW == 1 else 2

    def ask(number):
        for i in range(rounds):
            name = "abc"[(number + i * (1 + number % 2)) % 3]
            hurry = [("X-Request-Timeout", "0.02")] if (number + i) % 5 == 0 else []
            reply = classify(bound, name, hurry)
            if reply.status == 200 and answer(reply) == expected[name]:
                served.append(name)
            elif hurry and reply.code in ("model_loading", "deadline_exceeded", "overloaded"):
                late.append(reply.code)
            else:
                wrong.append((name, reply.status, reply.text[:300]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    high = 0
    while any(thread.is_alive() for thread in threads):
        high = max(high, bound.metric(WORK + "bytes"))
        time.sleep(0.05)
    assert not wrong and len(served) + len(late) == 12 * rounds
    assert high <= size * 3 // 2
    until(lambda: bound.metric(WORK + "waiting") == 0)
    assert bound.metric(WORK + "loaded") == 1


class Held:
    """A service with room for one of the large models beside `small`, on which a job works until it is let go."""

    def __init__(self, make_server, folder, size, *flags):
        copy(folder, "small", DIGITS)
        for name in ("a", "b"):
            copy(folder, name)
        self.server = make_server("--models-dir", folder, "--model", "small", "--models-memory", size * 3 // 2, "--threads", 2,
                                  *PATIENT, *flags)
        self.job = submit(self.server, "/v1/filter?model=a&method=occlusion&occlusion_stride=8", PHOTO)  # minutes of work
        self.running()

    def running(self):
        until(lambda: self.server.ask(path=self.job).json["status"] == "running")

    def let_go(self):
        assert self.server.ask("DELETE", self.job).status == 204


def hurried(server, name):
    """The refusal of who has no time to wait for the network, but for the way to where it is waited for: on a busy machine
    that alone may take longer than the least time."""
    for seconds in (0.1, 1, 5, 25):
        reply = classify(server, name, [("X-Request-Timeout", str(seconds))])
        if reply.code != "deadline_exceeded":
            break
    return reply


def test_who_waits_for_a_model_holds_up_nobody_else(make_server, tmp_path, size, png):
    """Four wait for a network that has no room: more than there are threads, and the other models answer."""
    held = Held(make_server, tmp_path, size)
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(classify(held.server, "b"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: held.server.metric(WORK + "waiting") == 4)
    assert models(held.server)["b"]["status"] == "loading"
    small = held.server.ask("POST", "/v1/classify?model=small", png)
    assert small.status == 200
    assert held.server.metric(WORK + "waiting") == 4 and not replies
    assert held.server.ask(path=held.job).json["status"] == "running"
    told = hurried(held.server, "b")
    assert (told.status, told.code) == (503, "model_loading") and told.get("Retry-After") == "1"
    assert f"{size} bytes" in told.json["detail"] and f"{size * 3 // 2} bytes" in told.json["detail"]
    with held.server.connect() as connection:  # one who leaves while it waits
        connection.send(request("POST", "/v1/classify?model=b", PHOTO))
        until(lambda: held.server.metric(WORK + "waiting") == 5)
    held.let_go()
    for thread in threads:
        thread.join()
    assert [reply.status for reply in replies] == [200] * 4
    assert states(held.server) == {"a": "unloaded", "b": "ready", "small": "ready"}


def test_how_many_may_wait_is_bounded(make_server, tmp_path, size):
    held = Held(make_server, tmp_path, size, "--queue", 2)
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(classify(held.server, "b"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: held.server.metric(WORK + "waiting") == 2)
    refused = classify(held.server, "b")
    assert (refused.status, refused.code) == (503, "overloaded")
    held.let_go()
    for thread in threads:
        thread.join()
    assert [reply.status for reply in replies] == [200] * 2


def test_a_drain_waits_for_those_who_wait(make_server, tmp_path, size):
    held = Held(make_server, tmp_path, size, "--drain-timeout", 300, "--drain-grace", 300)
    replies = []
    thread = threading.Thread(target=lambda: replies.append(classify(held.server, "b")))
    thread.start()
    until(lambda: held.server.metric(WORK + "waiting") == 1)
    held.server.signal(signal.SIGTERM)
    held.let_go()
    thread.join()
    assert replies[0].status == 200


# ---- Administrators and files -----------------------------------------------------------------------------------------------


@pytest.fixture
def administered(make_server, tmp_path, size):
    """a is the default; a and b together do not fit."""
    for name in ("a", "b"):
        copy(tmp_path, name, temperature=TEMPERATURES[name])
    write_keys(tmp_path / ".keys", root="admin,infer")
    server = make_server("--models-dir", tmp_path, "--model", "a", "--models-memory", size * 3 // 2, "--keys", tmp_path / ".keys", *PATIENT)

    def ask(method, path, body=b"{}"):
        return server.ask(method, path, body, bearer("root"))
    return ask


def index(ask):
    return {model["name"]: model for model in ask("POST", "/v2/repository/index").json}


def test_the_index_has_every_model(administered):
    ask = administered
    assert index(ask)["a"]["state"] == "READY" and index(ask)["a"]["reason"] == ""
    assert index(ask)["b"]["state"] == "UNAVAILABLE" and "models_memory" in index(ask)["b"]["reason"]
    assert ask("POST", "/v2/repository/models/b/load").status == 200
    assert (index(ask)["a"]["state"], index(ask)["b"]["state"]) == ("UNAVAILABLE", "READY")

    assert ask("POST", "/v2/repository/models/b/unload").status == 200
    assert index(ask)["b"]["state"] == "UNAVAILABLE" and index(ask)["b"]["version"] == "1"
    listed = ask("GET", "/v1/models/b", None).json
    assert listed["status"] == "unloaded" and listed["usable"] is False
    refused = ask("POST", "/v1/classify?model=b", PHOTO)
    assert (refused.status, refused.code) == (404, "no_such_model") and "/v2/repository/models/b/load" in refused.json["detail"]
    assert ask("GET", "/v2/models/b/ready", None).status == 404
    assert ask("POST", "/v2/repository/models/a/load").status == 200
    assert ask("POST", "/v1/classify?model=b", PHOTO).status == 404  # the load of another leaves it where it is
    assert ask("POST", "/v1/models/reload").status == 200
    assert ask("POST", "/v1/classify?model=b", PHOTO).status == 200


def test_files_that_change_while_the_network_is_out(administered, tmp_path):
    ask = administered
    assert ask("GET", "/v1/models/b", None).json["status"] == "unloaded"
    document = json.loads((tmp_path / "b/model.json").read_text())
    (tmp_path / "b/model.json").write_text(json.dumps(dict(document, version="2")))
    assert ask("POST", "/v1/classify?model=b", PHOTO).json["model"]["version"] == "2"
    assert ask("POST", "/v1/classify?model=a", PHOTO).status == 200
    (tmp_path / "b/model.json").write_text("{")
    failed = ask("POST", "/v1/classify?model=b", PHOTO)
    assert (failed.status, failed.code) == (503, "model_failed") and "model.json" in failed.json["detail"]
    assert ask("GET", "/v1/models/b", None).json["status"] == "failed" and index(ask)["b"]["state"] == "UNAVAILABLE"
    assert ask("POST", "/v1/classify", PHOTO).status == 200
    (tmp_path / "b/model.json").write_text(json.dumps(document))
    assert ask("POST", "/v2/repository/models/b/load").status == 200
    assert ask("POST", "/v1/classify?model=b", PHOTO).json["model"]["version"] == document["version"]


def test_an_answer_that_is_kept_is_the_networks_own(make_server, tmp_path, size, expected):
    """Kept from before the network went, and not from before its files changed."""
    for name in ("a", "b"):
        copy(tmp_path, name, temperature=TEMPERATURES[name])
    server = make_server("--models-dir", tmp_path, "--model", "a", "--models-memory", size * 3 // 2, "--cache", "16M")
    assert classify(server, "b").get("Infomask-Cache") == "miss"
    assert classify(server, "a").get("Infomask-Cache") == "miss"
    again = classify(server, "b")
    assert again.get("Infomask-Cache") == "hit" and answer(again) == expected["b"]
    assert classify(server, "a").get("Infomask-Cache") == "hit"
    document = json.loads((tmp_path / "b/model.json").read_text())
    (tmp_path / "b/model.json").write_text(json.dumps(dict(document, temperature=TEMPERATURES["c"])))
    new = classify(server, "b")
    assert new.get("Infomask-Cache") == "miss" and new.json["predictions"] == json.loads(expected["c"])["predictions"]
