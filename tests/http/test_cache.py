"""The result cache: the same answer for the same photo, parameters, model and key, and only then."""
import concurrent.futures
import hashlib
import json
import shutil
import signal

import pytest
from PIL import Image

from conftest import CLASSIFY, ROOT, encode, said
from wire import form

DIGITS = ROOT / "config" / "models" / "digits"


def state(response):
    return response.get("Infomask-Cache")


def photo(size=(64, 48)):
    """One that nobody has sent yet."""
    return encode(Image.effect_noise(size, 60).convert("RGB"))


@pytest.fixture(scope="module")
def cached(make_server):
    return make_server("--cache", "64M", "--model", "digits")


def without_request(document):
    return {key: value for key, value in document.items() if key not in ("request_id", "timing_ms")}


@pytest.mark.parametrize("path", [CLASSIFY, "/v1/mask?format=json", "/v1/analyze?include=mask,image",
                                  "/v1/filter?format=json&fill=mean"])
def test_json_is_the_same_but_for_the_request(cached, path):
    body = photo()
    first = cached.ask("POST", path, body, [("X-Request-Id", "one")])
    again = cached.ask("POST", path, body, [("X-Request-Id", "a-longer-one")])
    assert (first.status, again.status) == (200, 200) and (state(first), state(again)) == ("miss", "hit")
    assert without_request(first.json) == without_request(again.json)
    assert again.json["request_id"] == "a-longer-one" == again.get("X-Request-Id")
    assert set(again.json["timing_ms"]) == {"queue", "total"} and again.json["timing_ms"]["total"] > 0
    assert "network" in first.json["timing_ms"]


@pytest.mark.parametrize("path", ["/v1/mask?format=png", "/v1/filter?fill=mean", "/v1/filter?format=jpeg&fill=mean"])
def test_pictures_and_their_headers(cached, path):
    body = photo()
    first, again = (cached.ask("POST", path, body) for _ in range(2))
    assert (state(first), state(again)) == ("miss", "hit") and first.body == again.body
    mine = [header for header in first.headers if header[0].startswith("Infomask-") and header[0] != "Infomask-Cache"]
    assert mine and mine == [header for header in again.headers if header[0].startswith("Infomask-") and header[0] != "Infomask-Cache"]
    assert first.get("Content-Type") == again.get("Content-Type")


def test_what_differs_is_another_answer(cached):
    body = photo()
    assert state(cached.ask("POST", CLASSIFY, body)) == "miss"
    for path in [CLASSIFY + "?top_k=3", CLASSIFY + "?units=bits", CLASSIFY + "?target=1", CLASSIFY + "?target=2",
                 CLASSIFY + "?samples=2", CLASSIFY + "?samples=2&seed=1", CLASSIFY + "?prior=uniform", "/v1/analyze"]:
        assert state(cached.ask("POST", path, body)) == "miss", path
        assert state(cached.ask("POST", path, body)) == "hit", path
    assert state(cached.ask("POST", CLASSIFY, body[:-1] + b"\0")) != "hit"
    assert state(cached.ask("POST", "/v1/mask", body, [("Accept", "image/png")])) == "miss"
    assert state(cached.ask("POST", "/v1/mask", body, [("Accept", "application/json")])) == "miss"


def test_a_form_and_a_body_are_the_same_photo(cached):
    body = photo()
    assert state(cached.ask("POST", CLASSIFY + "?top_k=3", body)) == "miss"
    headers, parts = form([("top_k", 3), ("image", "a.png", body)])
    assert state(cached.ask("POST", CLASSIFY, parts, headers)) == "hit"


def test_several_photos_and_failures_are_not_kept(cached):
    body = photo()
    headers, parts = form([("image", "a.png", body), ("image", "b.png", body)])
    for _ in range(2):
        response = cached.ask("POST", CLASSIFY, parts, headers)
        assert response.status == 200 and state(response) is None
    for _ in range(2):
        response = cached.ask("POST", CLASSIFY, body[: len(body) // 2])
        assert response.status == 422 and state(response) == "miss"
    for _ in range(2):
        assert state(cached.ask("POST", CLASSIFY + "?target=nonsense", body)) == "miss"


def test_off_by_default(server, png):
    for _ in range(2):
        response = server.ask("POST", CLASSIFY, png)
        assert response.status == 200 and state(response) is None


def test_keys_do_not_see_each_other(make_server, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{name} infer {hashlib.sha256(name.encode()).hexdigest()}\n" for name in ("alice", "bob")))
    server = make_server("--cache", "16M", "--model", "digits", "--keys", keys)
    body = photo()
    for name, expected in [("alice", "miss"), ("bob", "miss"), ("alice", "hit"), ("bob", "hit")]:
        assert state(server.ask("POST", CLASSIFY, body, [("X-Api-Key", name)])) == expected


def test_a_model_that_is_loaded_anew_is_another(make_server, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(DIGITS, models / "digits")
    server = make_server("--cache", "16M", "--models-dir", models)
    body = photo()
    before = server.ask("POST", CLASSIFY, body)
    assert state(server.ask("POST", CLASSIFY, body)) == "hit"
    document = json.loads((models / "digits" / "model.json").read_text())
    (models / "digits" / "model.json").write_text(json.dumps({**document, "temperature": 3.0, "version": "hot"}))
    server.signal(signal.SIGHUP)
    said(server, "1 changed")
    after = server.ask("POST", CLASSIFY, body)
    assert state(after) == "miss" and after.json["model"]["version"] == "hot"
    assert after.json["entropy"] != before.json["entropy"]


def test_its_bytes_are_bounded(make_server):
    """The least recently asked for goes first; an answer larger than the whole is not kept."""
    server = make_server("--cache", "20000", "--model", "digits")
    photos = [photo() for _ in range(40)]
    for body in photos:
        assert state(server.ask("POST", CLASSIFY, body)) == "miss"
        assert state(server.ask("POST", CLASSIFY, photos[0])) == "hit"
    assert state(server.ask("POST", CLASSIFY, photos[1])) == "miss"
    assert 0 < server.metric("infomask_cache_bytes") <= 20000
    assert 1 <= server.metric("infomask_cache_entries") < 40
    large = photo((400, 300))
    for _ in range(2):
        assert state(server.ask("POST", "/v1/filter?fill=mean", large)) == "miss"
    assert server.metric("infomask_cache_bytes") <= 20000


def test_many_at_once(make_server):
    """Hits, misses and evictions together; every answer is that of its own photo."""
    server = make_server("--cache", "30000", "--model", "digits", "--max-connections-per-address", 0)
    photos = [photo() for _ in range(12)]
    expected = [without_request(server.ask("POST", CLASSIFY, body).json) for body in photos]

    def ask(i):
        response = server.ask("POST", CLASSIFY, photos[i % 12], timeout=60)
        return response.status == 503 or without_request(response.json) == expected[i % 12]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(240)))
    hits = server.metric_reaches("infomask_cache_hits_total", 1)
    assert hits >= 1
