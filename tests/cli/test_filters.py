"""What a filtered photo is, seen from outside: what stays, what goes, and when removal is complete."""
import base64
import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms


def png(data):
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    image.load()
    return image


@pytest.fixture
def filtered(infomask, coffee):
    """filtered(*arguments) -> the answer of the coffee's filtering."""
    return lambda *arguments: infomask("filter", "--quality=fast", "--format=json", *arguments, coffee).json


@pytest.mark.parametrize("fill", ["match", "inpaint", "diffuse", "blur", "mean", "pixelate", "transparent", "#10ff80"])
def test_every_pixel_outside_the_mask_is_the_photos(filtered, coffee, fill):
    answer = filtered("--dilate=0", "--fill", fill)
    image, mask = png(answer["image"]), np.asarray(png(answer["mask"]["png"])) > 0
    got, photo = np.asarray(image), np.asarray(Image.open(coffee).convert("RGB"))
    assert np.array_equal(got[~mask][:, :3], photo[~mask]) and (got[mask][:, :3] != photo[mask]).any(-1).mean() > .9
    if fill == "transparent":
        assert image.mode == "RGBA" and not got[mask].any() and (got[~mask][:, 3] == 255).all()
    if fill.startswith("#"):
        assert (got[mask] == [0x10, 0xff, 0x80]).all()
    check = answer["verification"]
    assert check["pmi_after"] < check["random_area_pmi_after"] and abs(check["area"] - mask.mean()) < 1e-9


def test_keeping_fills_all_but_the_target(filtered, coffee):
    answer = filtered("--mode=keep", "--dilate=0", "--fill=#000000")
    got, mask = np.asarray(png(answer["image"])), np.asarray(png(answer["mask"]["png"])) > 0
    photo = np.asarray(Image.open(coffee).convert("RGB"))
    assert not got[~mask].any() and np.array_equal(got[mask], photo[mask])
    assert answer["verification"]["pmi_after"] > answer["verification"]["random_area_pmi_after"]


def test_complete_means_that_the_limit_was_reached(filtered):
    easy, hard = filtered("--until=3"), filtered("--until=-6", "--max-passes=2", "--max-area=1")
    assert easy["verification"]["complete"] and easy["verification"]["pmi_after"] <= 3
    assert not hard["verification"]["complete"] and hard["verification"]["pmi_after"] > -6
    first, second = hard["verification"]["rounds"]  # the better one is returned, the second one tried more
    assert hard["verification"]["passes"] == 2 and second["area"] > first["area"]


@pytest.mark.parametrize("most", [0, .1])
def test_no_more_than_the_largest_area_is_removed(filtered, most):
    answer = filtered("--until=-6", "--max-area", most)
    assert (answer["verification"]["area"] > 0) == (most > 0) and answer["verification"]["area"] <= most
    assert not answer["verification"]["complete"]


def test_what_is_not_there_leaves_the_photo_as_it_is(filtered, coffee):
    answer = filtered("--target=281")
    assert np.array_equal(np.asarray(png(answer["image"])), np.asarray(Image.open(coffee).convert("RGB")))
    assert answer["mask"]["empty"] and answer["verification"]["passes"] == 0 and answer["verification"]["area"] == 0


