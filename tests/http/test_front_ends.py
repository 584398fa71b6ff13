"""What front ends rely on: JSON bodies, several images in one request, codings, names of files, times, CORS."""
import base64
import gzip
import json
import re
import urllib.parse

import numpy
import pytest
from PIL import Image

from conftest import CLASSIFY, PATIENT, ROOT, encode
from wire import form

COFFEE = (ROOT / "server/web/photos/coffee.jpg").read_bytes()
JSON = [("Content-Type", "application/json")]
URLENCODED = [("Content-Type", "application/x-www-form-urlencoded")]


def post_json(server, path, document, headers=()):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return server.ask("POST", path, body, [*JSON, *headers])


def b64(data):
    return base64.b64encode(data).decode()


# ---- JSON bodies ---------------------------------------------------------------------------------------------------------

def same(one, other):
    drop = ("request_id", "timing_ms")
    return {key: value for key, value in one.items() if key not in drop} == {key: value for key, value in other.items() if key not in drop}


@pytest.mark.parametrize("wrap", [
    b64, lambda data: "data:image/jpeg;base64," + b64(data), lambda data: base64.encodebytes(data).decode(),
    lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")], ids=["plain", "data", "lines", "url-safe"])
def test_base64(server, wrap):
    answer = post_json(server, CLASSIFY, {"image": wrap(COFFEE), "top_k": 2, "units": "bits"})
    assert answer.status == 200
    assert same(answer.json, server.ask("POST", CLASSIFY + "?top_k=2&units=bits", COFFEE).json)


def test_parameters_of_every_kind(server):
    document = {"image": b64(COFFEE), "target": ["espresso", 968], "refine": False, "threshold": "share:0.5", "min_evidence": 0.25,
                "quality": None, "include": ["mask", "overlay"], "top_k": 3}
    query = "?target=espresso&target=968&refine=false&threshold=share:0.5&min_evidence=0.25&include=mask,overlay&top_k=3"
    assert same(post_json(server, "/v1/analyze", document).json, server.ask("POST", "/v1/analyze" + query, COFFEE).json)


@pytest.mark.parametrize("name", ["mask", "image ", "prior"])
def test_a_long_list_that_is_no_parameter(server, name):
    """On a route that takes no mask, `mask` is a parameter like others, and its text needs room."""
    answer = post_json(server, CLASSIFY, {"image": b64(COFFEE), name: [0.12345678901234567] * 5000})
    assert answer.status == 400 and name.strip() in answer.json["detail"]
    assert server.ask("POST", CLASSIFY, COFFEE).status == 200


def test_a_prior_of_a_thousand_long_numbers(server, png):
    """In JSON and in a form; as texts they make 20 KB, more than a URL takes."""
    models = server.ask(path="/v1/models").json
    classes = next(m["classes"] for m in models["models"] if m["name"] == models["default"])
    prior = [float(value) for value in numpy.random.default_rng(5).dirichlet(numpy.ones(classes))]
    every = f"{CLASSIFY}?top_k={classes}"
    answer = post_json(server, every, {"image": b64(png), "prior": prior})
    assert answer.status == 200 and answer.json["prior"] == "given"
    headers, body = form([("prior", ",".join(map(repr, prior))), ("image", "a.png", png)])
    assert same(answer.json, server.ask("POST", every, body, headers).json)
    flat = {row["index"]: row["probability"] for row in server.ask("POST", every + "&prior=uniform", png).json["predictions"]}
    total = sum(flat[k] * prior[k] for k in range(classes))
    for row in answer.json["predictions"]:
        assert row["probability"] == pytest.approx(flat[row["index"]] * prior[row["index"]] / total, rel=1e-6, abs=1e-12)


def test_a_prior_as_a_list(server, png):
    answer = post_json(server, CLASSIFY + "?model=digits", {"image": b64(png), "prior": [1, 2, 3, 4, 5, 5, 4, 3, 2, 1]})
    assert same(answer.json, server.ask("POST", CLASSIFY + "?model=digits&prior=1,2,3,4,5,5,4,3,2,1", png).json)


def test_filter_and_an_own_mask(server):
    mask = encode(Image.new("L", (600, 400), 0).point(lambda _: 0))
    answer = post_json(server, "/v1/filter?format=json", {"image": b64(COFFEE), "mask": "data:image/png;base64," + b64(mask)})
    assert answer.status == 200 and answer.json["verification"]["verdict"] is None


@pytest.mark.parametrize("body, code, words", [
    ({"top_k": 1}, "bad_json", 'no "image"'),
    ({"image": "***"}, "bad_json", "not base64"),
    ({"image": "QUJ"[:1]}, "bad_json", "not base64"),
    ({"image": "QQ=A"}, "bad_json", "not base64"),
    ({"image": ""}, "bad_json", "is empty"),
    ({"image": 7}, "bad_json", "base64"),
    ({"image": []}, "bad_json", "empty list"),
    ({"image": "data:image/png,abc"}, "bad_json", ";base64,"),
    ({"image": "QUJD", "nonsense": 1}, "bad_parameter", "nonsense"),
    ({"image": "QUJD", "top_k": {"a": 1}}, "bad_json", "top_k"),
    ({"image": "QUJD", "top_k": "many"}, "bad_parameter", "top_k"),
    ({"url": "http://photos.example/x.jpg"}, "remote_url", "fetches nothing"),
    ({"image": "https://photos.example/x.jpg"}, "remote_url", "fetches nothing"),
    ({"image": "file:///etc/passwd"}, "remote_url", "fetches nothing"),
    (b'{"image": "QUJD", "image": "QUJD"}', "bad_json", 'duplicate key "image"'),
    (b"[]", "bad_json", "must be an object"),
    (b"{", "bad_json", "not JSON"),
    (b"   ", "bad_json", "not JSON"),
    (b'{"image": "QUJD"} {}', "bad_json", "not JSON"),
    (b'{"image": "QUJD", "target": [[["a"]]]}', "bad_json", "target"),
    (b'{"image": "QUJD", "target": [[[[["a"]]]]]}', "bad_json", "not JSON"),
])
def test_each_mistake_has_its_sentence(server, body, code, words):
    answer = post_json(server, CLASSIFY, body)
    assert (answer.status, answer.code) == (400, code) and words in answer.json["detail"]


def test_two_images_where_one_is_taken(server):
    answer = post_json(server, "/v1/mask", {"image": [b64(COFFEE), b64(COFFEE)]})
    assert answer.status == 400 and "2 images; this route takes one" in answer.json["detail"]
    assert len(post_json(server, CLASSIFY, {"image": [b64(COFFEE), b64(COFFEE)]}).json["results"]) == 2


def test_over_the_limit(make_server):
    small = make_server(*PATIENT, "--max-body", "64K")
    assert post_json(small, CLASSIFY, {"image": "A" * 70000}).code == "body_too_large"


def test_a_photo_is_a_photo_whatever_it_is_called(server):
    assert server.ask("POST", CLASSIFY, COFFEE, JSON).status == 200


def test_url_is_refused_by_name_everywhere(server):
    assert server.ask("POST", CLASSIFY + "?url=http://photos.example/x.jpg", COFFEE).code == "remote_url"
    assert server.ask("POST", CLASSIFY, b"url=http://photos.example/x.jpg", URLENCODED).code == "remote_url"
    kind, body = form([("image", "x.jpg", COFFEE), ("url", b"http://photos.example/x.jpg")])
    assert server.ask("POST", CLASSIFY, body, kind).code == "remote_url"


@pytest.mark.parametrize("photo", ["server/web/photos/coffee.jpg", "tests/data/photos/chelsea.png", "tests/data/images/lossy.webp"])
def test_curl_d_gets_the_sentence_that_helps(server, photo):
    """curl -d @photo leaves out line ends and NULs; curl --data-binary says the same Content-Type and is fine."""
    data = (ROOT / photo).read_bytes()
    broken = re.sub(rb"[\r\n\0]", b"", data)
    answer = server.ask("POST", CLASSIFY, broken, URLENCODED)
    assert answer.status == 400 and "--data-binary" in answer.json["detail"]
    assert server.ask("POST", CLASSIFY, data, URLENCODED).status == 200
    answer = server.ask("POST", CLASSIFY, b"image=@coffee.jpg", URLENCODED)
    assert answer.status == 400 and "-F image=@photo.jpg" in answer.json["detail"]
    answer = server.ask("POST", CLASSIFY, b'{"image": "QUJD"}', URLENCODED)
    assert answer.status == 400 and "application/json" in answer.json["detail"]


@pytest.mark.parametrize("field, text, code, sentence", [
    ("image", b"photos/coffee.jpg", "bad_request", 'image is the text "photos/coffee.jpg" and no file; curl sends the file with @'),
    ("file", b"coffee.jpg", "bad_request", "-F file=@photo.jpg"),
    ("mask", b"mask.png", "bad_request", "-F mask=@photo.jpg"),
    ("image", b"https://photos.example/x.jpg", "remote_url", "image is not taken"),
])
def test_curl_f_without_its_sign_gets_the_sentence_that_helps(server, field, text, code, sentence):
    """curl -F image=photo.jpg sends the name, and -F image=@photo.jpg the file."""
    kind, body = form([(field, text), ("photo", "x.jpg", COFFEE)])
    answer = server.ask("POST", "/v1/filter", body, kind)
    assert (answer.status, answer.code) == (400, code) and sentence in answer.json["detail"]


# ---- Several images ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("route", ["classify", "mask", "filter", "analyze"])
def test_lines(server, route):
    chelsea = (ROOT / "server/web/photos/chelsea.jpg").read_bytes()
    query = "?quality=fast" if route != "classify" else ""
    kind, body = form([("image", "a.jpg", COFFEE), ("image", "b.txt", b"no photo"), ("image", "c.jpg", chelsea)])
    answer = server.ask("POST", f"/v1/{route}{query}", body, [*kind, ("Accept", "application/x-ndjson")])
    assert answer.status == 200 and answer.get("Content-Type") == "application/x-ndjson"
    lines = answer.body.decode().split("\n")
    assert len(lines) == 4 and lines[3] == ""
    first, second, third = map(json.loads, lines[:3])
    alone = "&format=json" if route in ("mask", "filter") else ""
    for line, photo in [(first, COFFEE), (third, chelsea)]:
        assert same(line, server.ask("POST", f"/v1/{route}{query or '?'}{alone}".replace("?&", "?"), photo).json)
    assert second["code"] == "unsupported_format" and second["status"] == 415


def test_lines_of_one_image(server):
    answer = server.ask("POST", CLASSIFY, COFFEE, [("Accept", "application/x-ndjson")])
    assert answer.get("Content-Type") == "application/x-ndjson" and answer.body.count(b"\n") == 1


def test_lines_hold_no_pictures(server):
    kind, body = form([("image", "a.jpg", COFFEE), ("image", "b.jpg", COFFEE)])
    answer = server.ask("POST", "/v1/mask?format=png", body, [*kind, ("Accept", "application/x-ndjson")])
    assert answer.code == "bad_parameter" and "multipart/mixed" in answer.json["detail"]


def test_one_mask_is_for_one_photo(server):
    kind, body = form([("image", "a.jpg", COFFEE), ("image", "b.jpg", COFFEE), ("mask", "m.png", b"x")])
    answer = server.ask("POST", "/v1/filter", body, [*kind, ("Accept", "application/x-ndjson")])
    assert answer.code == "bad_parameter" and "one photo" in answer.json["detail"]


def test_pictures_in_parts(server):
    import email
    kind, body = form([("image", "a.jpg", COFFEE), ("image", "b.txt", b"no photo")])
    answer = server.ask("POST", "/v1/mask?quality=fast", body, [*kind, ("Accept", "multipart/mixed")])
    assert answer.status == 200
    message = email.message_from_bytes(b"Content-Type: " + answer.get("Content-Type").encode() + b"\r\n\r\n" + answer.body)
    first, second = message.get_payload()
    assert first.get_content_type() == "image/png" and first["Infomask-Label"] == "espresso"
    alone = server.ask("POST", "/v1/mask?quality=fast&format=png", COFFEE)
    assert first.get_payload(decode=True) == alone.body
    assert second.get_content_type() == "application/problem+json"


@pytest.mark.parametrize("begin, what", [
    (b"GIF89a", "a GIF picture"), (b"\0\0\0\x18ftypheic", "a HEIC picture"), (b"\0\0\0\x1cftypavif", "an AVIF picture"),
    (b"\0\0\0\x18ftypmif1", "a HEIC picture"), (b"\0\0\0\x20ftypisom", "a film"), (b"II*\0", "a TIFF"), (b"MM\0*", "a TIFF"), (b"%PDF-1.7", "a PDF"),
    (b"<!doctype html>", "a web page"), (b"<svg xmlns", "an SVG"), (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (b64(COFFEE)[:40].encode(), "base64"),
    (b"PK\x03\x04", "a ZIP"), (b"MMMM", "WebP image"), (b"\x89PN", "WebP image"), (b"G", "WebP image")])
def test_what_is_no_photo_is_named(server, begin, what):
    answer = server.ask("POST", CLASSIFY, begin if len(begin) == 1 else begin + bytes(60))
    assert answer.status == 415 and what in answer.json["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "image/jpeg", "application/x-www-form-urlencoded", "application/vnd.api+json"])
def test_json_by_another_name(server, kind):
    answer = server.ask("POST", CLASSIFY, json.dumps({"image": b64(COFFEE)}).encode(), [("Content-Type", kind)])
    assert answer.status == 400 and "Content-Type: application/json" in answer.json["detail"]


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_json_of_another_coding(server, coding):
    body = ("\ufeff" * (coding == "utf-16-be") + json.dumps({"image": "abcd"})).encode(coding)
    answer = server.ask("POST", CLASSIFY, body, JSON)
    assert answer.status == 400 and answer.json["code"] == "bad_json"


@pytest.mark.parametrize("text, words", [("photo.jpg", "character 6 of it is ."), ("abcd%2B", "character 5 of it is %"), ("abcde", "cut off"),
                                         ("abc\u00e9", "from character 4"), ("ab=c", "character 4 of it is c")])
def test_what_is_no_base64_is_shown(server, text, words):
    answer = post_json(server, CLASSIFY, {"image": text})
    assert answer.status == 400 and answer.json["code"] == "bad_json" and words in answer.json["detail"]


@pytest.mark.parametrize("change", [lambda text: "\n  data:image/jpeg;base64," + text, lambda text: "DATA:image/jpeg;name=a.jpg;BASE64," + text,
                                    lambda text: text.rstrip("="), lambda text: text.replace("+", "-").replace("/", "_"),
                                    lambda text: "\r\n".join(text[i:i + 76] for i in range(0, len(text), 76))])
def test_ways_to_write_base64(server, change):
    assert post_json(server, CLASSIFY, {"image": change(b64(COFFEE))}).json["predictions"][0]["label"] == "espresso"


# ---- Headers -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("accept, packed", [("gzip", True), ("deflate, gzip;q=0.5", True), ("*", True), ("GZIP", True), ("gzip;q=0", False),
                                            ("gzip; q=0.000, *", False), ("identity", False), ("", False), (None, False), ("br", False), ("x-gzip", True),
                                            ("identity;q=0.5, gzip;q=0.4", False), ("gzip;q=0.5, identity", False), ("gzip;q=0.5, identity;q=0.5", True),
                                            ("identity;q=0, gzip;q=0.1", True), ("gzip ; q=0.", False), ("*;q=0, gzip", True)])
@pytest.mark.parametrize("path", ["/v1/models/efficientnet-lite0/labels", "/", "/infomask.js", "/openapi.json"])
def test_gzip(server, path, accept, packed):
    plain = server.ask(path=path)
    answer = server.ask(path=path, headers=[("Accept-Encoding", accept)] if accept is not None else [])
    assert (answer.get("Content-Encoding") == "gzip") == packed
    assert (gzip.decompress(answer.body) if packed else answer.body) == plain.body
    assert "Accept-Encoding" in answer.get("Vary") and len(answer.body) < len(plain.body) + (not packed)
    tag = answer.get("ETag")
    assert tag == (plain.get("ETag")[:-1] + '-gzip"' if packed else plain.get("ETag"))
    again = server.ask(path=path, headers=[("If-None-Match", tag)] + ([("Accept-Encoding", accept)] if accept is not None else []))
    assert again.status == 304 and again.body == b"" and again.get("ETag") == tag


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", 'application/json;charset="UTF-8"', "application/json ; x=y"])
def test_charsets_of_json(server, kind):
    body = json.dumps({"image": b64(COFFEE), "top_k": 1}).encode()
    assert server.ask("POST", CLASSIFY, body, [("Content-Type", kind)]).json["predictions"][0]["label"] == "espresso"


@pytest.mark.parametrize("members, words", [({"top_k": None, "target": None}, None), ({"": None}, 'unknown parameter ""'), ({"topk": None}, "did you mean top_k")])
def test_null_is_left_out_where_there_is_such_a_parameter(server, members, words):
    body = json.dumps({"image": b64(COFFEE), **members}).encode()
    answer = server.ask("POST", CLASSIFY, body, [("Content-Type", "application/json")])
    made = server.ask("POST", "/v1/estimates", b"{}", [("Content-Type", "application/json")]).json["id"]
    asked = server.ask("POST", f"/v1/estimates/{made}", json.dumps({**members, "prior": None} if words else {"prior": None}).encode(), [("Content-Type", "application/json")])
    assert (answer.status, asked.status) == ((400, 400) if words else (200, 200))
    if words:
        assert words in answer.json["detail"] and "unknown parameter" in asked.json["detail"]


def test_an_estimate_of_a_model_without_a_name(server):
    answer = server.ask("POST", "/v1/estimates", b'{"model": ""}', [("Content-Type", "application/json")])
    assert answer.status == 400 and answer.json["detail"] == 'model must be 1 to 63 bytes long, not ""'


@pytest.mark.parametrize("path", ["/", "/infomask.js", "/web/coffee.jpg", "/openapi.json"])
def test_head_and_range(server, path):
    """HEAD is GET without its body; a range is not taken, so all of it comes; what a browser has is not sent again."""
    whole, head = server.ask(path=path), server.ask("HEAD", path)
    ranged = server.ask(path=path, headers=[("Range", "bytes=0-9")])
    assert head.status == 200 and head.body == b"" and int(head.get("Content-Length")) == len(whole.body) and head.get("ETag") == whole.get("ETag")
    assert ranged.status == 200 and ranged.body == whole.body and ranged.get("Content-Range") is None
    for tag in (whole.get("ETag"), "W/" + whole.get("ETag"), '"other", ' + whole.get("ETag"), "*"):
        assert server.ask(path=path, headers=[("If-None-Match", tag)]).status == 304
        assert server.ask("HEAD", path, headers=[("If-None-Match", tag)]).status == 304
    assert server.ask(path=path, headers=[("If-None-Match", '"other"')]).status == 200


def test_the_page_is_light(server):
    """All of its texts, as they travel, in 80 kB."""
    folder = ROOT / "server/web"
    paths = ["/", "/docs", "/infomask.js", "/info-mask.js"] + [f"/web/{file.name}" for file in folder.glob("*.*")
             if file.suffix in (".js", ".css", ".svg") and file.name not in ("infomask.js", "info-mask.js")]
    sizes = {path: len(server.ask(path=path, headers=[("Accept-Encoding", "gzip")]).body) for path in paths}
    assert len(sizes) > 12 and sum(sizes.values()) < 80_000, sizes
    assert all(len(server.ask(path=f"/web/{photo.name}").body) < 40_000 for photo in (folder / "photos").iterdir())


def test_what_is_small_or_no_text_is_not_packed(server):
    for path in ["/livez", "/web/coffee.jpg"]:
        assert server.ask(path=path, headers=[("Accept-Encoding", "gzip")]).get("Content-Encoding") is None


@pytest.mark.parametrize("path, name", [("/v1/mask?format=png", "cup-of-coffee-mask.png"), ("/v1/mask?format=png&output=overlay", "cup-of-coffee-overlay.png"),
                                        ("/v1/filter?quality=fast", "cup-of-coffee-filtered.png"), ("/v1/filter?quality=fast&format=jpeg&mode=keep&fill=mean", "cup-of-coffee-kept.jpg")])
def test_names_of_files(server, path, name):
    kind, body = form([("image", 'cup of (coffee).jpg', COFFEE)])
    answer = server.ask("POST", path, body, kind)
    assert answer.get("Content-Disposition") == f'inline; filename="{name}"'
    assert "filename=\"photo-" in server.ask("POST", path, COFFEE).get("Content-Disposition")


@pytest.mark.parametrize("name, plain, wide", [
    ("café.jpg", "caf-mask.png", "café-mask.png"), ("日本 の 朝食.jpeg", "photo-mask.png", "日本-の-朝食-mask.png"), ("Ёлка_2.png", "_2-mask.png", "Ёлка_2-mask.png"),
    ("😀.webp", "photo-mask.png", "😀-mask.png"), ("a\u202egpj.exe.png", "a-gpj-exe-mask.png", None), ("\ufeff\u2066x\u2069.png", "x-mask.png", None),
    ("..\\дом/../ключ.tar.gz", "tar-mask.png", "ключ-tar-mask.png"), ("é" * 300 + ".jpg", "photo-mask.png", "é" * 63 + "-mask.png"),
    ("e\u0301.jpg", "e-mask.png", "e\u0301-mask.png"), ("plain.jpg", "plain-mask.png", None)])
def test_names_of_files_in_other_alphabets(server, name, plain, wide):
    """RFC 6266: filename* beside filename, and nothing in it that turns or hides the rest."""
    kind, body = form([("image", name, COFFEE)])
    said = server.ask("POST", "/v1/mask?format=png&quality=fast", body, kind).get("Content-Disposition")
    got = re.fullmatch(r"""inline; filename="([\w.-]+)"(?:; filename\*=UTF-8''([A-Za-z0-9%._~-]+))?""", said, re.A)
    assert got and got[1] == plain and (urllib.parse.unquote(got[2], errors="strict") if got[2] else None) == wide, said


def test_times(server):
    answer = server.ask("POST", CLASSIFY, COFFEE)
    times = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.get("Server-Timing")))
    assert float(times["total"]) >= float(times["network"]) > 0 and "decode" in times


