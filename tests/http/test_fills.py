"""Fills over HTTP: the default and what the reply says of it, its seed, and what comes where it cannot be."""
import base64
import io

import numpy as np
from PIL import Image

from conftest import ROOT, encode
from wire import form

PHOTO = ROOT / "tests" / "data" / "photos" / "rocket.jpg"
SIZE = (640, 427)


def filtered(server, box, query="", **fields):
    mask = np.zeros(SIZE[::-1], np.uint8)
    x, y, width, height = box
    mask[y:y + height, x:x + width] = 255
    headers, body = form([("image", "rocket.jpg", PHOTO.read_bytes()), ("mask", "mask.png", encode(Image.fromarray(mask))),
                          *fields.items()])
    return server.ask("POST", "/v1/filter?" + query, body, headers)


def picture(reply):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(reply.json["image"]))).convert("RGB"))


ROCKET = (290, 100, 60, 327)


def test_match_is_the_default_and_its_seed_is_heard(server):
    first, again = (filtered(server, ROCKET, "format=json") for _ in range(2))
    named, other = (filtered(server, ROCKET, "format=json", fill="match", fill_seed=seed) for seed in ("0", "7"))
    assert (first.json["fill"], first.json["fill_reason"], first.json["fill_seed"]) == ("match", None, 0)
    assert np.array_equal(picture(first), picture(again)) and np.array_equal(picture(first), picture(named))
    assert other.json["fill_seed"] == 7 and not np.array_equal(picture(first), picture(other))
    assert filtered(server, ROCKET).get("Infomask-Fill") == "match"


def test_over_half_of_the_photo_is_diffused_with_the_reason(server):
    answer = filtered(server, (0, 0, 400, 427), "format=json").json
    assert answer["fill"] == "diffuse" and "half" in answer["fill_reason"]
    wished = filtered(server, (0, 0, 400, 427), "format=json&fill=inpaint").json
    assert (wished["fill"], wished["fill_reason"]) == ("inpaint", None)


def test_a_models_folder_names_its_own(server):
    assert filtered(server, ROCKET, "format=json&model=digits").json["fill"] == "inpaint"
    assert filtered(server, ROCKET, "format=json&model=digits&fill=%23a0B0c0").json["fill"] == "#a0b0c0"


def test_what_is_filled_looks_like_the_sky_around_it(server):
    """Where the rocket stood against the sky: nothing as bright as it was, and the sky's own grain."""
    got, photo = picture(filtered(server, ROCKET, "format=json", fill="match")), np.asarray(Image.open(PHOTO).convert("RGB"))
    sky, place, was = (a[130:250, x:x + 50].astype(float) for a, x in ((photo, 220), (got, 295), (photo, 295)))
    assert abs(place.mean() - sky.mean()) < 12 and was.max() > place.max() + 40
    grain = [np.abs(np.diff(a, axis=1)).mean() for a in (sky, place)]
    assert .4 < grain[1] / grain[0] < 2.5


def test_a_cut_out_is_transparent_around_the_target_with_a_soft_edge(server):
    reply = filtered(server, ROCKET, "mode=cutout")
    got, photo = np.asarray(Image.open(io.BytesIO(reply.body))), np.asarray(Image.open(PHOTO).convert("RGB"))
    alpha = got[..., 3]
    assert reply.get("Infomask-Fill") == "transparent" and reply.get("Infomask-Verdict") == "null"
    assert (alpha[150:400, 300:340] > 240).mean() > .9 and not alpha[:, :250].any() and not got[alpha == 0].any()
    assert ((alpha > 10) & (alpha < 245)).sum() > 200 and np.array_equal(got[alpha == 255][:, :3], photo[alpha == 255])
    assert filtered(server, ROCKET, "mode=cutout&format=jpeg").status == 400
