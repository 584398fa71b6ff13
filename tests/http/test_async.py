"""Prefer: respond-async (RFC 7240 section 4.1): 202, /v1/jobs/{id} with progress, and the result as it would have been."""
import hashlib
import json
import re
import sqlite3
import time

import jsonschema
import pytest

from conftest import CLASSIFY, SLOW, in_a_file, said
from wire import form

ASYNC = [("Prefer", "respond-async")]
FILTER = "/v1/filter?model=digits&fill=mean"


def finished(server, address, headers=()):
    """The job's document once it is done or failed."""
    deadline = time.monotonic() + 60 * SLOW
    while True:
        job = server.ask(path=address, headers=headers)
        assert job.status == 200, job.text
        if job.json["status"] in ("done", "failed"):
            return job.json
        assert job.get("Retry-After") == "1" and 0 <= job.json["progress"] <= 1
        assert time.monotonic() < deadline
        time.sleep(0.02)


def submit(server, path, body, headers=()):
    response = server.ask("POST", path, body, [*ASYNC, *headers])
    assert response.status == 202, response.text
    assert response.get("Preference-Applied") == "respond-async" and response.json["status"] == "waiting"
    assert re.fullmatch("/v1/jobs/[0-9a-f]{32}", response.get("Location"))
    assert response.get("Location").endswith(response.json["id"])
    return response.get("Location")


@pytest.mark.parametrize("query", ["", "&format=json", "&format=jpeg"])
def test_the_result_is_what_it_would_have_been(server, png, query):
    at_once = server.ask("POST", FILTER + query, png)
    address = submit(server, FILTER + query, png)
    job = finished(server, address)
    assert job["status"] == "done" and job["progress"] == 1 and job["route"] == "/v1/filter"
    assert job["result"]["status"] == 200 and job["result"]["content_type"] == at_once.get("Content-Type")
    assert 0 < job["expires_in_s"] <= 600
    later = server.ask(path=job["result"]["href"])
    assert later.status == 200 and later.get("Content-Type") == at_once.get("Content-Type")
    mine = [header for header in at_once.headers if header[0].startswith("Infomask-")]
    assert [header for header in later.headers if header[0].startswith("Infomask-")] == mine
    if query == "&format=json":
        assert later.json["image"] == at_once.json["image"]
    else:
        assert later.body == at_once.body and len(later.body) == job["result"]["bytes"]
    assert server.ask("DELETE", address).status == 204
    assert server.ask(path=address).code == "no_such_job" and server.ask(path=address + "/result").status == 404


def test_samples(make_server, png, jpeg, tmp_path):
    server = make_server("--state-dir", tmp_path, "--model", "digits")
    estimate = server.ask("POST", "/v1/estimates", b"{}").json["id"]
    headers, body = form([("0", f"{i}.png", png) for i in range(12)] + [("1", "bad.png", b"nonsense"), ("2", "c.jpg", jpeg)])
    address = submit(server, f"/v1/estimates/{estimate}/samples", body, headers)
    job = finished(server, address)
    result = server.ask(path=job["result"]["href"])
    assert job["status"] == "done" and result.status == 201
    assert result.json["accepted"] == 13 and [one["sample"] for one in result.json["rejected"]] == ["bad.png"]
    assert server.ask(path=f"/v1/estimates/{estimate}").json["samples"] == 13


@pytest.mark.parametrize("path,body,status,code", [
    (FILTER, b"nonsense", 415, "unsupported_format"), ("/v1/filter?model=none", None, 404, "no_such_model"),
    ("/v1/filter?model=digits&target=nonsense", None, 404, "no_such_class"),
])
def test_failures_are_results(server, png, path, body, status, code):
    job = finished(server, submit(server, path, body or png))
    assert job["status"] == "failed" and job["result"]["status"] == status
    response = server.ask(path=job["result"]["href"])
    assert (response.status, response.code) == (status, code)
    assert response.json["request_id"] == job["request_id"]


