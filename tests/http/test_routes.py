"""Every route, the forms of an upload, parameters, negotiation, and the shape of errors."""
import json
import re
import time
import subprocess

import pytest

from conftest import BINARY, CLASSIFY, ENVIRONMENT, PATIENCE, ROOT
from wire import chunked, form, request

INFER = ["/v1/classify", "/v1/mask", "/v1/filter", "/v1/analyze"]
PROBES = ["/livez", "/readyz", "/metrics", "/openapi.json"]


def is_problem(response, status, code):
    assert (response.status, response.get("Content-Type")) == (status, "application/problem+json")
    problem = response.json
    assert problem["status"] == status and problem["code"] == code
    assert problem["request_id"] == response.get("X-Request-Id")
    assert problem["title"] and problem["type"].endswith(code) and len(problem["detail"]) > 5
    assert str(ROOT) not in response.text and "MHD" not in response.text
    return problem


# ---- operations ----------------------------------------------------------------------------------------------------------


def test_probes(server):
    assert server.ask(path="/livez").json == {"status": "alive"}
    assert server.ask(path="/readyz").json == {"status": "ready"}


def test_metrics_are_prometheus_text(server):
    response = server.ask(path="/metrics")
    assert response.get("Content-Type").startswith("text/plain; version=0.0.4")
    name = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
    label = name + r'="(?:[^"\\\n]|\\.)*"'
    for line in response.text.splitlines():
        assert re.fullmatch(rf"# (HELP|TYPE) {name} .+|{name}(\{{{label}(,{label})*\}})? [-+0-9.eEInf]+", line), line
    types = re.findall(r"^# TYPE (\S+)", response.text, re.M)
    assert len(types) == len(set(types))
    assert "infomask_requests_total" in types and "infomask_request_seconds" in types


def test_metrics_count(server, png):
    name = 'infomask_requests_total{route="/v1/classify",method="POST",status="200"}'
    before = server.metric(name)
    for _ in range(3):
        assert server.ask("POST", CLASSIFY, png).status == 200
    assert server.metric_reaches(name, before + 3) <= before + 4  # an answer of another test may be counted late


def test_histograms_are_cumulative(server):
    for series in re.findall(r"^infomask_phase_seconds_bucket\{phase=\"network\".*", server.ask(path="/metrics").text, re.M):
        assert "le=" in series
    values = [int(line.split()[-1]) for line in server.ask(path="/metrics").text.splitlines()
              if line.startswith('infomask_phase_seconds_bucket{phase="queue"')]
    assert values == sorted(values) and len(values) == 17


# ---- models --------------------------------------------------------------------------------------------------------------


def test_models(server):
    listing = server.ask(path="/v1/models").json
    assert listing["default"] in [model["name"] for model in listing["models"]]
    one = server.ask(path="/v1/models/" + listing["default"]).json
    assert one["classes"] > 1 and one["default"] is True and "infocam" in one["methods"]
    labels = server.ask(path=f"/v1/models/{listing['default']}/labels").json["labels"]
    assert len(labels) == one["classes"] and labels[0]["index"] == 0


def test_unknown_model(server, png):
    is_problem(server.ask(path="/v1/models/nope"), 404, "no_such_model")
    is_problem(server.ask(path="/v1/models/nope/labels"), 404, "no_such_model")
    is_problem(server.ask("POST", CLASSIFY + "?model=nope", png), 404, "no_such_model")


# ---- uploads -------------------------------------------------------------------------------------------------------------


def checked(response):
    assert response.status == 200, response.text
    reply = response.json
    assert len(reply["predictions"]) == 5 and reply["units"] == "nats" and reply["request_id"]
    return reply


def test_upload_forms_agree(server, png):
    """Raw, PUT, multipart and a bare POST without a content type are the same upload."""
    headers, body = form([("image", "a.png", png)])
    other, other_body = form([("anything", "a.png", png)])
    bare, bare_body = form([("image", png)])
    answers = [
        server.ask("POST", CLASSIFY, png),
        server.ask("PUT", CLASSIFY, png),
        server.ask("POST", CLASSIFY, png, [("Content-Type", "application/x-www-form-urlencoded")]),
        server.ask("POST", CLASSIFY, png, [("Content-Type", "image/gif")]),
        server.ask("POST", CLASSIFY, body, headers),
        server.ask("POST", CLASSIFY, other_body, other),
        server.ask("POST", CLASSIFY, bare_body, bare),
        server.ask("POST", CLASSIFY, chunked(png[:100], png[100:]), [("Transfer-Encoding", "chunked")]),
    ]
    first = checked(answers[0])
    for answer in answers:
        assert checked(answer)["predictions"] == first["predictions"]
        assert answer.json["image"] == {"format": "png", "width": 120, "height": 80, "orientation": 1}


