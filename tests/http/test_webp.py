"""Pictures as WebP: by Accept with its weights, and by format=webp."""
import io
import time

import numpy
import pytest
from PIL import Image, ImageCms

from bombs import webp_of_transforms
from conftest import ROOT, SLOW
from wire import form

COFFEE = (ROOT / "server/web/photos/coffee.jpg").read_bytes()
FAST = "quality=fast&fill=mean"


def opened(answer, form="WEBP"):
    assert answer.status == 200, answer.body
    picture = Image.open(io.BytesIO(answer.body))
    assert picture.format == form and picture.size == (600, 400)
    return picture


@pytest.mark.parametrize("route, accept, kind", [
    ("mask", "image/webp", "image/webp"), ("mask", "image/webp, application/json;q=0.9", "image/webp"),
    ("mask", "image/webp;q=0.5, image/png;q=0.6", "image/png"), ("mask", "image/*;q=0.5, image/webp", "image/webp"),
    ("mask", "image/webp;q=0, image/*", "image/png"), ("mask", "image/*", "image/png"), ("mask", "*/*", "application/json"),
    ("filter", "image/webp", "image/webp"), ("filter", "image/webp;q=0.9, image/jpeg;q=0.8", "image/webp"),
    ("filter", "image/avif,image/webp,image/*;q=0.8,*/*;q=0.5", "image/webp"), ("filter", "image/*", "image/png"),
    ("filter", "image/png;q=0, image/jpeg;q=0, image/*;q=0.1", "image/webp"), ("filter", "*/*", "image/png")])
def test_accept(server, route, accept, kind):
    answer = server.ask("POST", f"/v1/{route}?{FAST if route == 'filter' else 'quality=fast'}", COFFEE, [("Accept", accept)])
    assert answer.status == 200 and answer.get("Content-Type") == kind
    assert "Accept" in answer.get("Vary")


@pytest.mark.parametrize("route, accept", [("mask", "image/jpeg"), ("mask", "image/webp;q=0"), ("filter", "image/webp;q=0, image/gif")])
def test_not_acceptable(server, route, accept):
    answer = server.ask("POST", f"/v1/{route}", COFFEE, [("Accept", accept)])
    assert answer.status == 406 and "image/webp" in answer.json["detail"] and " or " in answer.json["detail"]


def test_a_mask_is_lossless(server):
    webp = opened(server.ask("POST", "/v1/mask?quality=fast&format=webp", COFFEE))
    png = opened(server.ask("POST", "/v1/mask?quality=fast&format=png", COFFEE), "PNG")
    assert numpy.array_equal(numpy.asarray(webp.convert("L")), numpy.asarray(png.convert("L")))


def test_an_overlay(server):
    answer = server.ask("POST", "/v1/mask?quality=fast&output=overlay", COFFEE, [("Accept", "image/webp")])
    webp = numpy.asarray(opened(answer).convert("RGB"), dtype=float)
    png_answer = server.ask("POST", "/v1/mask?quality=fast&output=overlay&format=png", COFFEE)
    png = numpy.asarray(opened(png_answer, "PNG").convert("RGB"), dtype=float)
    assert numpy.sqrt(((webp - png) ** 2).mean()) < 6 and len(answer.body) < len(png_answer.body) / 4
    assert answer.get("Content-Disposition") == 'inline; filename="photo-overlay.webp"'


@pytest.mark.parametrize("output", ["map", "saliency"])
def test_sixteen_bits_need_png(server, output):
    answer = server.ask("POST", f"/v1/mask?quality=fast&format=webp&output={output}", COFFEE)
    assert answer.status == 400 and answer.json["code"] == "bad_parameter" and "16 bits" in answer.json["detail"]
    answer = server.ask("POST", f"/v1/mask?quality=fast&output={output}", COFFEE, [("Accept", "image/webp, image/png;q=0.1")])
    assert answer.get("Content-Type") == "image/png"
    assert server.ask("POST", f"/v1/mask?output={output}", COFFEE, [("Accept", "image/webp")]).status == 406


def test_a_filtered_photo_is_verified_as_it_is(server):
    """The nats left are those of the lossy bytes."""
    answer = server.ask("POST", f"/v1/filter?{FAST}&format=webp", COFFEE)
    opened(answer)
    asked = server.ask("POST", "/v1/classify?target=espresso", answer.body).json["target"]["pmi"]
    assert float(answer.get("Infomask-Pmi-After")) == pytest.approx(asked, abs=1e-5)


def test_a_cut_out_is_transparent(server):
    webp = opened(server.ask("POST", "/v1/filter?quality=fast&mode=cutout", COFFEE, [("Accept", "image/webp")]))
    png = opened(server.ask("POST", "/v1/filter?quality=fast&mode=cutout", COFFEE), "PNG")
    assert webp.mode == "RGBA" and numpy.array_equal(numpy.asarray(webp)[:, :, 3], numpy.asarray(png)[:, :, 3])
    assert server.ask("POST", "/v1/filter?quality=fast&fill=transparent&format=webp", COFFEE).status == 200


def test_the_colour_profile_goes_along(server):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    out = io.BytesIO()
    Image.open(io.BytesIO(COFFEE)).convert("RGB").save(out, "JPEG", icc_profile=profile)
    picture = opened(server.ask("POST", f"/v1/filter?{FAST}&format=webp", out.getvalue()))
    assert picture.info["icc_profile"] == profile


def test_several_as_parts(server):
    import email
    kind, body = form([("image", "a.png", COFFEE), ("image", "b.png", COFFEE)])
    answer = server.ask("POST", "/v1/mask?quality=fast&format=webp", body, [*kind, ("Accept", "multipart/mixed")])
    message = email.message_from_bytes(b"Content-Type: " + answer.get("Content-Type").encode() + b"\r\n\r\n" + answer.body)
    parts = message.get_payload()
    assert [part.get_content_type() for part in parts] == ["image/webp", "image/webp"]
    assert parts[0].get_payload(decode=True)[8:12] == b"WEBP"


def test_each_form_is_kept_apart(make_server):
    """The cache of answers knows them by what was accepted."""
    from conftest import PATIENT
    server = make_server(*PATIENT, "--cache", 10_000_000)
    kinds = ["image/webp", "image/png", "application/json"]
    for _ in range(2):
        assert [server.ask("POST", "/v1/mask?quality=fast", COFFEE, [("Accept", kind)]).get("Content-Type") for kind in kinds] == kinds


def test_a_file_that_is_all_transforms(server):
    """The decoder is fed in portions, and begins again with each until it has reached the pixels."""
    photo = webp_of_transforms(8192, 2048)
    began = time.process_time()
    assert Image.open(io.BytesIO(photo)).convert("RGB").getextrema() is not None
    theirs, before = time.process_time() - began, server.cpu()
    answer = server.ask("POST", "/v1/classify?model=digits", photo)
    assert answer.status == 200, answer.body
    assert server.cpu() - before < (6 * theirs + 0.2) * SLOW