def test_what_is_wrong_with_the_request_is_said_at_once(server, png):
    assert server.ask("POST", FILTER + "&nonsense=1", png, ASYNC).code == "bad_parameter"
    assert server.ask("POST", FILTER, b"", ASYNC).status == 400
    assert server.ask("POST", FILTER, png, [*ASYNC, ("X-Request-Timeout", "x")]).status == 400


@pytest.mark.parametrize("prefer,heeded", [("respond-async", True), ("RESPOND-ASYNC", True), ("wait=10, respond-async", True),
                                           ("respond-async;x=y", True), ("respond-asynchronously", False), ("wait=10", False),
                                           ("x-respond-async", False), ("", False)])
def test_the_preference(server, png, prefer, heeded):
    response = server.ask("POST", FILTER, png, [("Prefer", prefer)])
    assert response.status == (202 if heeded else 200)
    if heeded:
        finished(server, response.get("Location"))


def test_other_routes_answer_at_once(server, png):
    assert server.ask("POST", CLASSIFY, png, ASYNC).status == 200


@pytest.mark.parametrize("name", ["x", "0" * 32, "0" * 31, "%2e%2e", "a" * 400])
def test_no_such_job(server, name):
    for method, path in [("GET", f"/v1/jobs/{name}"), ("DELETE", f"/v1/jobs/{name}"), ("GET", f"/v1/jobs/{name}/result")]:
        response = server.ask(method, path)
        assert (response.status, response.code) == (404, "no_such_job")


def test_jobs_belong_to_the_key_that_made_them(make_server, png, tmp_path):
    keys = tmp_path / "keys"
    scopes = {"alice": "infer", "bob": "infer,estimates", "carol": "estimates"}
    keys.write_text("".join(f"{name} {scope} {hashlib.sha256(name.encode()).hexdigest()}\n" for name, scope in scopes.items()))
    server = make_server("--keys", keys, "--state-dir", tmp_path / "state", "--model", "digits")

    def key(name):
        return [("X-Api-Key", name)]

    address = submit(server, FILTER, png, key("alice"))
    finished(server, address, key("alice"))
    for name in ("bob", "carol"):
        for method, path in [("GET", address), ("GET", address + "/result"), ("DELETE", address)]:
            assert server.ask(method, path, headers=key(name)).code == "no_such_job"
    assert server.ask(path=address).status == 401
    assert server.ask(path=address + "/result", headers=key("alice")).status == 200
    estimate = server.ask("POST", "/v1/estimates", b"{}", key("carol")).json["id"]
    mine = submit(server, f"/v1/estimates/{estimate}/samples?label=0", png, key("carol"))
    assert finished(server, mine, key("carol"))["status"] == "done"
    assert server.ask("DELETE", mine, headers=key("carol")).status == 204