def test_curl(server, png, tmp_path):
    photo = tmp_path / "a.png"
    photo.write_bytes(png)
    url = server.url + CLASSIFY
    for arguments in (["--data-binary", f"@{photo}"], ["-T", str(photo)], ["-F", f"image=@{photo}"],
                      ["-F", f"file=@{photo}"], ["-H", "Transfer-Encoding: chunked", "-T", str(photo)],
                      ["-H", "Expect: 100-continue", "--data-binary", f"@{photo}"], ["-0", "-T", str(photo)]):
        done = subprocess.run(["curl", "-sS", *arguments, url], capture_output=True, timeout=PATIENCE)
        assert json.loads(done.stdout)["image"]["width"] == 120, (arguments, done.stdout, done.stderr)


def test_form_fields_are_parameters(server, png):
    headers, body = form([("top_k", 2), ("image", "a.png", png), ("units", "bits")])
    reply = server.ask("POST", CLASSIFY, body, headers).json
    assert len(reply["predictions"]) == 2 and reply["units"] == "bits"
    headers, body = form([("top_q", 2), ("image", "a.png", png)])
    is_problem(server.ask("POST", CLASSIFY, body, headers), 400, "bad_parameter")
    headers, body = form([("top_k", b"\xff"), ("image", "a.png", png)])
    is_problem(server.ask("POST", CLASSIFY, body, headers), 400, "bad_parameter")
    headers, body = form([("top_k", 2), ("image", "a.png", png)])
    is_problem(server.ask("POST", CLASSIFY + "?top_k=3", body, headers), 400, "bad_parameter")


@pytest.mark.parametrize("boundary", ["b", "-" * 69 + "x", "a'()+_,-./:=?", "--", "0" * 70])
def test_boundaries(server, png, boundary):
    headers, body = form([("image", "a.png", png)], boundary)
    quoted = [("Content-Type", f'multipart/form-data; charset=utf-8; boundary="{boundary}"')]
    assert server.ask("POST", CLASSIFY, body, quoted).status == 200
    if re.fullmatch(r"[0-9A-Za-z'()+_,\-./:=?]+", boundary) and "=" not in boundary and "(" not in boundary:
        tail = [("Content-Type", f"multipart/form-data; boundary={boundary}; charset=utf-8")]
        assert server.ask("POST", CLASSIFY, body, tail).status == 200


def test_file_names(server, png):
    for name in ["a.png", "../../etc/passwd", "C:\\\\photos\\\\a.png", "日本.png", 'with \\"quotes\\".png']:
        parts = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode()
        answer = server.ask("POST", CLASSIFY, parts + png + b"\r\n--b--", [("Content-Type", "multipart/form-data; boundary=b")])
        assert answer.status == 200, name


def test_several_images(server, png, jpeg):
    headers, body = form([("image", "a.png", png), ("image", "b.jpg", jpeg), ("image", "c.txt", b"no image")])
    reply = server.ask("POST", CLASSIFY, body, headers)
    assert reply.status == 200
    first, second, third = reply.json["results"]
    assert first["file"] == "a.png" and first["image"]["format"] == "png" and len(first["predictions"]) == 5
    assert second["image"]["format"] == "jpeg"
    assert third["status"] == 415 and third["code"] == "unsupported_format"


# ---- parameters ----------------------------------------------------------------------------------------------------------

