"""What hands do on the page: brush, pinch, camera, keys, drops, and what is taken along."""
import hashlib
import io
import re
import shutil
import subprocess
import sys

import numpy
import pytest
from PIL import Image
from playwright.sync_api import expect

from conftest import PHOTOS, answered, becomes, choose, file, http_conftest, number, picture, violations

COFFEE = PHOTOS.parents[2] / "server/web/photos/coffee.jpg"


@pytest.fixture
def painted(visit, server):
    """The page with a brush, and a function that gives the mask that was sent last."""
    one = visit()
    one.page.add_init_script("""const send = XMLHttpRequest.prototype.send;
      XMLHttpRequest.prototype.send = function (body) { if (body instanceof FormData) window.sent = body; return send.call(this, body); };""")
    page = one.go(server.url + "/")
    answered(page)

    def mask():
        data = page.evaluate("""async () => { const bytes = new Uint8Array(await window.sent.get("mask").arrayBuffer()); return [...bytes]; }""")
        return numpy.asarray(Image.open(io.BytesIO(bytes(data))).convert("L"))
    return one, mask


def nats_left(page):
    return number(page.locator("#verdict-says").inner_text().split("→")[1])


# ---- Brush -------------------------------------------------------------------------------------------------------------

def stroke(page, start, *path):
    box = page.locator("info-mask .view").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, *path)]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def test_brush_paints_the_nats_drop_and_it_can_be_undone(painted):
    one, sent = painted
    page = one.page
    own_rule = page.locator("#verdict-says").inner_text()
    page.click("#brush")
    page.locator("#brush-size").fill("20")
    with page.expect_response("**/v1/filter?*"):
        stroke(page, (.3, .35), (.45, .5), (.6, .4))
    expect(page.locator("#undo")).to_be_visible()
    answered(page)
    mask = sent()
    assert mask.shape == (400, 600)  # the photo's own size
    assert mask[int(.35 * 400), int(.3 * 600)] == 255 and mask[int(.5 * 400), int(.45 * 600)] == 255 and mask[380, 20] == 0
    assert .04 < (mask > 0).mean() < .5
    before, once = number(page.locator("#verdict-says").inner_text()), nats_left(page)
    assert once < before - .5
    with page.expect_response("**/v1/filter?*"):
        stroke(page, (.3, .6), (.6, .6), (.6, .2), (.4, .2))
    answered(page)
    twice = sent()
    assert (twice >= mask).all() and (twice > 0).sum() > (mask > 0).sum()
    assert nats_left(page) < once
    one.keep("brush")
    with page.expect_response("**/v1/filter?*"):
        page.click("#undo")
    answered(page)
    assert nats_left(page) == once
    with page.expect_response("**/v1/filter?*"):
        page.click("#unpaint")
    answered(page)
    assert page.locator("#verdict-says").inner_text() == own_rule
    expect(page.locator("#undo")).to_be_hidden()


def test_brush_with_keys(painted):
    one, sent = painted
    page = one.page
    page.click("#brush")
    page.locator("info-mask .grid").focus()
    page.keyboard.press("ArrowRight")
    with page.expect_response("**/v1/filter?*"):
        page.keyboard.press("Enter")
    assert 0 < (sent() > 0).mean() < .1
    answered(page)
    expect(page.locator("#undo")).to_be_visible()


# ---- Fingers -----------------------------------------------------------------------------------------------------------

def touch(session, kind, *points):
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]})


def test_pinch_zooms_and_a_finger_moves_the_zoomed_photo(visit, server):
    one = visit(390, 844, has_touch=True, is_mobile=True)
    page = one.go(server.url + "/")
    answered(page)
    pan = page.locator("info-mask .before .pan")
    box = page.locator("info-mask .view").bounding_box()
    x, y = box["x"] + .3 * box["width"], box["y"] + .5 * box["height"]
    session = one.context.new_cdp_session(page)
    touch(session, "touchStart", (x - 20, y), (x + 20, y))
    for far in (30, 40, 50, 60):
        touch(session, "touchMove", (x - far, y), (x + far, y))
    touch(session, "touchEnd")
    scale = float(re.search(r"scale\(([\d.]+)\)", pan.get_attribute("style"))[1])
    assert scale == pytest.approx(3, rel=.05)
    placed = pan.get_attribute("style")
    touch(session, "touchStart", (x, y))
    touch(session, "touchMove", (x + 40, y))
    touch(session, "touchEnd")
    moved = pan.get_attribute("style")
    assert moved != placed and moved.split("scale")[1] == placed.split("scale")[1]
    one.keep("pinch")


