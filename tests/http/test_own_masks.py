"""Masks of one's own: the field `mask` of /v1/filter and /v1/analyze."""
import base64
import io

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT, encode
from wire import form

COFFEE = ROOT / "tests" / "data" / "photos" / "coffee.png"


def picture(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def mask_of(box, size=(600, 400), value=255, mode="L"):
    mask = np.zeros(size[::-1], np.uint16 if mode == "I;16" else np.uint8)  # of 16 bits: numbers of objects, say
    x, y, width, height = box
    mask[y:y + height, x:x + width] = value
    return encode(Image.fromarray(mask).convert(mode))


CUP = (100, 60, 400, 330)  # most of it, without the rim of cup and saucer
SAUCER = (65, 12, 425, 388)


def filtered(server, mask, path="/v1/filter?format=json&model=digits", photo=None, **fields):
    headers, body = form([("image", "coffee.png", photo or COFFEE.read_bytes()), ("mask", "mask.png", mask),
                          *fields.items()])
    return server.ask("POST", path, body, headers)


@pytest.mark.parametrize("value, mode", [(255, "L"), (1, "L"), (255, "RGB"), (255, "1"), (1, "I;16"), (300, "I;16")])
def test_it_is_taken_as_it_is(server, value, mode):
    answer = filtered(server, mask_of(CUP, value=value, mode=mode), fill="#102030").json
    mask, got = picture(base64.b64decode(answer["mask"]["png"])) > 0, picture(base64.b64decode(answer["image"]))
    photo = picture(COFFEE.read_bytes())
    assert np.array_equal(mask, picture(mask_of(CUP)) > 0) and answer["mask"]["rule"] == "given"
    assert answer["mask"]["threshold"] is None and abs(answer["mask"]["area"] - mask.mean()) < 1e-9
    assert (got[mask] == [0x10, 0x20, 0x30]).all() and np.array_equal(got[~mask], photo[~mask])
    assert answer["verification"]["passes"] == 1 and answer["verification"]["area"] == answer["mask"]["area"]


@pytest.mark.parametrize("form, quality", [("JPEG", 75), ("JPEG", 90), ("WEBP", 80)])
def test_what_jpeg_leaves_around_an_edge_is_not_taken(server, form, quality):
    """Up to 36 of 255 where there was black, in a hundredth of the pixels."""
    y, x = np.mgrid[:400, :600]
    drawn = ((y - 200) / 120) ** 2 + ((x - 300) / 170) ** 2 < 1
    stream = io.BytesIO()
    Image.fromarray(np.uint8(drawn) * 255).save(stream, form, quality=quality)
    got = picture(stream.getvalue()).reshape(400, 600, -1).max(2)
    assert (got[~drawn] > 0).mean() > (.009 if form == "JPEG" else .002)
    mask = picture(base64.b64decode(filtered(server, stream.getvalue(), fill="mean").json["mask"]["png"])) > 0
    assert np.array_equal(mask, got >= 32) and (mask & ~drawn).mean() < 3e-5 and mask[drawn].all()


def test_a_lossless_webp_is_taken_from_1_on(server):
    stream = io.BytesIO()
    Image.open(io.BytesIO(mask_of(CUP, value=1))).convert("RGB").save(stream, "WEBP", lossless=True)
    mask = picture(base64.b64decode(filtered(server, stream.getvalue(), fill="mean").json["mask"]["png"])) > 0
    assert np.array_equal(mask, picture(mask_of(CUP)) > 0)


def test_dilate_and_feather_work_and_no_area_is_too_large(server):
    wide = filtered(server, mask_of(CUP), dilate="5", feather="3").json["verification"]["area"]
    all_of_it = filtered(server, mask_of((0, 0, 600, 400)), max_area=".2", fill="mean").json["verification"]
    assert CUP[2] * CUP[3] / 240000 + .03 < wide < .75 and all_of_it["area"] == 1 and all_of_it["context_pmi_after"] is None


def test_an_empty_one_leaves_the_photo_as_it_is(server):
    answer = filtered(server, mask_of((0, 0, 0, 0))).json
    assert np.array_equal(picture(base64.b64decode(answer["image"])), picture(COFFEE.read_bytes()))
    assert answer["verification"]["verdict"] is None and answer["verification"]["passes"] == 0


def test_one_of_all_of_the_photo_has_nothing_beside_it_to_speak_of(server):
    path = "/v1/filter?format=json&model=efficientnet-lite0&target=967"
    check = filtered(server, mask_of((0, 0, 600, 400)), path).json["verification"]
    assert check["verdict"] == "removed" and check["context_pmi_after"] is None
    assert check["reason"] == ('the place says no more of "espresso" than a guess: '
                               f'{check["region_pmi_after"]:.1f} nats; too little is beside it to ask')


def test_its_size_is_the_photos_as_shown(server):
    photo = Image.open(COFFEE)
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    photo.save(stream, "JPEG", exif=exif)
    turned = stream.getvalue()
    response = filtered(server, mask_of(CUP), photo=turned)
    assert (response.status, response.json["code"]) == (422, "bad_mask")
    assert "600 x 400" in response.json["detail"] and "400 x 600" in response.json["detail"]
    assert filtered(server, mask_of((10, 20, 30, 40), (400, 600)), photo=turned).json["mask"]["objects"][0]["box"] == [
        10, 20, 30, 40]
    assert filtered(server, b"no picture").json["code"] == "bad_mask"


@pytest.mark.parametrize("name, value", [("quality", "fast"), ("threshold", "otsu"), ("refine", "true"),
                                         ("min_evidence", "0"), ("until", "1"), ("max_passes", "1"),
                                         ("shadow", "true")])
def test_what_says_how_a_mask_is_made_cannot_stand_beside_it(server, name, value):
    response = filtered(server, mask_of(CUP), **{name: value})
    assert (response.status, response.json["code"]) == (400, "bad_parameter") and name in response.json["detail"]


def test_analyze_takes_it_and_mask_does_not(server):
    answer = filtered(server, mask_of(CUP), "/v1/analyze?include=mask,saliency,image&model=digits").json
    assert answer["mask"]["rule"] == "given" and "image" in answer["pictures"]
    assert picture(base64.b64decode(answer["pictures"]["saliency"])).shape == (400, 600)
    headers, body = form([("image", COFFEE.read_bytes()), ("mask", "1")])
    assert server.ask("POST", "/v1/mask", body, headers).json["code"] == "bad_parameter"


def test_the_cache_tells_masks_apart(make_server):
    cached = make_server("--cache", "64M", "--model", "digits")
    states = [filtered(cached, mask_of(box)).get("Infomask-Cache") for box in (CUP, (0, 0, 9, 9), CUP)]
    assert states == ["miss", "miss", "hit"]


def test_two_masks_are_refused(server):
    headers, body = form([("image", COFFEE.read_bytes()), ("mask", "a", mask_of(CUP)), ("mask", "b", mask_of(CUP))])
    assert server.ask("POST", "/v1/filter", body, headers).status == 400


def test_a_verdict_of_a_right_and_of_a_wrong_one(server):
    right = filtered(server, mask_of(SAUCER), "/v1/filter?format=json", target="espresso").json["verification"]
    wrong = filtered(server, mask_of((520, 0, 80, 400)), "/v1/filter?format=json", target="espresso").json["verification"]
    assert right["complete"] and not wrong["complete"] and wrong["verdict"] != "removed"
    assert wrong["still_tells"]["outside"][0]["information"] > 0


def test_a_mask_of_scattered_pixels_destroys_the_photo_and_removes_nothing(server):
    photo = ROOT / "tests" / "data" / "photos" / "rocket.jpg"
    width, height = Image.open(photo).size
    specks = np.random.default_rng(3).random((height, width)) < .2
    check = filtered(server, encode(Image.fromarray(specks)), "/v1/filter?format=json&model=efficientnet-lite0",
                     photo=photo.read_bytes(), target="matchstick", fill="mean").json["verification"]
    assert check["verdict"] == "weakened" and "scattered over the photo" in check["reason"]
    # every other condition is met
    assert check["pmi_after"] < check["pmi_before"] / 2 and check["rank_after"] > 1
    assert abs(check["region_pmi_after"] - check["context_pmi_after"]) < .1


def test_what_is_left_around_a_mask_may_not_go_on_telling(server):
    photo = ROOT / "tests" / "data" / "photos" / "chelsea.png"
    width, height = Image.open(photo).size
    check = filtered(server, mask_of((25, 25, width - 50, height - 50), (width, height)),
                     "/v1/filter?format=json&model=efficientnet-lite0", photo=photo.read_bytes(),
                     target="tiger cat", fill="diffuse").json["verification"]
    assert check["verdict"] == "weakened" and 'the rest of the photo still says "tiger cat"' in check["reason"]
    assert check["context_pmi_after"] > .6 * check["pmi_before"] and check["pmi_after"] < check["pmi_before"] / 2
    assert check["region_pmi_after"] < check["context_pmi_after"]