BAD_PARAMETERS = [
    ("/v1/classify", "top_k=0", "top_k"), ("/v1/classify", "top_k=x", "top_k"), ("/v1/classify", "top_k=1.5", "top_k"),
    ("/v1/classify", "top_k=", "top_k"), ("/v1/classify", "top_k", "top_k"), ("/v1/classify", "top_k=1000001", "1000000"),
    ("/v1/classify", "top_k=99999999999999999999", "top_k"), ("/v1/classify", "top_k=%205", "top_k"),
    ("/v1/classify", "units=hartleys", "nats, bits"), ("/v1/classify", "samples=257", "256"),
    ("/v1/classify", "samples=-1", "samples"), ("/v1/classify", "prior=none", "prior"),
    ("/v1/classify", "prior=1,2,3", "prior"), ("/v1/classify", "prior=1,-2", "prior"), ("/v1/classify", "prior=nan", "prior"),
    ("/v1/classify", "nope=1", "nope"), ("/v1/classify", "top_k=1&top_k=2", "more than once"),
    ("/v1/classify", "quality=fast", "quality"), ("/v1/classify", "abstain_below=inf", "abstain_below"),
    ("/v1/classify", "seed=-1", "seed"), ("/v1/classify", "target=1&target=2", "more than once"),
    ("/v1/mask", "quality=best", "standard"), ("/v1/mask", "method=magic", "infocam"), ("/v1/mask", "refine=maybe", "true"),
    ("/v1/mask", "threshold=max:2", "threshold"), ("/v1/mask", "threshold=nats", "threshold"),
    ("/v1/mask", "threshold=share:-1", "threshold"), ("/v1/mask", "resolution=1", "resolution"),
    ("/v1/mask", "output=film", "saliency"), ("/v1/mask", "format=jpeg", "png"), ("/v1/mask", "colormap=jet", "viridis"),
    ("/v1/mask", "fill=blur", "fill"), ("/v1/mask", "top_k=1", "top_k"),
    ("/v1/filter", "fill=#12345", "fill"), ("/v1/filter", "fill=%2312345", "rrggbb"), ("/v1/filter", "mode=hide", "remove"),
    ("/v1/filter", "max_area=1.1", "max_area"), ("/v1/filter", "max_passes=0", "1 to 10"), ("/v1/filter", "dilate=-1", "dilate"),
    ("/v1/filter", "format=gif", "jpeg"), ("/v1/filter", "until=NaN", "until"), ("/v1/filter", "feather=1e9", "feather"),
    ("/v1/analyze", "include=mask,film", "include"), ("/v1/analyze", "include=", "include"),
]


@pytest.mark.parametrize("path,query,named", BAD_PARAMETERS)
def test_bad_parameters_are_named(server, png, path, query, named):
    if "#" in query:
        response = server.ask("POST", f"{path}?{query}", png)
        assert response.status == 400
        return
    problem = is_problem(server.ask("POST", f"{path}?{query}", png), 400, "bad_parameter")
    assert named in problem["detail"]


@pytest.mark.parametrize("query", ["top_k=1", "&&top_k=1&", "top%5Fk=1", "units=bits&seed=9007199254740991&top_k=1",
                                   "prior=uniform&top_k=1", "prior=train&top_k=1", "target=0&top_k=1", "abstain_below=1e-3&top_k=1"])
def test_good_parameters(server, png, query):
    response = server.ask("POST", f"{CLASSIFY}?{query}", png)
    assert response.status == 200 and len(response.json["predictions"]) == 1


@pytest.mark.parametrize("query", ["%", "top_k=%zz", "top_k=%00", "top_k=1%", "a=%ff", "%c0%af=1"])
def test_query_must_be_encoded(server, png, query):
    is_problem(server.ask("POST", f"{CLASSIFY}?{query}", png), 400, "bad_request")


def test_classes_by_name(server, png):
    labels = server.ask(path="/v1/models/efficientnet-lite0/labels").json["labels"]
    for name in ["0", labels[0]["label"], labels[0]["aliases"][0]]:
        reply = server.ask("POST", f"{CLASSIFY}?target={name.replace(' ', '%20')}", png).json
        assert reply["target"]["index"] == 0
    problem = is_problem(server.ask("POST", f"{CLASSIFY}?target=tabbi", png), 404, "no_such_class")
    assert "tabby" in problem["detail"]
    is_problem(server.ask("POST", f"{CLASSIFY}?target=1000", png), 404, "no_such_class")