def test_a_finger_tells_a_square(visit, server):
    one = visit(390, 844, has_touch=True, is_mobile=True)
    page = one.go(server.url + "/")
    answered(page)
    box = page.locator("info-mask .view").bounding_box()
    page.touchscreen.tap(box["x"] + .3 * box["width"], box["y"] + .5 * box["height"])
    expect(page.locator("info-mask .tip")).to_contain_text("nats")
    shown_height = page.locator(".class").first.bounding_box()["height"]
    assert shown_height >= 44  # rows for fingers


def test_the_picture_stays_on_top_of_a_phone(visit, server):
    one = visit(390, 844, has_touch=True, is_mobile=True)
    page = one.go(server.url + "/")
    answered(page)
    page.locator("#download").scroll_into_view_if_needed()
    box = page.locator("info-mask .view").bounding_box()
    assert 0 <= box["y"] < 20 and page.evaluate("scrollY") > 200


# ---- Squares, curve, comparison -----------------------------------------------------------------------------------------

def test_a_against_b_is_the_difference_of_two_maps(shown, server):
    page, photo = shown.page, COFFEE.read_bytes()
    page.select_option("#against", label="cup")
    expect(page.locator("#legend-high")).to_contain_text("rather than cup")
    espresso, cup = (server.ask("POST", f"/v1/mask?format=json&target={name}", photo).json["map"] for name in ("espresso", "cup"))
    difference = numpy.array(espresso["cells"]) - numpy.array(cup["cells"])
    text = page.locator("#legend-high").inner_text()
    assert number(text) == pytest.approx(difference.max(), abs=.006)
    assert number(text.split("mean")[1]) == pytest.approx(espresso["mean"] - cup["mean"], abs=.006)
    grid = page.locator("info-mask .grid")
    grid.focus()
    for key in ["ArrowLeft"] * 40 + ["ArrowUp"] * 40:
        page.keyboard.press(key)
    page.keyboard.press("ArrowRight")
    assert number(page.locator("info-mask .tip b").inner_text()) == pytest.approx(difference[0][1], abs=.051)
    page.select_option("#against", label="chocolate sauce")
    expect(page.locator("info-mask .left")).to_have_text("what speaks for espresso rather than chocolate sauce")
    assert page.locator("info-mask .left").evaluate("(badge) => badge.scrollHeight <= badge.clientHeight + 1 && badge.scrollWidth <= badge.clientWidth")
    page.select_option("#against", index=0)
    expect(page.locator("#legend-high")).not_to_contain_text("rather")


def test_the_curve_has_what_was_asked(shown, server):
    """The slider takes the share that it says, in one round; the rest of the curve is what is left then."""
    page, left = shown.page, {}
    expect(page.locator("#curve")).to_be_hidden()  # a single point is no curve
    for share in ("30", "70", "95"):
        with page.expect_response("**/v1/filter?*") as asked:
            page.locator("#share").fill(share)
        answered(page)
        left[share] = nats_left(page)
        answer = asked.value.json()
        assert answer["mask"]["information_share"] == pytest.approx(int(share) / 100, abs=.05) and answer["verification"]["passes"] == 1
        straight = server.ask("POST", f"/v1/filter?format=json&threshold=share:{int(share) / 100}&refine=false&max_passes=1&max_area=1", COFFEE.read_bytes()).json
        assert left[share] == pytest.approx(straight["verification"]["pmi_after"], abs=.006)
    assert left["95"] < left["70"] < left["30"]
    text = page.locator("#curve-says").inner_text()
    for share, nats in left.items():
        assert f"{share} % → {nats:.2f}".replace("-", "−") in text
    heights = [float(dot.get_attribute("cy")) for dot in page.locator("#curve .dot").all()]  # none, 30 %, 70 %, its own rule, 95 %
    told = [float(nats.replace("−", "-")) for nats in re.findall(r"% → ([−\d.]+)", text)]
    assert len(heights) == len(told) == 5 and told[0] > max(told[1:])
    for i in range(5):
        for j in range(5):
            assert told[i] == told[j] or (heights[i] < heights[j]) == (told[i] > told[j])  # what leaves more stands higher