def test_vary_names_accept(server):
    answer = server.ask("POST", "/v1/mask", COFFEE)
    assert "Accept" in [value for name, value in answer.headers if name == "Vary"]


def test_cors(make_server):
    server = make_server(*PATIENT, "--cors-origins", "https://shop.example")
    origin = [("Origin", "https://shop.example")]
    asked = [*origin, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "content-type,sentry-trace, X-Requested-With")]
    allowed = server.ask("OPTIONS", CLASSIFY, headers=asked).get("Access-Control-Allow-Headers").lower().split(", ")
    assert {"content-type", "authorization", "sentry-trace", "x-requested-with"} <= set(allowed)
    exposed = server.ask("POST", CLASSIFY, COFFEE, origin).get("Access-Control-Expose-Headers").split(", ")
    assert {"Location", "Preference-Applied", "ETag", "Retry-After", "Infomask-Verdict", "Server-Timing"} <= set(exposed)
    bad = [*origin, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "a b(c), " + "x" * 5000)]
    assert "(" not in server.ask("OPTIONS", CLASSIFY, headers=bad).get("Access-Control-Allow-Headers")


def test_the_whole_photo_and_the_crop_are_named(server):
    answer = server.ask("POST", "/v1/mask?format=png", COFFEE)
    told = server.ask("POST", "/v1/mask", COFFEE).json
    assert float(answer.get("Infomask-Pmi")) == pytest.approx(told["target"]["pmi"], abs=1e-5)
    assert float(answer.get("Infomask-Map-Pmi")) == pytest.approx(told["map"]["pmi"], abs=1e-5)
    assert abs(told["map"]["pmi"] - told["target"]["pmi"]) > 0.5


def test_who_awaits_only_problems_is_answered(server):
    """A generated client names the types of the bodies it knows: of a deletion, which has none, only that of refusals."""
    made = server.ask("POST", "/v1/estimates", b"{}", JSON).json["id"]
    assert server.ask("DELETE", f"/v1/estimates/{made}", headers=[("Accept", "application/problem+json")]).status == 204
    assert server.ask("POST", CLASSIFY, COFFEE, [("Accept", "text/html")]).status == 406


def test_the_nearest_parameter(server):
    assert "did you mean threshold?" in server.ask("POST", "/v1/mask?treshold=otsu", COFFEE).json["detail"]
    assert "did you mean" not in server.ask("POST", "/v1/mask?nonsense=otsu", COFFEE).json["detail"]
