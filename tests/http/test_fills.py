"""Fills over HTTP: the default and what the reply says of it, its seed, and what comes where it cannot be."""
import base64
import io

import numpy as np
import pytest
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


def test_well_over_half_of_the_photo_is_diffused_with_the_reason(server):
    answer = filtered(server, (0, 0, 400, 427), "format=json").json
    assert answer["fill"] == "diffuse" and "half" in answer["fill_reason"]
    assert filtered(server, (0, 0, 360, 427), "format=json").json["fill"] == "match"
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


def test_a_cut_out_is_trimmed_to_its_box(server):
    whole, reply = filtered(server, ROCKET, "mode=cutout"), filtered(server, ROCKET, "mode=cutout&trim=true")
    got, all_of_it = (np.asarray(Image.open(io.BytesIO(r.body))) for r in (reply, whole))
    x, y, width, height = map(int, reply.get("Infomask-Box").split(","))
    seen = np.argwhere(all_of_it[..., 3])
    assert (y, x) == tuple(seen.min(0)) and (y + height - 1, x + width - 1) == tuple(seen.max(0))
    assert whole.get("Infomask-Box") is None and np.array_equal(got, all_of_it[y:y + height, x:x + width])
    answer = filtered(server, ROCKET, "mode=cutout&trim=true&format=json").json
    assert answer["box"] == [x, y, width, height]
    refused = filtered(server, ROCKET, "trim=true")
    assert refused.status == 400 and "mode=cutout" in refused.json["detail"]


def test_nothing_to_cut_out_is_not_trimmed(server):
    reply = filtered(server, (0, 0, 0, 0), "mode=cutout&trim=true")
    assert reply.get("Infomask-Box") == "0,0,640,427" and Image.open(io.BytesIO(reply.body)).size == SIZE


def test_a_soft_cut_out_is_nearer_to_the_truth_than_the_mask(server):
    """A disk of another colour with a known alpha, pasted on the photo: at most half of the hard mask's error is left."""
    photo = np.asarray(Image.open(PHOTO).convert("RGB")).astype(float)
    y, x = np.mgrid[:SIZE[1], :SIZE[0]]
    alpha = np.clip((60 + 1.5 - np.hypot(x - 150, y - 130)) / 3, 0, 1)
    picture = np.uint8(photo * (1 - alpha[..., None]) + np.array([230., 120., 20.]) * alpha[..., None])
    mask = np.uint8(255 * (alpha >= .5))
    headers, body = form([("image", "a.png", encode(Image.fromarray(picture))), ("mask", "m.png", encode(Image.fromarray(mask)))])
    got = np.asarray(Image.open(io.BytesIO(server.ask("POST", "/v1/filter?mode=cutout", body, headers).body)))[..., 3]
    assert np.abs(got / 255 - alpha).sum() < .5 * np.abs(mask / 255 - alpha).sum()


def masked(server, query):
    reply = server.ask("POST", "/v1/mask?format=png&" + query, PHOTO.read_bytes(), [("Content-Type", "image/jpeg")])
    return np.asarray(Image.open(io.BytesIO(reply.body))).astype(int) if reply.status == 200 else reply


def test_the_edge_of_a_mask_is_hard_or_soft(server):
    plain, hard, soft = (masked(server, query) for query in ("", "edge=hard", "edge=soft"))
    assert np.array_equal(plain, hard) and set(np.unique(hard)) == {0, 255}
    assert ((soft > 10) & (soft < 245)).sum() > 200 and np.abs(soft - hard).mean() < 12
    assert masked(server, "edge=softer").status == 400


def test_a_shadow_is_taken_along_only_where_that_is_asked_for(server):
    photo = np.asarray(Image.open(ROOT / "tests" / "data" / "photos" / "coffee.png").convert("RGB"))
    headers = [("Content-Type", "image/png")]
    plain, with_shadow = (np.asarray(Image.open(io.BytesIO(server.ask(
        "POST", "/v1/mask?format=png" + more, encode(Image.fromarray(photo)), headers).body))) for more in ("", "&shadow=true"))
    added = (with_shadow > 0) & (plain == 0)
    assert not ((plain > 0) & (with_shadow == 0)).any() and added.sum() > 500
    assert photo[added].mean() < .6 * photo[plain == 0].mean()
    assert filtered(server, ROCKET, "shadow=true").status == 400


def test_the_dark_line_under_a_cup_goes_with_it(server):
    """By default more of the photo is filled than the mask grown by 7 pixels of 224; what is more is dark."""
    path = ROOT / "tests" / "data" / "photos" / "coffee.png"
    photo = np.asarray(Image.open(path).convert("RGB"))
    whole, grown = (np.asarray(Image.open(io.BytesIO(server.ask(
        "POST", "/v1/filter?format=png&max_passes=1" + more, path.read_bytes(), [("Content-Type", "image/png")]).body)))
        for more in ("", "&dilate=7"))
    added = (whole != photo).any(2) & ~(grown != photo).any(2)
    assert added.sum() > 2000 and np.median(photo[added]) < .5 * np.median(photo)


def sticker(ground):
    """The rocket as it is, on a ground of that alpha (a number, or a value for each column)."""
    photo = np.asarray(Image.open(PHOTO).convert("RGBA")).copy()
    x, y, width, height = ROCKET
    alpha = np.broadcast_to(np.uint8(ground), photo.shape[:2]).copy()
    alpha[y:y + height, x:x + width] = 255
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[y:y + height, x:x + width] = 255
    photo[..., 3] = alpha
    return photo, mask > 0, [("image", "a.png", encode(Image.fromarray(photo))), ("mask", "m.png", encode(Image.fromarray(mask)))]


def filled(server, parts, query):
    headers, body = form(parts)
    reply = server.ask("POST", "/v1/filter?" + query, body, headers)
    assert reply.status == 200
    return np.asarray(Image.open(io.BytesIO(reply.body)))


@pytest.mark.parametrize("fill", ["match", "inpaint", "diffuse", "blur", "mean"])
def test_what_is_filled_on_a_transparent_ground_is_transparent(server, fill):
    """It was an outline of the object in grey."""
    photo, mask, parts = sticker(0)
    got = filled(server, parts, f"format=png&fill={fill}")
    assert got.shape[2] == 4 and got[..., 3].max() == 0 and np.array_equal(got[~mask], photo[~mask])
    assert filled(server, parts, f"format=jpeg&fill={fill}").min() > 250  # on white


def test_a_hole_is_as_transparent_as_what_lies_around_it(server):
    photo, mask, parts = sticker(np.linspace(40, 240, SIZE[0]).round())
    got = filled(server, parts, "format=png")
    assert np.array_equal(got[~mask], photo[~mask])
    assert np.abs(got[mask][:, 3].astype(int) - 140).max() < 25  # 131 at the left of the hole, 149 at its right
    assert (filled(server, parts, "format=png&fill=%23102030")[mask] == [0x10, 0x20, 0x30, 255]).all()
