"""What a filtered photo is, seen from outside: what stays, what goes, and when removal is complete."""
import base64
import io

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


@pytest.mark.parametrize("fill", ["inpaint", "diffuse", "blur", "mean", "pixelate", "transparent", "#10ff80"])
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
    assert hard["verification"]["passes"] == 2 and hard["verification"]["area"] > easy["verification"]["area"] - 1e-9


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