@pytest.fixture
def held(make_server, tmp_path):
    """A server whose state another process holds: jobs that add samples run until it lets go."""
    made = []

    def make(*flags):
        server = make_server("--state-dir", tmp_path, "--model", "digits", "--threads", 1, *flags)
        server.samples = f"/v1/estimates/{server.ask('POST', '/v1/estimates', b'{}').json['id']}/samples?label=0"
        other = sqlite3.connect(tmp_path / "estimates.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        made.append(other)
        server.let_go = lambda: other.in_transaction and other.execute("ROLLBACK")
        return server

    yield make
    for other in made:
        other.close()


@in_a_file
def test_their_number_is_bounded(held, png):
    """Where all is taken: 503; a result that was fetched gives way; nothing unfetched is lost."""
    server = held("--async-jobs", 3)
    addresses = [submit(server, server.samples, png) for _ in range(3)]
    refused = server.ask("POST", server.samples, png, ASYNC)
    assert (refused.status, refused.code) == (503, "overloaded") and "at most 3" in refused.json["detail"]
    assert int(refused.get("Retry-After")) >= 1
    server.let_go()
    jobs = [finished(server, address) for address in addresses]
    assert server.ask("POST", FILTER, png, ASYNC).status == 503
    assert server.ask(path=jobs[1]["result"]["href"]).status == jobs[1]["result"]["status"]
    fourth = submit(server, FILTER, png)
    assert server.ask(path=addresses[1]).status == 404
    for address in (addresses[0], addresses[2], fourth):
        finished(server, address)
    assert server.metric('infomask_async_jobs{state="done"}') == 3


def test_their_bytes_are_bounded(make_server, png):
    server = make_server("--model", "digits", "--async-memory", 4096)
    refused = server.ask("POST", FILTER, png + b"\0" * 8192, ASYNC)
    assert refused.status == 503 and "4096" in refused.json["detail"]
    finished(server, submit(server, FILTER, png))
    assert server.metric("infomask_async_bytes") > 0


@in_a_file
def test_a_running_one_can_be_seen_and_cancelled(held, png):
    server = held()
    for _ in range(5):  # the lock holds a job up for 10 s: on a machine slower than that, again
        begun = time.monotonic()
        running, waiting = submit(server, server.samples, png), submit(server, FILTER, png)
        while server.ask(path=running).json["status"] == "waiting" and time.monotonic() - begun < 8:
            time.sleep(0.02)
        response = server.ask(path=running + "/result")
        states = [server.ask(path=running).json["status"], server.ask(path=waiting).json["status"]]
        assert server.ask("DELETE", waiting).status == 204 and server.ask("DELETE", running).status == 204
        if time.monotonic() - begun < 8:
            break
    assert states == ["running", "waiting"]
    assert response.status == 202 and response.get("Retry-After") == "1" and response.json["status"] == "running"
    assert server.ask(path=running).status == 404 and server.ask(path=waiting).status == 404
    server.let_go()
    assert server.metric_reaches("infomask_jobs_gone_total", 1) >= 1
    assert server.ask("POST", FILTER, png).status == 200


def test_results_expire(make_server, png):
    server = make_server("--model", "digits", "--async-keep", 0.3)
    address = submit(server, FILTER, png)
    deadline = time.monotonic() + 60 * SLOW
    while server.ask(path=address).status != 404 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.ask(path=address).code == "no_such_job"
    assert server.metric("infomask_async_bytes") == 0


def test_deadlines_of_their_own(make_server, png):
    """Longer than that of a request that waits on its connection, and as short as it asks for."""
    server = make_server("--model", "digits", "--async-timeout", 300)
    job = finished(server, submit(server, FILTER, png, [("X-Request-Timeout", "0.001")]))
    assert job["status"] == "failed" and job["result"]["status"] == 504
    response = server.ask("POST", FILTER, png, [*ASYNC, ("X-Request-Timeout", "200")])
    assert response.status == 202 and finished(server, response.get("Location"))["status"] == "done"


def test_a_drain_finishes_what_was_accepted(make_server, png, tmp_path):
    server = make_server("--state-dir", tmp_path, "--model", "digits", "--threads", 1, "--drain-timeout", 60 * SLOW)
    estimate = server.ask("POST", "/v1/estimates", b"{}").json["id"]
    headers = form([])[0]
    for i in range(10):
        _, body = form([("0", f"{i}-{k}.png", png) for k in range(8)])
        submit(server, f"/v1/estimates/{estimate}/samples", body, headers)
    assert server.stop(timeout=90) == 0
    again = make_server("--state-dir", tmp_path, "--model", "digits")
    assert again.ask(path=f"/v1/estimates/{estimate}").json["samples"] == 80


def test_they_are_logged_and_described(server, png):
    response = server.ask("POST", FILTER, png, [*ASYNC, ("X-Request-Id", "asked-later")])
    line = json.loads(said(server, '"event":"job".*asked-later'))
    assert line["status"] == 200 and line["total_ms"] > 0 and line["job"] == response.json["id"]
    document = server.ask(path="/openapi.json").json
    assert "202" in document["paths"]["/v1/filter"]["post"]["responses"]
    assert "202" not in document["paths"]["/v1/classify"]["post"]["responses"]
    for name, found in [("JobAccepted", response.json), ("Job", finished(server, response.get("Location")))]:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(found)