def test_the_outline_follows_the_slider_at_once(shown):
    """In the browser: while nothing is let go, nothing is asked."""
    page = shown.page
    page.check("input[name=view][value=outline]", force=True)
    posts, line = len(shown.posts()), "document.querySelector('info-mask').shadowRoot.querySelector('.line').toDataURL().length"
    before = page.evaluate(line)
    page.evaluate("share.value = 20; share.dispatchEvent(new Event('input'))")
    assert page.evaluate(line) != before and len(shown.posts()) == posts


def test_a_verdict_is_dimmed_while_the_slider_is_elsewhere(shown):
    """Until the photo is filtered anew, also where the slider is let go where it began, of which the browser tells no change."""
    page, verdict, start = shown.page, shown.page.locator("#verdict"), shown.page.locator("#share").input_value()
    expect(verdict).not_to_have_class(re.compile("stale"))
    page.evaluate("share.value = 20; share.dispatchEvent(new Event('input'))")
    expect(verdict).to_have_class(re.compile("stale"))
    with page.expect_request(f"**/v1/filter?*threshold=share%3A{int(start) / 100}*"):
        page.evaluate(f"share.value = {start}; share.dispatchEvent(new Event('input')); share.dispatchEvent(new Event('pointerup'))")
    answered(page)
    expect(verdict).not_to_have_class(re.compile("stale"))
    posts = len(shown.posts())
    page.evaluate("for (const name of ['pointerup', 'change', 'keyup']) share.dispatchEvent(new Event(name))")
    assert len(shown.posts()) == posts  # it has not moved


def test_the_curve_has_an_answer_at_the_share_that_was_asked(shown):
    """An answer that comes while the slider is moved on is of where it was let go, and its verdict is not of what is outlined now."""
    page, waiting = shown.page, []
    page.route("**/v1/filter?*share%3A0.3&*", lambda route: waiting.append(route))
    page.evaluate("share.value = 30; for (const name of ['input', 'change']) share.dispatchEvent(new Event(name))")
    http_conftest.until(lambda: waiting or page.wait_for_timeout(20))
    page.evaluate("share.value = 90; share.dispatchEvent(new Event('input'))")
    waiting[0].continue_()
    answered(page)
    expect(page.locator("#curve-says")).to_contain_text("30 % →")
    expect(page.locator("#curve-says")).not_to_contain_text("90 % →")
    expect(page.locator("#verdict")).to_have_class(re.compile("stale"))


# ---- In ----------------------------------------------------------------------------------------------------------------

def test_the_camera_of_a_computer(shown):
    page = shown.page
    page.click("#shot")
    expect(page.locator("#shoot")).to_be_enabled()
    assert violations(page) == []
    shown.keep("camera")
    page.click("#shoot")
    expect(page.locator("#camera-view")).to_be_hidden()
    becomes(page, "document.querySelector('info-mask').photo?.type === 'image/jpeg' && !document.querySelector('[aria-current=true]')")
    answered(page)
    expect(page.locator("#download")).to_have_attribute("download", re.compile("^camera-without-"))
    assert page.evaluate("document.querySelector('#camera-sees').srcObject") is None  # and its light is off


def test_a_camera_that_is_not_allowed(visit, server):
    one = visit()
    one.page.add_init_script("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'))")
    page = one.go(server.url + "/")
    answered(page)
    page.click("#shot")
    expect(page.locator("#camera-says")).to_contain_text("not allowed")
    expect(page.locator("#shoot")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator("#sentence")).to_contain_text("espresso")


def test_a_phone_opens_its_own_camera(visit, server):
    page = visit(390, 844, has_touch=True, is_mobile=True).go(server.url + "/")
    expect(page.locator("label[for=camera]")).to_be_visible()
    expect(page.locator("#shot")).to_be_hidden()
    assert page.locator("#camera").get_attribute("capture") == "environment"