def test_alpha_and_the_profile_are_kept(infomask, coffee, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = np.asarray(Image.open(coffee).convert("RGBA")).copy()
    photo[:100, :, 3] = 40
    Image.fromarray(photo).save(tmp_path / "in.png", icc_profile=profile)
    for name, mode in (("out.png", "RGBA"), ("out.jpg", "RGB")):
        assert infomask("filter", "-q", "--quality=fast", "in.png", "-o", name).code == 0
        image = Image.open(tmp_path / name)
        assert image.mode == mode and image.info["icc_profile"] == profile
    assert tuple(np.asarray(Image.open(tmp_path / "out.png"))[5, 5]) == tuple(photo[5, 5])


def test_a_verdict_has_its_reason_and_its_rounds(filtered):
    for answer in filtered(), filtered("--max-area=.1", "--units=bits"):
        check = answer["verification"]
        rounds = check["rounds"]
        assert len(rounds) == check["passes"] and [r["round"] for r in rounds] == list(range(1, len(rounds) + 1))
        best, = (r for r in rounds if r["returned"])
        for name in ("verdict", "reason", "area", "pmi_after", "map_pmi_after", "region_pmi_after", "context_pmi_after",
                     "largest_window_pmi_after", "rank_after"):
            assert best[name] == check[name]
        assert check["complete"] == (check["verdict"] == "removed") and answer["units"] in check["reason"]
        assert (check["still_tells"] is None) == check["complete"]
        unit = np.log(2) if answer["units"] == "bits" else 1
        removed = (check["region_pmi_after"] * unit <= max(0, check["context_pmi_after"] * unit) + .5
                   and check["pmi_after"] * unit <= max(0, check["context_pmi_after"] * unit) + 1
                   and check["largest_window_pmi_after"] * unit <= max(0, check["context_pmi_after"] * unit)
                   + max(.75 * .29 * np.log(1000), check["pmi_before"] * unit / 4)
                   and check["pmi_after"] <= check["pmi_before"] / 2 and check["rank_after"] > 1)
        assert removed == check["complete"]
    cells = check["still_tells"]["outside"]  # of a tenth where half is needed
    assert not removed and len(cells) == 3 and cells[0]["information"] >= cells[1]["information"] > 0
    x, y, width, height = cells[0]["box"]
    assert 0 <= x < x + width <= 600 and 0 <= y < y + height <= 400 and width > 600 // answer["map"]["columns"] - 1
    assert abs(x + width / 2 - (cells[0]["column"] + .5) * 600 / answer["map"]["columns"]) <= 1


def test_the_second_round_may_be_the_best_and_is_judged_as_it_is_returned(infomask, rocket, tmp_path):
    """Later rounds are looked at on a preview; what is said of the one that is returned is said of its bytes."""
    answer = infomask("filter", "--format=json", "--until=-6", rocket).json
    check = answer["verification"]
    assert check["rounds"][1]["returned"]
    assert [r["preview"] for r in check["rounds"]] == [False, False, True]  # the third was worse on its small copy
    (tmp_path / "returned.png").write_bytes(base64.b64decode(answer["image"]))
    again = infomask("classify", "--target", answer["target"]["label"], "returned.png").json
    assert abs(again["target"]["pmi"] - check["pmi_after"]) < 1e-9
    assert abs(again["target"]["probability"] / check["probability_after"] - 1) < 1e-9


def test_what_is_left_and_larger_than_max_area_is_taken_as_far_as_there_is_room(infomask, rocket):
    """The most salient of it first; where nothing is left to take, the mask's rim alone."""
    check = infomask("filter", "--format=json", "--max-area=.3", rocket).json["verification"]
    areas = [r["area"] for r in check["rounds"]]
    assert check["passes"] >= 2 and areas == sorted(areas) and areas[1] > .2 and areas[-1] <= .3
    tight = infomask("filter", "--format=json", f"--max-area={areas[0] + .005}", rocket).json["verification"]
    assert tight["passes"] == 1  # no room that is worth a round


@pytest.mark.parametrize("options", [["--dilate=100"], ["--max-area=.002"], ["--max-area=0"]])
def test_without_room_for_any_mask_the_reason_is_the_limit_and_not_that_nothing_is_there(infomask, rocket, options):
    answer = infomask("filter", "--format=json", *options, rocket).json
    check = answer["verification"]
    assert check["verdict"] is None and not check["complete"] and check["area"] == 0 and answer["mask"]["empty"]
    assert check["pmi_after"] == check["pmi_before"] > 2
    share = float(re.fullmatch(r"max_area leaves no room: the smallest part of the mask takes (\S+) % of the photo "
                               "once it is grown by dilate", check["reason"]).group(1))
    assert share / 100 > float(dict(o[2:].split("=") for o in options).get("max-area", .6))
    if "--max-area" in options[0]:  # so much is enough
        room = infomask("filter", "--format=json", f"--max-area={share / 100 * 1.01}", rocket).json["verification"]
        assert room["verdict"] and share / 100 * .99 < room["area"] < share / 100 * 1.01


@pytest.mark.parametrize("rule", ["share:1", "nats:0"])
def test_of_a_rule_that_takes_every_cell_max_area_leaves_the_best_part(infomask, coffee, rule):
    """All seeds are alike then: none was more salient than another, and max_area was said to leave no room."""
    whole = infomask("mask", "--format=json", f"--threshold={rule}", coffee).json["mask"]
    assert whole["area"] == 1
    best = infomask("filter", "--format=json", "--fill=inpaint", "--max-passes=1", "--max-area=.3", f"--threshold={rule}", coffee).json
    assert .1 < best["verification"]["area"] <= .3 and best["verification"]["pmi_after"] < best["verification"]["pmi_before"]


def test_in_doubt_the_picture_is_looked_at_in_two_more_passes(infomask, coffee, tmp_path):
    Image.open(coffee).convert("RGB").save(tmp_path / "in.jpg", quality=60)
    answer = infomask("filter", "--format=json", "in.jpg").json
    check = answer["verification"]
    assert check["rounds"][0]["looks"] == check["looks"] == 3
    (tmp_path / "returned.png").write_bytes(base64.b64decode(answer["image"]))
    side = np.sqrt(352 * 544)  # of the usual pass
    looks = [infomask("mask", "--format=json", f"--resolution={round(side * scale)}", "--min-evidence=0", "--target",
                      answer["target"]["label"], "returned.png").json["map"]["largest_window_pmi"] for scale in (1, 7 / 8, 8 / 7)]
    assert max(looks) - min(looks) > .1 and abs(np.mean(looks) - check["largest_window_pmi_after"]) < 1e-5


def test_there_is_no_verdict_on_what_was_not_there_or_stays(filtered):
    absent, kept = filtered("--target=281")["verification"], filtered("--mode=keep")["verification"]
    assert absent["verdict"] is None and absent["reason"] == "nothing to remove" and not absent["complete"]
    assert kept["verdict"] is None and not kept["complete"] and kept["passes"] == 1
    assert kept["reason"] == "the target was to be kept: nothing to judge"
    for mode in ("keep", "cutout"):
        nothing = filtered("--target=281", f"--mode={mode}")
        assert nothing["mask"]["empty"] and re.fullmatch(
            r'nothing of "tabby" is masked: the photo is as it was \(no place says more than -?\d\.\d nats of it, a mask needs 2\.0\)',
            nothing["verification"]["reason"])


@pytest.mark.parametrize("arguments, code", [((), 0), (("--require=removed",), 0), (("--max-area=.02",), 0),
                                             (("--max-area=.02", "--require=removed"), 3),
                                             (("--target=281", "--require", "weakened"), 3), (("--require=all",), 2)])
def test_the_exit_code_is_the_verdicts_only_where_that_is_asked_for(infomask, coffee, arguments, code):
    assert infomask("filter", coffee, "-o", "out.png", *arguments).code == code


def test_only_filter_requires_a_verdict(infomask, coffee):
    assert infomask("mask", "--require=removed", coffee).code == 2


def test_a_rim_that_goes_over_the_area_takes_from_the_mask_what_it_must(infomask, coffee):
    """With 12 pixels around it the mask is over 60 % of the photo; it used to be trimmed away whole."""
    check = infomask("filter", "--format=json", "--dilate=12", "--max-passes=1", coffee).json["verification"]
    assert .4 < check["area"] <= .6 and check["verdict"] is not None


def test_a_mask_of_ones_own(infomask, coffee, tmp_path):
    mask = np.zeros((400, 600), np.uint8)
    mask[15:395, 65:500] = 9  # cup and saucer
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(mask[:, :-1]).save(tmp_path / "narrow.png")
    answer = infomask("filter", "--format=json", "--mask=mask.png", coffee).json
    assert np.array_equal(np.asarray(png(answer["mask"]["png"])) > 0, mask > 0) and answer["verification"]["complete"]
    narrow = infomask("filter", "--format=json", "--mask=narrow.png", coffee)
    assert narrow.code == 1 and "599 x 400" in narrow.err and "600 x 400" in narrow.err
    assert infomask("filter", "--mask=mask.png", coffee, coffee, "-o", "out").code == 2
    refused = infomask("filter", "--mask=mask.png", "--quality=fast", coffee, "-o", "out.png")
    assert refused.code == 2 and "quality" in refused.err
    assert infomask("filter", "--mask=none.png", coffee, "-o", "out.png").code == 1


SRGB = ((.3127, .329), (.64, .33), (.3, .6), (.15, .06))
ADOBE = ((.3127, .329), (.64, .33), (.21, .71), (.15, .06))
WIDE = ((.34567, .3585), (.7347, .2653), (.1596, .8404), (.0366, .0001))  # ProPhoto's, under D50


def shown(rgb, gamma, primaries):
    """sRGB of what gAMA and cHRM say: the definition in numbers, and Bradford's adaptation."""
    cone = np.array([[.8951, .2664, -.1614], [-.7502, 1.7135, .0367], [.0389, -.0685, 1.0296]])

    def to_d65(xy):
        white, *columns = [np.array([x / y, 1, (1 - x - y) / y]) for x, y in xy]
        matrix = np.stack(columns, 1)
        gain = (cone @ [.3127 / .329, 1, (1 - .3127 - .329) / .329]) / (cone @ white)
        return np.linalg.inv(cone) @ np.diag(gain) @ cone @ (matrix * np.linalg.solve(matrix, white))

    linear = np.clip((rgb / 255) ** gamma @ to_d65(primaries).T @ np.linalg.inv(to_d65(SRGB)).T, 0, 1)
    return 255 * np.where(linear <= .0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - .055)


def with_chunks(photo, *chunks):
    stream = io.BytesIO()
    photo.save(stream, "PNG")
    data = stream.getvalue()
    parts = (struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks)
    return data[:33] + b"".join(parts) + data[33:]


@pytest.mark.parametrize("gamma, primaries", [(100000, SRGB), (55556, SRGB), (45455, ADOBE), (55556, WIDE)])
@pytest.mark.parametrize("form", ["png", "jpg", "webp"])
def test_a_photo_looks_as_its_gamma_and_primaries_say(infomask, coffee, tmp_path, gamma, primaries, form):
    """They were lost: what was kept had its bytes, and another look.  LittleCMS reads the profile that says the same."""
    chunks = [(b"gAMA", struct.pack(">I", gamma)), (b"cHRM", struct.pack(">8I", *(round(1e5 * v) for xy in primaries for v in xy)))]
    (tmp_path / "in.png").write_bytes(with_chunks(Image.open(coffee).convert("RGB").resize((300, 200)), *chunks))
    assert infomask("filter", "--quality=fast", "--fill=mean", "--max-passes=1", "in.png", "-o", f"out.{form}").code == 0
    out = Image.open(tmp_path / f"out.{form}")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(out.info["icc_profile"]))
    got = ImageCms.profileToProfile(out.convert("RGB"), profile, ImageCms.createProfile("sRGB"), renderingIntent=1)
    assert np.abs(np.asarray(got) - shown(np.asarray(out.convert("RGB")), 1e5 / gamma, primaries)).max() < 1.5


@pytest.mark.parametrize("chunks", [[(b"gAMA", struct.pack(">I", 45455))], [(b"gAMA", struct.pack(">I", 100000)), (b"sRGB", b"\0")],
                                    [(b"gAMA", bytes(4))], [(b"gAMA", struct.pack(">I", 55556)), (b"cHRM", bytes(32))],
                                    [(b"gAMA", b"\xff" * 4)], [(b"gAMA", struct.pack(">I", 55556)), (b"cHRM", b"\x7f" * 32)]])
def test_what_is_srgb_or_says_nothing_gets_no_profile(infomask, coffee, tmp_path, chunks):
    (tmp_path / "in.png").write_bytes(with_chunks(Image.open(coffee).convert("RGB").resize((60, 40)), *chunks))
    assert infomask("filter", "--quality=fast", "--fill=mean", "--max-passes=1", "in.png", "-o", "out.png").code == 0
    assert "icc_profile" not in Image.open(tmp_path / "out.png").info
