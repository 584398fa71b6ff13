"""/openapi.json is complete (every route and parameter that the service has) and true (replies are as it says)."""
import json
import re
import shutil
import signal

import jsonschema
import pytest

from conftest import CLASSIFY, ROOT, until
from wire import form, request

TABLE = (ROOT / "server/call/routes.h").read_text()
PARAMETERS = (ROOT / "app/settings/params.h").read_text()


@pytest.fixture(scope="module")
def document(server):
    response = server.ask(path="/openapi.json")
    assert response.status == 200 and response.get("Content-Type") == "application/json"
    return response.json


def validator(document, name):
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def test_every_problem_code_is_listed(document):
    codes = re.findall(r'X\([A-Z_]+, \d+, "(\w+)"', (ROOT / "app/view/problem.h").read_text())
    assert len(codes) > 30 and document["components"]["schemas"]["Problem"]["properties"]["code"]["x-extensible-enum"] == codes


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from references(child)


def test_every_reference_resolves(document):
    for reference in set(references(document)):
        node = document
        for key in reference.removeprefix("#/").split("/"):
            node = node[key]


def test_every_route_is_described(document):
    patterns = set(re.findall(r'X\([A-Z_0-9]+, \w[\w| ]*, "([^"]+)"', TABLE))
    pages = {"/", "/docs", "/infomask.js", "/info-mask.js", "/infomask.py", "/web/{file}"}
    assert len(patterns) > 15 and patterns - pages == set(document["paths"]) - pages
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_every_parameter_is_described(document):
    names = set(re.findall(r'X\([A-Z_]+, "(\w+)", [A-Z]+,', PARAMETERS))
    described = {parameter["name"] for path in document["paths"].values() for operation in path.values()
                 for parameter in operation["parameters"] if parameter.get("in") == "query"}
    assert len(names) > 20 and described == names


def test_defaults_and_limits_are_true(server, document, png):
    """What the description says is allowed is, and what is one beyond is not."""
    for parameter in document["paths"][CLASSIFY]["post"]["parameters"]:
        schema, name = parameter.get("schema", {}), parameter.get("name")
        if parameter.get("in") != "query" or schema.get("type") not in ("integer", "number"):
            continue
        if "default" in schema:
            assert server.ask("POST", f"{CLASSIFY}?{name}={schema['default']}", png).status == 200
        assert server.ask("POST", f"{CLASSIFY}?{name}={int(schema['maximum']) + 1}", png).status == 400
        assert server.ask("POST", f"{CLASSIFY}?{name}={int(schema['minimum']) - 1}", png).status == 400


def test_replies_are_as_described(server, document, png):
    several, body = form([("a", "a.png", png), ("b", "b.txt", b"x")])
    for name, response in {
        "Classification": server.ask("POST", CLASSIFY + "?target=1&abstain_below=1", png),
        "Classifications": server.ask("POST", CLASSIFY, body, several),
        "MaskReply": server.ask("POST", "/v1/mask?quality=fast&output=saliency", png),
        "FilterReply": server.ask("POST", "/v1/filter?quality=fast&format=json&max_passes=1", png),
        "Analysis": server.ask("POST", "/v1/analyze?quality=fast&include=mask,overlay&target=3&target=4", png),
        "Models": server.ask(path="/v1/models"),
        "Labels": server.ask(path="/v1/models/efficientnet-lite0/labels"),
        "Model": server.ask(path="/v1/models/efficientnet-lite0"),
        "Status": server.ask(),
    }.items():
        assert response.status == 200, (name, response.text)
        validator(document, name).validate(response.json)
    validator(document, "Problem").validate(server.ask(path="/nope").json)


def undescribed(document, schema, value, path=""):
    """The members of an answer that no schema knows."""
    at = lambda one: document["components"]["schemas"][one["$ref"].rsplit("/", 1)[1]] if "$ref" in one else one
    schema = at(schema)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            fit = [one for one in schema[word] if jsonschema.Draft202012Validator({**one, "components": document["components"]}).is_valid(value)]
            return min((undescribed(document, one, value, path) for one in fit), key=len, default={path})
    parts = [schema, *map(at, schema.get("allOf", []))]
    known = {name: one for part in parts for name, one in part.get("properties", {}).items()}
    others = next((part["additionalProperties"] for part in parts if "additionalProperties" in part), None)
    if isinstance(value, list):
        return {name for one in value for name in undescribed(document, schema.get("items", {}), one, f"{path}[]")}
    if not isinstance(value, dict) or (not known and others is None) or others is True:
        return set()
    found = {f"{path}.{name}" for name in value if name not in known and others is None}
    return found.union(*(undescribed(document, known.get(name, others), one, f"{path}.{name}") for name, one in value.items()
                         if name in known or isinstance(others, dict)))


def test_each_304_that_is_described_is_given(server, document):
    """And no other route has an entity tag."""
    found = {}
    for route, methods in document["paths"].items():
        if "get" in methods and "{id}" not in route:
            path = route.replace("{name}", "digits").replace("{version}", "1")
            tag = server.ask(path=path).get("ETag")
            found[route] = server.ask(path=path, headers=[("If-None-Match", tag)]).status if tag else None
            responses = methods["get"]["responses"]
            assert ("304" in responses) == ("ETag" in responses["200"]["headers"]) == (found[route] == 304), route
    assert list(found.values()).count(304) == 5


