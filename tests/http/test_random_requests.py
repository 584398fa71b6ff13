"""Random requests, most of them wrong in something (random_requests.py): each gets an answer that the description of the
interface has, and when all are over the service is as it was.

INFOMASK_CASES=5000 INFOMASK_FIRST=0 say which; a failure names its case, which those two ask again (make fuzz-requests)."""
import contextlib
import io
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import pytest
from PIL import Image

from conftest import CLASSIFY, ROOT, SLOW, essence, until
from random_requests import JSON, PICTURES, Maker
from wire import Closed, form, request

FIRST = int(os.environ.get("INFOMASK_FIRST", 0))
COUNT = int(os.environ.get("INFOMASK_CASES", 300))
THREADS = 3
MIB = 1024 * 1024
OF_BUSY_SERVERS = {503: {"overloaded", "not_ready", "no_state"}, 504: {"deadline_exceeded"}, 507: {"state_full"}}
OF_ANY_ROUTE = {400, 404, 405, 413, 501}  # of HTTP itself: not said again at each operation
TELLTALES = re.compile(rf"{re.escape(str(ROOT))}|/tmp/|\.c:\d|0x[0-9a-f]{{6}}|[\x00-\x1f\x7f]")


class Interface:
    """What /openapi.json says."""

    def __init__(self, document):
        self.document, self.validators = document, {}
        problem = document["components"]["schemas"]["Problem"]
        self.codes = set(problem["properties"]["code"]["x-extensible-enum"])
        self.parameters = {route: [one["name"] for operation in methods.values() for one in operation["parameters"]
                                   if one.get("in") == "query"] for route, methods in document["paths"].items()}

    def validate(self, schema, value):
        key = json.dumps(schema)
        if key not in self.validators:
            self.validators[key] = jsonschema.Draft202012Validator({**schema, "components": self.document["components"]})
        self.validators[key].validate(value)

    def answers(self, case):
        return self.document["paths"][case.route].get(case.method.lower().replace("put", "post"), {}).get("responses", {})

    def content(self, case, status):
        """Media type -> schema of an answer."""
        answer = self.answers(case)[str(status)]
        if "$ref" in answer:
            answer = self.document["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
        return {kind: one.get("schema", {}) for kind, one in answer.get("content", {}).items()}


def strict(text):
    """JSON as RFC 8259 has it: Python alone takes NaN."""
    def refuse(word):
        raise ValueError(f"{word} is no JSON")
    return json.loads(text, parse_constant=refuse)


def check_problem(interface, document, status):
    interface.validate({"$ref": "#/components/schemas/Problem"}, document)
    assert document["status"] == status and document["code"] in interface.codes
    assert document["type"] == f"urn:infomask:problem:{document['code']}" and document["title"]
    assert document["detail"] and not TELLTALES.search(document["detail"])
    assert status < 500 or status == 501 or document["code"] in OF_BUSY_SERVERS[status]


def check_refusal(interface, case, response):
    kind = response.get("Content-Type")
    if kind == "application/problem+json":
        document = strict(response.text)
        check_problem(interface, document, response.status)
        assert document.get("request_id") in (None, response.get("X-Request-Id"))
    else:
        assert kind == "application/json" and case.route.startswith("/v2")
        document = strict(response.text)
        assert set(document) == {"error"} and document["error"] and not TELLTALES.search(document["error"])
        assert response.status < 500 or response.status in (501, *OF_BUSY_SERVERS)
    assert response.status != 503 or int(response.get("Retry-After")) > 0


def check_good(interface, case, response):
    kind = response.get("Content-Type") or ""
    if response.status == 200 and interface.answers(case):
        assert kind.partition(";")[0] in interface.content(case, response.status), f"{kind} is not in the description"
    if kind == "application/json":
        document = strict(response.text)
        schema = interface.content(case, response.status).get(kind)
        if case.route == CLASSIFY and "results" in document:
            schema = {"$ref": "#/components/schemas/Classifications"}
        if schema is not None:
            interface.validate(schema, document)
    elif kind == "application/x-ndjson":
        for line in response.text.splitlines():
            document = strict(line)
            if "code" in document:
                check_problem(interface, document, document["status"])
            else:
                interface.validate(interface.content(case, response.status)[kind], document)
    elif kind.startswith("image/"):
        Image.open(io.BytesIO(response.body)).load()


def check(interface, case, response):
    allowed = {int(status) for status in interface.answers(case)} | OF_ANY_ROUTE
    assert response.status in allowed or case.method == "OPTIONS", f"{response.status} is not in the description"
    assert response.status != 500
    if response.status >= 400:
        check_refusal(interface, case, response)
    else:
        check_good(interface, case, response)


def tidy_up(server, response):
    """What a request made is taken away: a job, once it has ended, and an estimate."""
    address = response.get("Location") or ""
    if address.startswith("/v1/jobs/"):
        until(lambda: server.ask(path=address).json["status"] in ("done", "failed"))
        assert server.ask(path=address + "/result").status in (200, 201, 400, 409, 413, 415, 422)
    if address.startswith(("/v1/jobs/", "/v1/estimates/")):
        assert server.ask("DELETE", address).status == 204


def one(server, interface, estimate, number):
    """What was wrong with case `number`, or nothing."""
    case = Maker(number, interface.parameters).make()
    body = case.body
    try:
        with server.connect() as connection:
            connection.send(request(case.method, case.path.replace("ESTIMATE", estimate), body, case.headers))
            response = connection.response()
        check(interface, case, response)
        tidy_up(server, response)
        return None
    except (AssertionError, ValueError, Closed, OSError, KeyError, TypeError, jsonschema.ValidationError) as error:
        answer = f"{response.status} {response.body[:300]!r}" if "response" in locals() else "no answer"
        return f"case {number}: {case}\n  {answer}\n  {type(error).__name__}: {str(error)[:500]}"


def good_answers(server):
    """Of requests whose answers depend on nothing else."""
    photo = PICTURES["JPEG"]
    headers, body = form([("a", "a.jpg", photo), ("b", "b.png", PICTURES["PNG"])])
    tensor = {"inputs": [{"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [0.25] * 784}]}
    return [essence(response) for response in (
        server.ask("POST", CLASSIFY, photo), server.ask("POST", CLASSIFY + "?model=digits&samples=4", photo),
        server.ask("POST", CLASSIFY, body, headers), server.ask("POST", "/v1/mask?quality=fast&target=1", photo),
        server.ask("POST", "/v1/filter?quality=fast&max_passes=1", photo),
        server.ask("POST", "/v1/analyze?model=digits&include=mask,image", photo),
        server.ask("POST", "/v2/models/digits/infer", json.dumps(tensor).encode()),
        server.ask(path="/openapi.json"), server.ask(path="/"))]


def descriptors(server):
    """But for those of the state, which has connections of its own: more, as more threads come to it at once."""
    folder = f"/proc/{server.process.pid}/fd"
    links = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"{folder}/{name}"))
    return [link for link in links if "estimates.db" not in link]


def batch(server, interface, estimate, first, count):
    with ThreadPoolExecutor(THREADS) as pool:
        wrong = [text for text in pool.map(lambda i: one(server, interface, estimate, i), range(first, first + count)) if text]
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:10])


@pytest.fixture(scope="module")
def server(make_server, tmp_path_factory):
    return make_server("--model", "efficientnet-lite0", "--state-dir", tmp_path_factory.mktemp("state"), "--header-timeout", 300,
                       "--body-timeout", 300, "--body-rate", 0, "--request-timeout", 300)


def test_random_requests(server):
    interface = Interface(server.ask(path="/openapi.json").json)
    estimate = server.ask("POST", "/v1/estimates", b'{"model": "digits"}', [JSON]).json["id"]
    before, held = good_answers(server), len(descriptors(server))
    assert all(answer.startswith("200 ") for answer in before)
    batch(server, interface, estimate, FIRST, COUNT // 2)
    resident = server.rss()
    batch(server, interface, estimate, FIRST + COUNT // 2, COUNT - COUNT // 2)
    until(lambda: server.metric("infomask_in_flight") == 1)
    until(lambda: len(descriptors(server)) <= held + 1)
    assert SLOW > 1 or server.rss() - resident < 32 * MIB  # a sanitizer keeps freed memory
    assert good_answers(server) == before
    assert server.ask(path="/v1/jobs/" + "0" * 32).status == 404 and server.process.poll() is None