DROP = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, data] of files)
    transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, {type: "image/png"}));
  document.dispatchEvent(new DragEvent("dragenter", {dataTransfer: transfer, bubbles: true, cancelable: true}));
  document.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true})); }"""


def test_several_dropped_files_are_all_shown(shown):
    import base64
    photos = [("cat.png", (PHOTOS / "chelsea.png").read_bytes()), ("red.png", picture()), ("green.png", picture(color=(0, 160, 0)))]
    page = shown.page
    page.evaluate(DROP, [[name, base64.b64encode(data).decode()] for name, data in photos])
    thumbnails = page.locator("#strip button")
    expect(thumbnails).to_have_count(3)
    for i, (name, _) in enumerate(photos):
        expect(thumbnails.nth(i)).to_contain_text(name)
        expect(thumbnails.nth(i)).to_contain_text("nats")
    expect(page.locator("#dropping")).to_be_hidden()
    answered(page)
    expect(page.locator("#sentence")).to_contain_text("cat")


# ---- A slow and a busy service -----------------------------------------------------------------------------------------

def test_a_slow_line_shows_how_much_was_sent(shown):
    page = shown.page
    session = shown.context.new_cdp_session(page)
    noise = numpy.random.default_rng(5).integers(0, 256, (300, 300, 3), dtype=numpy.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    page.evaluate("""() => { window.told = []; new MutationObserver(() => window.told.push(document.querySelector("#status").textContent))
      .observe(document.querySelector("#status"), {childList: true}); }""")
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", {"offline": False, "latency": 20, "downloadThroughput": 1e6, "uploadThroughput": 1.5e5})
    choose(page, file("noise.png", out.getvalue()))
    answered(page)
    told = page.evaluate("window.told")
    shares = [number(text) for text in told if text.startswith("Sending")]
    assert shares and shares[0] < 100 and "Looking …" in told


def test_a_slow_service_is_waited_for(shown):
    """What was there goes at once; what is slow says so, and comes."""
    page, held = shown.page, []
    page.route("**/v1/analyze?*", lambda route: held.append(route))  # noqa: PLW0108
    choose(page, file("cat.png", (PHOTOS / "chelsea.png").read_bytes()))
    expect(page.locator("#status")).to_have_text("Looking …")
    expect(page.locator("body")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#saying")).to_be_hidden()
    held[0].continue_()
    answered(page)
    expect(page.locator("#sentence")).to_contain_text("cat")
    expect(page.locator("#status")).to_be_empty()


def test_an_answer_that_is_late_can_be_called_off(shown):
    page, held = shown.page, []
    page.route("**/v1/analyze?*", lambda route: held.append(route))  # noqa: PLW0108
    choose(page, file("cat.png", (PHOTOS / "chelsea.png").read_bytes()))
    expect(page.locator("#problem-says")).to_have_text("The service takes long to answer.")
    expect(page.locator("#again")).to_be_hidden()
    assert violations(page) == []
    page.click("#cancel")
    expect(page.locator("#status")).to_have_text("Called off.")
    expect(page.locator("#problem")).to_be_hidden()
    page.unroute_all(behavior="ignoreErrors")
    page.route("**/v1/analyze?*", lambda route: (page.wait_for_timeout(9000), route.continue_()))
    choose(page, file("cat.png", (PHOTOS / "chelsea.png").read_bytes()))
    expect(page.locator("#problem-says")).to_have_text("The service takes long to answer.")
    answered(page)  # it came after all
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#sentence")).to_contain_text("cat")


def test_the_countdown_counts_and_ends(shown):
    page, asked = shown.page, []

    def answer(route):
        asked.append(route)
        if len(asked) > 1:
            return route.continue_()
        route.fulfill(status=503, headers={"Retry-After": "3", "Content-Type": "application/problem+json"}, body='{"detail": "full", "status": 503}')
    page.route("**/v1/analyze?*", answer)
    page.evaluate("""() => { window.told = []; new MutationObserver(() => window.told.push(document.querySelector("#problem-says").textContent))
      .observe(document.querySelector("#problem-says"), {childList: true}); }""")
    choose(page, file("cat.png", (PHOTOS / "chelsea.png").read_bytes()))
    answered(page)
    seconds = [int(number(text)) for text in page.evaluate("window.told")]
    assert seconds[:2] == [3, 2] and seconds == sorted(seconds, reverse=True) and len(asked) == 2


# ---- Taken along -------------------------------------------------------------------------------------------------------

def test_the_cut_out_is_transparent_around_it(shown):
    with shown.page.expect_download() as download:
        shown.page.click("#cutout")
    cut = Image.open(download.value.path())
    assert download.value.suggested_filename == "coffee-espresso-cutout.png" and cut.mode == "RGBA" and cut.size == (600, 400)
    alpha = numpy.asarray(cut)[:, :, 3]
    assert alpha[10, 10] == 0 and alpha[150, 250] == 255 and .1 < (alpha > 0).mean() < .7


def test_a_cut_out_is_trimmed_and_what_is_shown_is_not(shown):
    page = shown.page
    page.click("#more summary")
    page.wait_for_selector("#parameter-trim")
    with page.expect_response("**/v1/filter?*") as asked:
        page.select_option("#parameter-trim", "true")
    assert asked.value.ok and "trim" not in asked.value.url
    answered(page)
    with page.expect_download() as download:
        page.click("#cutout")
    width, height = Image.open(download.value.path()).size
    assert width < 500 and height < 400


def test_a_link_carries_the_choices(visit, server):
    one = visit(permissions=["clipboard-read", "clipboard-write"])
    page = one.go(server.url + "/")
    answered(page)
    page.click("#more summary")
    page.fill("#parameter-dilate", "5")
    page.keyboard.press("Tab")
    answered(page)
    page.locator(".class", has_text="cup").click()
    answered(page)
    page.locator("#share").fill("60")
    answered(page)
    page.click("#link")
    expect(page.locator("#copied")).to_contain_text("Copied a link")
    link = page.evaluate("navigator.clipboard.readText()")
    said = page.locator("#verdict-says").inner_text()
    other = visit()
    there = other.go(link)
    answered(there)
    expect(there.locator("#sentence em")).to_have_text("“cup”")
    assert there.locator("#verdict-says").inner_text() == said and there.locator("#share").input_value() == "60"
    asked = [request.url for request in other.posts() if "/v1/filter" in request.url][-1]
    assert "dilate=5" in asked and "threshold=share%3A0.6" in asked


@pytest.fixture
def copied(visit, server):
    """The page, a function that copies a program, and one that says how much is left."""
    one = visit(permissions=["clipboard-read", "clipboard-write"])
    page = one.go(server.url + "/#photo=coffee&target=espresso&fill=mean&dilate=5")
    answered(page)

    def copy(how):
        page.click(f"[data-copy={how}]")
        expect(page.locator("#copied")).to_contain_text("Copied")
        return page.evaluate("navigator.clipboard.readText()")
    return page, copy


def run(how, program, folder):
    """What the program says is left, the picture being there."""
    shutil.copy(COFFEE, folder / "coffee.jpg")
    command = {"curl": ["bash", "-c", program], "python": [sys.executable, "-c", program], "fetch": ["node", "run.mjs"]}[how]
    if how == "fetch":
        read = lambda name: f"new Blob([await readFile({name!r})])"
        mask = next((path.name for path in folder.glob("*-mask.png")), None)
        (folder / "run.mjs").write_text(f"import {{readFile, writeFile}} from 'node:fs/promises';\nconst file = {read('coffee.jpg')};\n" +
                                        (f"const mask = {read(mask)};\n" if mask else "") + program +
                                        "\nconsole.log(left);\nawait writeFile('filtered.png', picture.stream());\n")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert Image.open(folder / "filtered.png").size == (600, 400)
    return float(re.search({"curl": r"(?i)infomask-pmi-after: (\S+)", "python": r"-> (\S+)", "fetch": r"(\S+)"}[how], done.stdout)[1])


PROGRAMS = ["curl", "python", pytest.param("fetch", marks=pytest.mark.skipif(shutil.which("node") is None, reason="needs node"))]


@pytest.mark.parametrize("how", PROGRAMS)
def test_the_copied_program_runs(copied, tmp_path, how):
    page, copy = copied
    assert run(how, copy(how), tmp_path) == pytest.approx(nats_left(page), abs=.006)


@pytest.mark.parametrize("how", PROGRAMS)
def test_the_copied_program_takes_what_was_painted_along(copied, tmp_path, how):
    page, copy = copied
    own_rule = nats_left(page)
    page.click("#brush")
    page.locator("#brush-size").fill("20")
    with page.expect_response("**/v1/filter?*"):
        stroke(page, (.3, .35), (.6, .4))
    expect(page.locator("#undo")).to_be_visible()
    answered(page)
    program = copy(how)
    expect(page.locator("#copied")).to_contain_text("coffee-espresso-mask.png: the button Mask saves it")
    with page.expect_download() as download:
        page.click("#download-mask")
    assert download.value.suggested_filename in program
    download.value.save_as(tmp_path / download.value.suggested_filename)
    assert run(how, program, tmp_path) == pytest.approx(nats_left(page), abs=.006) != pytest.approx(own_rule, abs=.05)
    with page.expect_download() as cut:
        page.click("#cutout")
    alpha = numpy.asarray(Image.open(cut.value.path()))[:, :, 3]
    assert alpha[150, 250] == 255 and (alpha > 0).mean() == pytest.approx((numpy.asarray(Image.open(tmp_path / download.value.suggested_filename)) > 0).mean(), abs=.08)  # and its soft edge


def test_a_copied_curl_of_a_photo_with_an_awkward_name(copied, tmp_path):
    page, copy = copied
    choose(page, file('a, "b"; it\'s.jpg', COFFEE.read_bytes(), "image/jpeg"))
    answered(page)
    (tmp_path / 'a, "b"; it\'s.jpg').write_bytes(COFFEE.read_bytes())
    assert run("curl", copy("curl"), tmp_path) == pytest.approx(nats_left(page), abs=.006)
    page.click("#brush")
    with page.expect_response("**/v1/filter?*"):
        stroke(page, (.3, .35), (.6, .4))
    answered(page)
    with page.expect_download() as download:
        page.click("#download-mask")
    download.value.save_as(tmp_path / download.value.suggested_filename)
    assert run("curl", copy("curl"), tmp_path) == pytest.approx(nats_left(page), abs=.006)


def test_the_request_that_is_shown_follows_slider_and_brush(shown):
    page = shown.page
    page.click("#more summary")
    request = page.locator("#request")
    expect(request).not_to_contain_text("threshold")
    page.locator("#share").fill("40")
    answered(page)
    expect(request).to_contain_text("threshold=share%3A0.4")
    page.click("#brush")
    with page.expect_response("**/v1/filter?*"):
        stroke(page, (.3, .35), (.6, .4))
    answered(page)
    expect(request).to_contain_text("-F mask=@coffee-espresso-mask.png")
    expect(request).not_to_contain_text("threshold")
    page.click("#link")
    expect(page.locator("#copied")).to_contain_text("without what you painted")


def test_copies_behind_a_prefix_and_with_a_key(visit, proxy):
    one = visit(permissions=["clipboard-read", "clipboard-write"])
    one.page.add_init_script("sessionStorage.setItem('infomask-key', 'secret')")
    page = one.go(proxy)
    answered(page)
    for how, header in (("curl", 'Bearer $INFOMASK_KEY'), ("fetch", "`Bearer ${key}`"), ("python", 'f"Bearer {key}"')):
        page.click(f"[data-copy={how}]")
        expect(page.locator("#copied")).to_contain_text("Copied")
        text = page.evaluate("navigator.clipboard.readText()")
        assert proxy + "v1/filter" in text and header in text and "secret" not in text  # a key is not for the clipboard


# ---- The status view where there is nothing to tell ----------------------------------------------------------------------

def test_the_status_view_makes_up_no_zeros(visit, make_server, tmp_path):
    """Without a key, and while the service is away: its words, and no counts."""
    keys = tmp_path / "keys"
    keys.write_text(f"anna infer {hashlib.sha256(b'secret-of-anna').hexdigest()}\n")
    server = make_server("--keys", keys)
    page, body = (one := visit()).go(server.url + "/"), one.page.locator("#status-body")
    page.click("#status-open")
    expect(body).to_contain_text("not told here")
    expect(body).not_to_contain_text("Requests since it was started")
    page.keyboard.press("Escape")
    page.fill("#key", "secret-of-anna")
    page.press("#key", "Enter")
    answered(page)
    page.click("#status-open")
    expect(body).to_contain_text("Requests since it was started")
    server.stop()
    expect(body).to_contain_text("The service does not answer.")
    expect(body).to_contain_text("not told here")


def test_a_service_that_was_started_anew_has_no_rate_below_zero(shown):
    page, counts = shown.page, iter([900, 7, 8, 9, 9, 9, 9])
    page.route("**/metrics", lambda route: route.fulfill(body=f"infomask_requests_total {next(counts, 9)}\ninfomask_in_flight 1\ninfomask_queue_waiting 0\n"))
    page.evaluate("""() => { window.told = []; new MutationObserver(() => window.told.push(document.querySelector("#status-body").innerText))
      .observe(document.querySelector("#status-body"), {childList: true}); }""")

    def told():  # (first that it is asking)
        return re.findall(r"Requests a second, now\s+(\S+)", "\n".join(page.evaluate("window.told")))

    page.click("#status-open")
    http_conftest.until(lambda: page.wait_for_timeout(50) or len(told()) >= 3)
    rates = told()
    assert rates[:2] == ["–", "–"] and float(rates[2]) >= 0