@pytest.mark.parametrize("path", ["/v1/classify?target=dog&groups=true&samples=3&abstain_below=1", "/v1/mask?quality=fast&target=3&target=dog&format=json",
                                  "/v1/filter?quality=fast&target=3&target=4&format=json&fill=mean", "/v1/filter?mode=cutout&trim=true&format=json&quality=fast",
                                  "/v1/filter?format=json&max_passes=2&threshold=max:0.9&quality=fast", "/v1/filter?format=json&refine=false&quality=fast",
                                  "/v1/analyze?include=mask,overlay,saliency,image&groups=true&quality=fast", "/v1/models", "/v1/models/digits",
                                  "/v1/models/efficientnet-lite0/groups", "/v1/models/efficientnet-lite0/labels", "/v1/models/efficientnet-lite0/information",
                                  "/readyz", "/livez", "/v2", "/v2/models/efficientnet-lite0", "/v2/models/efficientnet-lite0/stats", "/nope"])
def test_no_member_of_an_answer_is_undescribed(server, document, png, path):
    route = re.sub("/(efficientnet-lite0|digits)", "/{name}", path.partition("?")[0])
    method = "POST" if "?" in path else "GET"
    answer = server.ask(method, path, png if method == "POST" else b"")
    operation = document["paths"].get(route, {}).get(method.lower())
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"] if operation else {"$ref": "#/components/schemas/Problem"}
    assert answer.status == (200 if operation else 404)
    assert undescribed(document, schema, answer.json) == set()
    assert undescribed(document, schema, {**answer.json, "surprise": 1}) == {".surprise"}


def test_no_member_of_an_estimate_or_a_job_is_undescribed(server, document, png):
    answers = {}

    def ask(method, route, path, body=b"", headers=()):
        answer = server.ask(method, path, body, headers)
        schema = document["paths"][route][method.lower()]["responses"][str(answer.status)]["content"]["application/json"]["schema"]
        assert undescribed(document, schema, answer.json) == set(), (method, route)
        answers[route] = answer.json
        return answer.json
    made = ask("POST", "/v1/estimates", "/v1/estimates", b'{"name": "described"}')["id"]
    kind, body = form([("espresso", "a.png", png), ("cup", "b.png", png + b"x"), ("no such class", "c.png", png), ("cup", "d.txt", b"no photo")])
    ask("POST", "/v1/estimates/{id}/samples", f"/v1/estimates/{made}/samples", body, kind)
    ask("GET", "/v1/estimates/{id}", f"/v1/estimates/{made}?suspects=5")
    ask("GET", "/v1/estimates", "/v1/estimates")
    job = ask("POST", "/v1/filter", "/v1/filter?format=json&quality=fast", png, [("Prefer", "respond-async")])
    until(lambda: ask("GET", "/v1/jobs/{id}", f"/v1/jobs/{job['id']}")["status"] == "done")
    assert len(answers) == 5 and answers["/v1/estimates/{id}"]["samples"] == 2
    assert server.ask("DELETE", f"/v1/estimates/{made}").status == 204


def test_one_photo_and_several_are_described(server, document, png):
    """Of one operation: the schema of its answer takes both, and neither for the other."""
    schema = document["paths"][CLASSIFY]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    check = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
    several, body = form([("a", "a.png", png), ("b", "b.png", png)])
    one, two = server.ask("POST", CLASSIFY, png).json, server.ask("POST", CLASSIFY, body, several).json
    check.validate(one)
    check.validate(two)
    assert not check.is_valid({**one, "predictions": 1}) and not check.is_valid({"results": [{}]})


@pytest.mark.parametrize("path", ["/openapi.json", "/", "/v1/models", "/v1/models/efficientnet-lite0/labels"])
def test_entity_tags(server, path):
    """9110 13.1.2: If-None-Match; 8.6: the length in a 304 is that of the 200."""
    first = server.ask(path=path)
    tag = first.get("ETag")
    assert re.fullmatch(r'"[0-9a-f]{16}"', tag)
    for value in [tag, "W/" + tag, f'"x", {tag}', "*"]:
        again = server.ask(path=path, headers=[("If-None-Match", value)])
        assert again.status == 304 and again.body == b"" and again.get("ETag") == tag
        assert again.get("Content-Length") in (None, first.get("Content-Length"))
    for value in ['"x"', tag[:-1], tag.strip('"'), ""]:
        assert server.ask(path=path, headers=[("If-None-Match", value)]).status == 200


LABELS = "/v1/models/efficientnet-lite0/labels"


def reload(server, sign):
    server.signal(signal.SIGHUP)
    assert sign in server.logged(sign)


def model_folder(parent, source, name=None):
    """A copy whose labels and description can be changed; the network is a link."""
    document = json.loads((source / "model.json").read_text())
    folder = parent / (name or document["name"])
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.onnx"))
    (folder / "model.onnx").symlink_to(source / "model.onnx")
    if name:
        (folder / "model.json").write_text(json.dumps({**document, "name": name}))
    return folder