def test_ambiguous_class(make_server, png, tmp_path):
    """Two classes of one name: the refusal lists both indices."""
    source, folder = ROOT / "config/models/efficientnet-lite0", tmp_path / "twins"
    folder.mkdir()
    (folder / "model.onnx").symlink_to(source / "model.onnx")
    (folder / "model.json").write_text((source / "model.json").read_text().replace("efficientnet-lite0", "twins", 1))
    lines = (source / "labels.txt").read_text().splitlines()
    lines[7] = lines[42] = "crane"
    (folder / "labels.txt").write_text("\n".join(lines) + "\n")
    server = make_server("--models-dir", tmp_path)
    problem = is_problem(server.ask("POST", f"{CLASSIFY}?target=crane", png), 400, "ambiguous_class")
    assert "7" in problem["detail"] and "42" in problem["detail"]
    assert server.ask("POST", f"{CLASSIFY}?target=42", png).json["target"]["label"] == "crane"


# ---- errors and methods --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/models/digits%2Flabels", "/v1%2fmodels", "/v2/models/digits%2Fready", "/web%2Fapp.js"])
def test_a_slash_that_is_encoded_parts_no_names(server, path):
    """Who allows paths on the way (/v1/models/... for all, /labels for none) reads them as they are written."""
    answer = server.ask(path=path)
    assert answer.status == 404 and "%2F" in answer.json.get("detail", answer.json.get("error"))
    assert server.ask(path=path.replace("%2F", "/").replace("%2f", "/")).status == 200
    assert server.ask(path="/v1/models/%64igits").status == 200


@pytest.mark.parametrize("path, known", [("/v1/models/", True), ("/docs/", True), ("/v1/classify/", True), ("/v1/", False), ("//", True), ("/nothing/", False)])
def test_a_slash_too_many(server, path, known):
    answer = server.ask(path=path)
    assert answer.status == 404 and ("without the slash at its end there is" in answer.json["detail"]) == known


@pytest.mark.parametrize("path", ["/nope", "/v1", "/v1/", "/v1/classify/", "//v1/classify", "/V1/classify", "/v1/models/",
                                  "/v1/models/a/b/c", "/v1/jobs", "/livez/", "/.env", "/..%2f..%2fetc/passwd", "/index.php",
                                  "/v1/models/%2e%2e/labels/x"])
def test_unknown_routes(server, path):
    is_problem(server.ask(path=path), 404, "no_such_route")


@pytest.mark.parametrize("path,method,allow", [
    ("/v1/classify", "GET", "POST, PUT, OPTIONS"), ("/v1/classify", "DELETE", "POST, PUT, OPTIONS"),
    ("/v1/models", "POST", "GET, HEAD, OPTIONS"), ("/livez", "PUT", "GET, HEAD, OPTIONS"),
    ("/v1/models/reload", "GET", "POST, OPTIONS"), ("/v1/estimates", "PUT", "GET, HEAD, POST, OPTIONS"),
    ("/v1/classify", "PATCH", "POST, PUT, OPTIONS"), ("/livez", "TRACE", "GET, HEAD, OPTIONS"),
    ("/livez", "QUERY", "GET, HEAD, OPTIONS"),
])
def test_wrong_method(server, path, method, allow):
    response = server.ask(method, path, b"" if method in ("POST", "PUT", "PATCH") else None)
    is_problem(response, 405, "method_not_allowed")
    assert response.get("Allow") == allow


def test_options(server):
    response = server.ask("OPTIONS", CLASSIFY)
    assert response.status == 204 and response.get("Allow") == "POST, PUT, OPTIONS"
    assert server.ask("OPTIONS", "*").status == 204


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/metrics"])
def test_head_is_get_without_a_body(server, path):
    head, get = server.ask("HEAD", path), server.ask("GET", path)
    assert head.status == get.status == 200 and head.body == b""
    assert head.get("Content-Type") == get.get("Content-Type")
    if path != "/metrics":
        assert head.get("Content-Length") == get.get("Content-Length")


def test_unknown_method(server):
    is_problem(server.ask("BREW", "/livez"), 501, "not_implemented")


@pytest.mark.parametrize("given", ["abc", "A-Za-z0-9._-", "x" * 128])
def test_request_id_is_taken(server, given):
    assert server.ask(headers=[("X-Request-Id", given)]).get("X-Request-Id") == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a/b", "é", '"', "a;b"])
def test_request_id_is_made(server, given):
    made = server.ask(headers=[("X-Request-Id", given)]).get("X-Request-Id")
    assert made != given and re.fullmatch("[0-9a-f]{24}", made)