def test_labels_follow_a_reload(make_server, tmp_path):
    """They are written once a loading; who still reads the former ones gets them whole."""
    folder = model_folder(tmp_path, ROOT / "config/models/efficientnet-lite0")
    server = make_server("--models-dir", tmp_path)
    old, again = server.ask(path=LABELS), server.ask(path=LABELS)
    assert old.body == again.body and old.get("ETag") == again.get("ETag")
    head = server.ask("HEAD", LABELS)
    assert head.get("Content-Length") == str(len(old.body)) and head.get("ETag") == old.get("ETag")
    with server.connect() as slow:
        slow.send(request("GET", LABELS) * 200)  # more than the system buffers
        lines = (folder / "labels.txt").read_text().splitlines()
        (folder / "labels.txt").write_text("\n".join(["a renamed class", *lines[1:]]) + "\n")
        reload(server, "1 changed")
        new = server.ask(path=LABELS, headers=[("If-None-Match", old.get("ETag"))])
        assert new.status == 200 and new.json["labels"][0]["label"] == "a renamed class"
        assert new.json["labels"][1:] == old.json["labels"][1:] and new.get("ETag") != old.get("ETag")
        assert server.ask(path=LABELS, headers=[("If-None-Match", new.get("ETag"))]).status == 304
        found = [slow.response() for _ in range(200)]
    for response in found:
        assert response.body == (old if response.get("ETag") == old.get("ETag") else new).body
    assert found[0].body == old.body and found[-1].body == new.body


def test_description_follows_the_default(make_server, tmp_path):
    """The model stays loaded, but another one becomes the default."""
    model_folder(tmp_path, ROOT / "config/models/digits")
    server = make_server("--models-dir", tmp_path)
    old = server.ask(path="/v1/models/digits")
    assert old.json["default"] and server.ask(path="/v1/models/digits").body == old.body
    model_folder(tmp_path, ROOT / "config/models/digits", "alpha")
    reload(server, "1 added")
    new = server.ask(path="/v1/models/digits", headers=[("If-None-Match", old.get("ETag"))])
    assert new.status == 200 and new.json == {**old.json, "default": False}
    assert server.ask(path="/v1/models/alpha").json["default"]


# ---- For those who generate clients ---------------------------------------------------------------------------------------

def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_names_tags_and_the_server(document):
    assert document["servers"] == [{"url": ".", "description": "where this description is"}]  # relative to itself
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        assert method in ("get", "post", "delete") and set(operation["tags"]) <= tags
        assert re.fullmatch(r"[a-z][a-z0-9_]*", operation["operationId"])
    assert {"classify", "mask", "filter", "analyze", "create_estimate", "get_estimate"} <= {o["operationId"] for _, _, o in operations(document)}
    assert not any("{file}" in path or path in ("/", "/docs") for path in document["paths"])


def test_enumerations_have_names_for_variables(document):
    method = next(one for one in document["paths"]["/v1/mask"]["post"]["parameters"] if one.get("name") == "method")["schema"]
    names = dict(zip(method["enum"], method["x-enum-varnames"]))
    assert names["infocam"] == "INFOCAM" and names["infocam+"] == "INFOCAM_PLUS" and len(set(names.values())) == len(method["enum"])


def walk(node):
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def test_what_generators_need(document):
    for node in walk(document):
        if isinstance(node, dict) and node.get("type") == "array":
            assert "items" in node
        if isinstance(node, dict) and isinstance(node.get("type"), list):
            assert "object" not in node["type"], node  # anyOf says it so that generators understand
    for path in ("classify", "mask", "filter", "analyze"):
        content = document["paths"][f"/v1/{path}"]["post"]["requestBody"]["content"]
        assert set(content) == {"application/octet-stream", "multipart/form-data"}
        assert content["application/octet-stream"]["schema"]["format"] == "binary"
        assert content["multipart/form-data"]["schema"]["properties"]["image"]["format"] == "binary"


def test_header_fields_of_pictures_are_described(server, document, png):
    for path in ("mask", "filter"):
        answer = server.ask("POST", f"/v1/{path}?format=png&quality=fast", png)
        described = document["paths"][f"/v1/{path}"]["post"]["responses"]["200"]["headers"]
        assert {name for name, _ in answer.headers if name.startswith("Infomask-")} <= set(described)
    busy = document["components"]["responses"]["Busy"]["headers"]
    assert "Retry-After" in busy and document["paths"][CLASSIFY]["post"]["responses"]["503"]["$ref"].endswith("/Busy")


def test_the_page_of_the_interface_is_made_from_it(document):
    """docs/api.md is what tools/api_md.py makes: make api-md."""
    import subprocess
    import sys
    made = subprocess.run([sys.executable, ROOT / "tools/api_md.py"], input=json.dumps(document), capture_output=True, text=True, check=True)
    assert made.stdout == (ROOT / "docs/api.md").read_text(), "run make api-md"