def test_request_id_is_logged(server):
    line = json.loads(server.logged("find-me-in-the-log", lambda: server.ask(
        path="/nope", headers=[("X-Request-Id", "find-me-in-the-log")])))
    assert line["event"] == "request" and line["status"] == 404 and line["code"] == "no_such_route"
    assert line["method"] == "GET" and line["path"] == "/nope" and line["total_ms"] >= 0


def test_traceparent_is_passed_through(server):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert server.ask(headers=[("traceparent", trace)]).get("traceparent") == trace


@pytest.mark.parametrize("accept,status", [
    ("application/json", 200), ("*/*", 200), ("application/*", 200), ("text/html", 406), ("application/json;q=0", 406),
    ("text/html, application/json;q=0.1", 200), ("application/json;q=0, */*", 406), ("APPLICATION/JSON", 200), ("", 200),
])
def test_accept(server, png, accept, status):
    response = server.ask("POST", CLASSIFY, png, [("Accept", accept)])
    assert response.status == status
    if status == 406:
        is_problem(response, 406, "not_acceptable")


def test_length_required(server):
    is_problem(server.ask("POST", CLASSIFY), 411, "length_required")


def test_deadline_header(server, png):
    is_problem(server.ask("POST", CLASSIFY, png, [("X-Request-Timeout", "soon")]), 400, "bad_request")
    for seconds, status in [("20", 200), ("2e1", 200), ("2E+1", 200), ("86400", 200), ("86401", 400), ("1e300", 400), ("-1", 400), ("0x10", 400),
                            ("inf", 400), ("nan", 400), ("0", 400), ("1e-9", 400), (" 20 x", 400)]:
        assert server.ask("POST", CLASSIFY, png, [("X-Request-Timeout", seconds)]).status == status, seconds
    is_problem(server.ask("POST", "/v1/filter", png, [("X-Request-Timeout", "0.01")]), 504, "deadline_exceeded")


def test_keep_alive_and_pipelining(server, png):
    with server.connect() as connection:
        for _ in range(3):
            connection.send(request("POST", CLASSIFY, png))
            assert connection.response().status == 200
        connection.send(request() + request("POST", CLASSIFY, png) + request("GET", "/nope") + request("GET", "/readyz"))
        assert [connection.response().status for _ in range(4)] == [200, 200, 404, 200]


def test_busy_port(server):
    done = subprocess.run([BINARY, "serve", "--port", str(server.port)], capture_output=True, cwd=ROOT, env=ENVIRONMENT,
                          timeout=PATIENCE)
    assert done.returncode == 1 and str(server.port) in done.stderr.decode() and "in use" in done.stderr.decode()


def test_traces_are_checked_before_they_are_handed_on(server):
    """W3C Trace Context 3.2."""
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    for value, fine in [(f"00-{trace}-{parent}-01", True), (f"00-{trace}-{parent}-00", True), (f"cc-{trace}-{parent}-01-more", True),
                        (f"00-{trace}-{parent}-01-more", False), (f"ff-{trace}-{parent}-01", False), (f"00-{trace.upper()}-{parent}-01", False),
                        (f"00-{'0' * 32}-{parent}-01", False), (f"00-{trace}-{'0' * 16}-01", False), ("x" * 2000, False), ("", False),
                        (f"00-{trace}-{parent}", False), (f"00-{trace}_{parent}-01", False)]:
        response = server.ask(headers=[("Traceparent", value)])
        assert response.status == 200 and response.get("Traceparent") == (value if fine else None), value


@pytest.mark.parametrize("prior", ["0x1p3" + ",1" * 999, "1," * 999 + "inf", "1," * 999 + " 1", "1," * 999 + "nan", "1," * 999 + "0x1"])
def test_priors_are_decimal(server, png, prior):
    is_problem(server.ask("POST", CLASSIFY + "?prior=" + prior.replace(" ", "%20"), png), 400, "bad_parameter")


def test_expect_without_a_body(server):
    """9110 10.1.1: a server that receives 100-continue in a request without content may leave 100 out; it answers."""
    for path, status in (("/livez", 200), ("/v1/models", 200), ("/nope", 404)):
        with server.connect() as connection:
            connection.send(request(path=path, headers=[("Expect", "100-continue")]))
            assert connection.response().status == status
