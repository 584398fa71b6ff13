"""What people see: the stories of the page."""
import base64
import io
import json
import pathlib
import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from conftest import PATIENT, PHOTOS, WAIT, answered, becomes, choose, file, http_conftest, number, picture, violations

# ---- What is there -----------------------------------------------------------------------------------------------------

def test_the_first_photo_is_answered(visit, server):
    one = visit()
    page = one.go(server.url + "/")
    answered(page)
    expect(page.locator("#sentence")).to_contain_text("espresso")
    assert one.problems == []
    assert {request.url.split("/")[2] for request in one.requests if request.url.startswith("http")} == {server.url.split("/")[2]}


@pytest.mark.parametrize("media", [{"forced_colors": "active"}, {"reduced_motion": "reduce"}], ids=["forced", "still"])
def test_other_ways_to_see(visit, server, media):
    one = visit(**media)
    page = one.go(server.url + "/")
    answered(page)
    one.keep(f"page-{'-'.join(media)}")
    assert violations(page) == [] and one.problems == []


@pytest.mark.parametrize("size", [(1280, 800), (412, 823)], ids=lambda size: f"{size[0]}")
def test_nothing_jumps_while_it_loads(visit, server, size):
    one = visit(*size, **({"has_touch": True, "is_mobile": True} if size[0] < 600 else {}))
    one.page.add_init_script("""window.shifts = [];
      new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((entry) => [entry.value, entry.sources.map((source) => source.node?.id)])))
        .observe({type: "layout-shift", buffered: true});""")
    page = one.go(server.url + "/")
    answered(page)
    shifts = page.evaluate("window.shifts")
    assert sum(value for value, _ in shifts) < .05, shifts


def test_the_sentence_is_exact(shown, server):
    """exp(PMI) is the ratio, bits are nats / log 2, the prior and the probability are the ones of the answer."""
    photo = (PHOTOS.parents[2] / "server/web/photos/coffee.jpg").read_bytes()
    row = server.ask("POST", "/v1/classify?top_k=1", photo).json["predictions"][0]
    text = shown.page.locator("#exactly").inner_text().replace("\u00a0", " ")
    assert number(shown.page.locator("#sentence").inner_text()) == pytest.approx(2.718281828459045 ** row["pmi"], rel=1e-3)
    assert f"{100 * row['probability']:.1f} %" in text and f"{row['pmi']:.2f} nats" in text
    assert f"{row['pmi'] / 0.6931471805599453:.1f} yes/no" in text and "1 time in 1,000" in text


def test_numbers_are_said_as_people_do(shown):
    said = shown.page.evaluate("""async () => {
      const {nats, bits, percent, times, oneIn, fileName, sentence} = await import(new URL("web/format.js", document.baseURI));
      return [nats(-0.001), nats(-1.234), nats(null), nats(Infinity), bits(Math.log(8)), percent(.951), percent(.00003), percent(.9999), percent(1), percent(0), percent(3e-9), percent(.03), nats(-12345.678), times(1234567), times(951234),
        times(951.3), times(3.25), oneIn(.001), oneIn(.25), fileName("Café / crème.jpg"), sentence("the PNG is torn"), sentence("photo.heic is torn!")]; }""")
    assert [text.replace("\u00a0%", " %") for text in said] == ["0.00", "−1.23", "–", "–", "3.0", "95.1 %", "0.003 %", "over 99.9 %", "100 %", "0 %", "0.0000003 %", "3 %", "−12,345.68", "1.2e+6", "951,234", "951", "3.3", "1 time in 1,000",
                    "1 time in 4", "Cafe-creme.jpg", "The PNG is torn.", "photo.heic is torn!"]


def test_two_views_are_named(shown, server):
    photo = (PHOTOS.parents[2] / "server/web/photos/coffee.jpg").read_bytes()
    answer = server.ask("POST", "/v1/mask?format=json", photo).json
    text = shown.page.locator("#thermometer-says").inner_text()
    assert text.startswith(f"{answer['target']['pmi']:.2f} of at most 6.91 nats (certainty) in the model's centre crop;")
    assert f"{answer['map']['pmi']:.2f} in the whole photo" in text and abs(answer["map"]["pmi"] - answer["target"]["pmi"]) > 0.5


def test_the_photo_is_uploaded_twice(shown):
    assert [request.url.split("?")[0].rsplit("/", 1)[1] for request in shown.posts()] == ["analyze", "filter"]


# ---- Nothing old beside something new ----------------------------------------------------------------------------------

GONE = ["#saying", "#classes-card", "#verdict", "#download", "#download-mask", "#legend", "#curve", "#take"]


def test_nothing_of_the_old_photo_beside_a_new_one(shown):
    page = shown.page
    held = []
    page.route("**/v1/analyze?*", lambda route: held.append(route))
    choose(page, file("second.png", picture()))
    becomes(page, "document.querySelector('#saying').hidden")
    for name in GONE:
        expect(page.locator(name)).to_be_hidden()
    assert page.locator("#download").get_attribute("href") is None
    assert page.evaluate("document.querySelector('info-mask').after") is None
    becomes(page, "document.querySelector('info-mask').photo.size < 2000")
    for _ in range(200):
        if held:
            break
        page.wait_for_timeout(20)
    held[0].continue_()
    answered(page)
    expect(page.locator("#download")).to_have_attribute("download", re.compile(r"^second-without-.*\.png$"))


@pytest.mark.parametrize("data, words", [(b"no picture at all", "no picture that is known here"), (picture()[:80], ""), (b"", "is empty")])
def test_nothing_of_the_old_photo_after_an_error(shown, data, words):
    page = shown.page
    choose(page, file("broken.png", data))
    expect(page.locator("#problem")).to_be_visible()
    expect(page.locator("#problem-says")).to_contain_text(words)
    for name in GONE:
        expect(page.locator(name)).to_be_hidden()
    assert violations(page) == []


def test_a_late_answer_is_not_shown(shown):
    """The answer to the first of two photos comes after the second was chosen."""
    page = shown.page
    held = []
    page.route("**/v1/analyze?*", lambda route: held.append(route) if not held else route.continue_())
    choose(page, file("first.png", picture()))
    becomes(page, "document.querySelector('info-mask').photo.size < 2000")
    page.wait_for_timeout(100)
    choose(page, file("cat.png", (PHOTOS / "chelsea.png").read_bytes()))
    answered(page)
    before = page.locator("#sentence").inner_text()
    held[0].fulfill(status=200, body="{}")
    page.wait_for_timeout(200)
    assert page.locator("#sentence").inner_text() == before and "cat" in before


# ---- Where it stands ---------------------------------------------------------------------------------------------------

def test_behind_a_proxy_that_strips_a_prefix(visit, proxy):
    one = visit()
    page = one.go(proxy)
    answered(page)
    assert one.problems == [] and all(request.url.startswith((proxy, "blob:", "data:")) for request in one.requests)
    page.locator("nav a").click()
    page.wait_for_selector("#post_v1_classify, #classify")
    document = page.evaluate("fetch('openapi.json').then((answer) => answer.json())")
    assert document["servers"][0]["url"] == "."
    assert one.problems == []


def test_with_keys(visit, make_server, tmp_path):
    import hashlib
    keys = tmp_path / "keys"
    keys.write_text(f"anna infer,estimates {hashlib.sha256(b'secret-of-anna').hexdigest()}\n")
    server = make_server(*PATIENT, "--keys", keys)
    one = visit()
    page = one.go(server.url + "/")
    page.wait_for_selector("#key-card:not([hidden])")
    assert violations(page) == []
    page.fill("#key", "wrong")
    page.press("#key", "Enter")
    expect(page.locator("#key-says")).to_contain_text("key")
    page.wait_for_selector("#key-card:not([hidden])")
    page.fill("#key", "secret-of-anna")
    page.press("#key", "Enter")
    answered(page)
    expect(page.locator("#key-card")).to_be_hidden()
    page.reload()
    answered(page)  # of this tab only
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate("Object.values(sessionStorage)") == ["secret-of-anna"]
    other = one.context.new_page()
    other.goto(server.url + "/")
    other.wait_for_selector("#key-card:not([hidden])")


# ---- Busy, slow, dead --------------------------------------------------------------------------------------------------

def busy(page, times, seconds=1):
    left = [times]

    def answer(route):
        if left[0] == 0:
            return route.continue_()
        left[0] -= 1
        route.fulfill(status=503, headers={"Retry-After": str(seconds), "Content-Type": "application/problem+json"},
                      body=json.dumps({"detail": "too many requests wait already", "code": "overloaded", "status": 503}))
    page.route("**/v1/analyze?*", answer)


def test_a_busy_service_is_asked_again(shown):
    page = shown.page
    busy(page, 2)
    choose(page, file("cat.png", (PHOTOS / "chelsea.png").read_bytes()))
    expect(page.locator("#problem-says")).to_contain_text(re.compile(r"asked again in \d s"))
    assert violations(page) == []
    answered(page)
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#sentence")).to_contain_text("cat")


def test_the_waiting_can_be_called_off(shown):
    page = shown.page
    busy(page, 99, 30)
    choose(page, file("cat.png", (PHOTOS / "chelsea.png").read_bytes()))
    page.click("#cancel")
    expect(page.locator("#status")).to_have_text("Called off.")
    expect(page.locator("#problem")).to_be_hidden()
    assert page.evaluate("document.querySelector('info-mask').photo !== null")  # it is kept


def test_a_dead_service(visit, make_server):
    server = make_server(*PATIENT)
    one = visit()
    page = one.go(server.url + "/")
    answered(page)
    server.stop()
    page.locator(".class").nth(1).click()
    expect(page.locator("#problem-says")).to_contain_text("does not answer")
    expect(page.locator("#again")).to_be_visible()
    expect(page.locator("#verdict")).to_be_hidden()
    assert page.evaluate("document.querySelector('info-mask').photo !== null")
    assert violations(page) == []


# ---- Classes -----------------------------------------------------------------------------------------------------------

def test_a_class_is_chosen_with_keys_and_keeps_the_focus(shown):
    page = shown.page
    second = page.locator(".class").nth(1)
    second.focus()
    name = second.locator("span").first.inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#sentence em")).to_have_text(f"“{name}”")
    answered(page)
    assert page.evaluate("document.activeElement.className") == "class"
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(second).to_be_focused()


def test_the_tab_key_comes_to_everything(shown):
    """Map and slider too, which are in a shadow tree; and the link past all else leads to the map."""
    page, seen = shown.page, []
    here = "() => { const host = document.activeElement, one = host.shadowRoot?.activeElement ?? host; return one.id || one.className || one.name || one.type || one.tagName; }"
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(here))
        if seen[-1] == "BODY":
            break
    places = ["skip", "status-open", "file", "grid", "range", "view", "class", "target", "against", "share", "download", "brush"]
    assert [name for name in places if name not in seen] == [], seen
    assert sorted(places, key=seen.index) == places
    posts = len(shown.posts())
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(here) == "grid"
    page.keyboard.press("ArrowLeft")
    expect(page.locator("info-mask .tip")).to_be_visible()
    assert len(shown.posts()) == posts  # nothing is asked anew


def test_suggestions_by_prefix_and_alias(shown):
    page = shown.page
    page.fill("#target", "tiger")
    options = page.locator("#names li")
    expect(options.first).to_be_visible()
    assert all("tiger" in text.lower() for text in options.all_inner_texts())
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#names")).to_be_hidden()
    page.fill("#target", "n02129604")  # an alias
    page.keyboard.press("Enter")
    expect(page.locator("#sentence em")).to_have_text("“tiger”")
    answered(page)


def test_a_rather_than_b(shown):
    page = shown.page
    page.select_option("#against", index=1)
    other = page.locator("#against option:checked").inner_text()
    expect(page.locator("#legend-high")).to_contain_text(f"rather than {other}")
    stage = page.locator("info-mask")
    stage.locator(".grid").focus()
    page.keyboard.press("ArrowDown")
    expect(stage.locator(".say")).to_contain_text(f"rather than “{other}”")


# ---- The picture -------------------------------------------------------------------------------------------------------

def test_squares_are_told_by_keys_and_by_pointer(shown):
    page, stage = shown.page, shown.page.locator("info-mask")
    cells = json.loads(page.evaluate("""async () => {
      const {Infomask} = await import(new URL("infomask.js", document.baseURI));
      return JSON.stringify((await new Infomask().analyze(document.querySelector("info-mask").photo)).map.cells); }"""))
    stage.locator(".grid").focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    for _ in range(20):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    expect(stage.locator(".say")).to_contain_text(f"Row 2 of {len(cells)}, column 1 of {len(cells[0])}")
    assert number(stage.locator(".tip b").inner_text()) == pytest.approx(cells[1][0], abs=0.051)
    page.keyboard.press("Escape")
    expect(stage.locator(".tip")).to_be_hidden()
    box = stage.locator(".view").bounding_box()
    page.mouse.move(box["x"] + box["width"] * .5 / len(cells[0]), box["y"] + box["height"] * .5 / len(cells))
    assert number(stage.locator(".tip b").inner_text()) == pytest.approx(cells[0][0], abs=0.051)


def test_the_slider_shows_before_and_after(shown):
    page, stage = shown.page, shown.page.locator("info-mask")
    slider = stage.locator("input")
    before = stage.locator(".after").evaluate("(node) => getComputedStyle(node).clipPath")
    slider.focus()
    page.keyboard.press("Home")
    left = stage.locator(".after").evaluate("(node) => getComputedStyle(node).clipPath")
    assert before != left and slider.input_value() == "0"
    page.keyboard.press("End")
    shown.keep("slider-end")
    assert slider.input_value() == "1000"


def test_zoom(shown):
    stage = shown.page.locator("info-mask")
    stage.locator(".grid").focus()
    shown.page.keyboard.press("+")
    assert "scale(1.5)" in stage.locator(".before .pan").get_attribute("style")
    shown.page.keyboard.press("0")
    assert "scale(1)" in stage.locator(".before .pan").get_attribute("style")


@pytest.mark.parametrize("view", ["outline", "photo"])
def test_views(shown, view):
    shown.page.check(f"input[name=view][value={view}]", force=True)
    stage = shown.page.locator("info-mask")
    expect(stage.locator(".map")).to_be_hidden()
    expect(stage.locator(".line")).to_be_visible(visible=view == "outline")
    shown.keep(f"view-{view}")
    assert violations(shown.page) == []


def test_how_much_to_take_away(shown):
    page = shown.page
    page.locator("#share").focus()
    with page.expect_request("**/v1/filter?*threshold=share*") as asked:
        page.locator("#share").fill("40")
    assert "threshold=share%3A0.4" in asked.value.url
    expect(page.locator("#share-says")).to_contain_text("40 %")
    answered(page)
    expect(page.locator("#curve-says")).to_contain_text("40 % →")
    assert page.locator("#curve .dot").count() == 3
    shown.keep("share-40")
    page.click("#share-auto")
    answered(page)
    expect(page.locator("#share-says")).to_contain_text("own rule")


# ---- Verdict -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("verdict, words, badge", [("removed", "✓ Gone", "without {}"), ("weakened", "◐ Weaker, not gone", "{}: not all gone"),
                                                   ("failed", "✕ Not gone", "{}: not gone")])
def test_verdicts_look_different(shown, verdict, words, badge):
    """A failed removal never looks like a success: by words and icon, not by colour alone."""
    page = shown.page

    def answer(route):
        response = route.fetch()
        body = response.json()
        body["verification"].update(verdict=verdict, reason="the place itself still says espresso: 4.9 nats",
                                    region_pmi_before=6.0, region_pmi_after=4.9, context_pmi_before=1.0, context_pmi_after=1.0)
        route.fulfill(response=response, json=body)
    page.route("**/v1/filter?*", answer)
    page.locator(".class").nth(1).click()
    expect(page.locator("#verdict-title")).to_contain_text(words)
    answered(page)
    shown.keep(f"verdict-{verdict}")
    expect(page.locator("info-mask .right")).to_have_text(badge.format(page.locator("#sentence em").inner_text().strip("“”")))
    assert violations(page) == []
    if verdict != "removed":
        assert "Gone:" not in page.locator("#verdict-title").inner_text()


def test_the_verdict_is_of_the_file_that_is_downloaded(shown, server):
    page = shown.page
    with page.expect_download() as download:
        page.click("#download")
    data = open(download.value.path(), "rb").read()
    assert download.value.suggested_filename == "coffee-without-espresso.png"
    after = server.ask("POST", "/v1/classify?target=espresso", data).json["target"]["pmi"]
    told = page.locator("#verdict-says").inner_text()
    assert number(told.split("→")[1]) == pytest.approx(after, abs=0.006)
    page.click("#verdict summary")
    assert number(page.locator("#verdict-figures dd").first.inner_text().split("→")[1]) == pytest.approx(after, abs=0.006)


@pytest.mark.parametrize("mode", ["keep", "cutout"])
def test_what_is_not_there_is_not_called_kept(visit, server, mode):
    page = visit().go(f"{server.url}/#photo=coffee&target=tench&mode={mode}")
    answered(page)
    expect(page.locator("#verdict-title")).to_contain_text("Not found")
    expect(page.locator("#verdict-reason")).to_contain_text("the photo is as it was")


@pytest.mark.parametrize("mode", ["keep", "cutout"])
def test_what_is_kept_is_not_called_without(visit, server, mode):
    page = visit().go(f"{server.url}/#photo=coffee&mode={mode}")
    answered(page)
    expect(page.locator("info-mask .right")).to_have_text("only espresso")
    expect(page.locator("#verdict-title")).to_contain_text("Kept")
    expect(page.locator("#download")).to_have_attribute("download", "coffee-only-espresso.png")
    page.select_option("#against", index=1)  # the map is shown anew
    expect(page.locator("#legend-high")).to_contain_text("rather than")
    expect(page.locator("info-mask .right")).to_have_text("only espresso")
    for share in ("40", "60"):
        page.locator("#share").fill(share)
        answered(page)
    expect(page.locator("#curve")).to_be_hidden()  # nothing was taken


@pytest.mark.parametrize("choices, title", [("dilate=100", "Nothing taken away: max_area leaves no room"), ("target=tiger", "Nothing to take away: no place in the picture")])
def test_why_nothing_was_taken(visit, server, choices, title):
    page = visit().go(f"{server.url}/#photo=coffee&{choices}")
    answered(page)
    expect(page.locator("#verdict-title")).to_contain_text(title)
    expect(page.locator("info-mask .right")).to_have_text("nothing taken away")


# ---- Several, and other kinds ------------------------------------------------------------------------------------------

def test_several_photos(shown):
    page = shown.page
    choose(page, file("coffee.png", (PHOTOS / "coffee.png").read_bytes()), file("cat.png", (PHOTOS / "chelsea.png").read_bytes()),
           file("broken.png", b"broken"))
    thumbnails = page.locator("#strip button")
    expect(thumbnails).to_have_count(3)
    expect(thumbnails.nth(1)).to_contain_text("cat")
    expect(thumbnails.nth(1)).to_contain_text("nats")
    expect(thumbnails.nth(2)).to_contain_text("not read")
    answered(page)
    thumbnails.nth(1).click()
    expect(page.locator("#sentence")).to_contain_text("cat")
    answered(page)
    shown.keep("several")
    assert violations(page) == []


def test_a_labelled_folder(shown, tmp_path):
    for name, source in [("espresso", "coffee.png"), ("Egyptian cat", "chelsea.png")]:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(2):
            Image.open(PHOTOS / source).convert("RGB").rotate(2 * i).save(tmp_path / "photos" / name / f"{i}.jpg")
    page = shown.page
    page.set_input_files("#folder", str(tmp_path / "photos"))
    expect(page.locator("#strip button")).to_have_count(4)
    answered(page)
    page.click("#measure")
    expect(page.locator("#estimate")).to_contain_text("4 (4 of 4 sent)")
    expect(page.locator("#estimate h3").first).to_contain_text("The mutual information of your 4 labelled photos")
    shown.keep("folder")
    assert violations(page) == []


def drawing(attributes):
    return f'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" {attributes}><rect width="30" height="20" fill="#00f"/></svg>'.encode()


OTHERS = {"GIF": (picture("GIF"), "This is a GIF picture; it is sent as PNG, its first frame.", (64, 48)),
          "BMP": (picture("BMP"), "This is a BMP picture; it is sent as PNG.", (64, 48)),
          "ICO": (picture("ICO", (64, 64)), "It is sent as PNG.", (64, 64)),
          "moving WebP": (picture("WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", (64, 48))]), "This is a moving WebP picture; it is sent as PNG, its first frame.", (64, 48)),
          "SVG": (drawing('viewBox="0 0 30 20" width="30" height="20"'), "This is an SVG picture; it is sent as PNG.", (512, 341)),
          "large SVG": (drawing('viewBox="0 0 30 20" width="900" height="600"'), "This is an SVG picture; it is sent as PNG.", (900, 600))}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_the_service_does_not_take_is_named_and_sent_as_png(shown, kind):
    page, (data, note, size) = shown.page, OTHERS[kind]
    choose(page, file("cat.bin", data, "application/octet-stream"))
    answered(page)
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#copied")).to_have_text(note)
    sent = page.evaluate("async () => [...new Uint8Array(await document.querySelector('info-mask').photo.arrayBuffer())]")
    shot = Image.open(io.BytesIO(bytes(sent)))  # what is sent is what is shown
    assert shot.format == "PNG" and shot.size == size
    assert shot.convert("RGB").getpixel((size[0] // 2, size[1] // 2)) == ((0, 0, 255) if "SVG" in kind else (200, 30, 30))


def test_a_still_webp_is_sent_as_it_is(shown):
    for data in (picture("WEBP"), picture("WEBP", icc_profile=b"x" * 40)):  # simple, and extended
        choose(shown.page, file("cat.webp", data))
        answered(shown.page)
        assert shown.page.evaluate("document.querySelector('info-mask').photo.size") == len(data)
        expect(shown.page.locator("#copied")).to_be_empty()


def test_a_heic_photo_is_named(shown):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
    choose(shown.page, file("photo.heic", heic, "image/heic"))
    expect(shown.page.locator("#problem-says")).to_contain_text("photo.heic is a HEIC picture, which this browser can't read")


def test_pasted_and_dropped(shown):
    page = shown.page
    data = base64.b64encode((PHOTOS / "chelsea.png").read_bytes()).decode()
    event = """([data, name]) => {
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), transfer = new DataTransfer();
      transfer.items.add(new File([bytes], "cat.png", {type: "image/png"}));
      document.dispatchEvent(name === "paste" ? new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true})
        : new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true})); }"""
    page.evaluate(event, [data, "paste"])
    expect(page.locator("#sentence")).to_contain_text("cat")
    answered(page)
    page.locator("[data-sample=coffee]").click()
    expect(page.locator("#sentence")).to_contain_text("espresso")
    page.evaluate(event, [data, "drop"])
    expect(page.locator("#sentence")).to_contain_text("cat")
    answered(page)


# ---- Taking along, more, status ----------------------------------------------------------------------------------------

def test_copies_and_link(visit, server):
    one = visit(permissions=["clipboard-read", "clipboard-write"])
    page = one.go(server.url + "/#target=cup&photo=coffee&dilate=5")
    answered(page)
    expect(page.locator("#sentence em")).to_have_text("“cup”")
    for how, words in [("curl", "curl --data-binary @coffee.jpg"), ("fetch", "await fetch("), ("python", "urllib.request")]:
        page.click(f"[data-copy={how}]")
        expect(page.locator("#copied")).to_contain_text("Copied")
        text = page.evaluate("navigator.clipboard.readText()")
        assert words in text and "target=cup" in text and "dilate=5" in text
    page.click("#link")
    expect(page.locator("#copied")).to_contain_text("link")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(server.url + "/#") and "dilate=5" in link and "target=cup" in link


def test_share_card(shown):
    with shown.page.expect_download() as download:
        shown.page.click("#card")
    card = Image.open(download.value.path())
    assert card.size == (1200, 630) and download.value.suggested_filename == "coffee-espresso-card.png"
    colors = card.convert("RGB").resize((60, 32)).getcolors(4000)
    assert len(colors) > 200  # photos are on it
    shown.keep("card")


def test_every_parameter_is_there(shown):
    page = shown.page
    page.click("#more summary")
    page.wait_for_selector("#parameter-fill")
    names = {field.get_attribute("name") for field in page.locator("#parameters [name]").all()}
    document = page.evaluate("fetch('openapi.json').then((answer) => answer.json())")
    wanted = {one["name"] for route in ("filter", "analyze") for one in document["paths"][f"/v1/{route}"]["post"]["parameters"] if one.get("in") == "query"}
    assert wanted - names <= {"target", "units", "format", "include", "output", "colormap", "opacity", "top_k", "abstain_below", "edge"}
    with page.expect_request("**/v1/filter?*fill=mean*"):
        page.fill("#parameter-fill", "mean") if page.locator("input#parameter-fill").count() else page.select_option("#parameter-fill", "mean")
        page.keyboard.press("Tab")
    expect(page.locator("#request")).to_contain_text("fill=mean")
    answered(page)
    shown.keep("more")
    assert violations(page) == []


def test_the_status_view(shown):
    page, waiting = shown.page, []
    page.route("**/information", lambda route: waiting.append(route))
    page.click("#status-open")
    expect(page.locator("#status-body")).to_have_text("Asking the service …")  # not an empty box
    http_conftest.until(lambda: waiting or page.wait_for_timeout(20))
    waiting[0].continue_()
    expect(page.locator("#status-body")).to_contain_text("Requests since it was started")
    expect(page.locator("#status-body")).to_contain_text("ready")
    shown.keep("status")
    assert violations(page) == []
    page.click("#status-view button")
    expect(page.locator("#status-view")).to_be_hidden()


FAKETIME = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


@pytest.mark.skipif(FAKETIME is None, reason="faketime is not installed (Debian's package faketime)")
def test_the_drift_of_a_week(visit, make_server, tmp_path):
    """Sixty hours of digits, of which the second half are others: the view says what has moved, and draws the hours."""
    clock, digits = tmp_path / "time", PHOTOS.parent / "digits"
    clock.write_text("-60h\n")
    server = make_server("--confine", "false", "--state-dir", tmp_path / "state", "--model", "digits", *PATIENT, env={
        "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})

    def seen(hours, several):
        for ago in hours:
            clock.write_text(f"-{ago}h\n")
            for digit in several * 8:
                assert server.ask("POST", "/v1/classify", (digits / f"{digit}.png").read_bytes()).status == 200

    one = visit()
    seen(range(60, 30, -5), (1, 3, 7))
    page = one.go(server.url + "/")
    answered(page)
    page.click("#status-open")
    body = page.locator("#status-body")
    expect(body).to_contain_text("What has moved within the week")
    expect(body.locator("dt:has-text('What has moved within the week') + dd")).to_have_text("nothing")
    seen(range(25, -5, -5), (7, 7, 8))
    moved = body.locator("dt:has-text('What has moved within the week') + dd")  # the view asks again by itself
    expect(moved).to_contain_text(re.compile(r"\b8: \d(\.\d)?.% to 33\.3.% since 20\d\d.\d\d.\d\d.\d\d:00.UTC"))
    expect(moved).to_contain_text(re.compile(r"^information: \d\.\d\d to 2\.28 nats since 20"))
    expect(body.get_by_role("img", name=re.compile(r"^Information by hour, \d\.\d\d to \d\.\d\d nats$"))).to_be_visible()
    hours = len(body.locator("polyline").get_attribute("points").split())
    assert 12 <= hours <= 13
    one.keep("status-drift")
    assert violations(page) == [] and one.problems == []


# ---- For programs ------------------------------------------------------------------------------------------------------

def test_the_element_on_another_origin(visit, make_server, other_origin):
    folder, origin = other_origin
    server = make_server(*PATIENT, "--cors-origins", origin)
    (folder / "coffee.png").write_bytes((PHOTOS / "coffee.png").read_bytes())
    (folder / "index.html").write_text(f"""<!doctype html><html lang="en"><title>shop</title><h1>Shop</h1>
      <script type="module" src="{server.url}/info-mask.js"></script>
      <info-mask src="coffee.png" target="espresso"></info-mask>""")
    one = visit()
    page = one.go(origin + "/")
    stage = page.locator("info-mask")
    expect(stage.locator(".note")).to_contain_text("espresso: 6.86 nats in the model's crop", timeout=WAIT)
    expect(stage.locator("input")).to_be_visible()
    stage.locator(".grid").focus()
    page.keyboard.press("ArrowRight")
    expect(stage.locator(".tip b")).to_contain_text("nats")
    one.keep("element")
    assert [problem for problem in one.problems if "favicon" not in problem and "404" not in problem] == []
    assert violations(page) == [] or all(rule in ("region", "landmark-one-main") for rule, _ in violations(page))


def test_the_tutorial_of_web_pages(visit, make_server, other_origin):
    """Its element and its module, as they stand there."""
    text = (PHOTOS.parents[2] / "docs/tutorials/web-page.md").read_text()
    html, module = (re.search(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)[1] for kind in ("html", "js"))
    folder, origin = other_origin
    server = make_server(*PATIENT, "--cors-origins", origin)
    here = (html + module).count("https://photos.example/")
    html, module = (code.replace("https://photos.example", server.url) for code in (html, module))
    (folder / "cup.jpg").write_bytes((PHOTOS.parents[2] / "server/web/photos/coffee.jpg").read_bytes())
    (folder / "page.js").write_text(f"const file = await (await fetch('cup.jpg')).blob();\n{module.replace('timeout(5000)', 'timeout(500000)')}\n"
                                    "document.title = `${predictions[0].label} ${verification.verdict} ${image.size > 1000} ${picture.type}`;")
    (folder / "index.html").write_text(f'<!doctype html><html lang="en"><title>shop</title>{html}<script type="module" src="page.js"></script>')
    page = visit().go(origin + "/")
    expect(page.locator("info-mask .note")).to_contain_text("espresso:")
    becomes(page, "document.title !== 'shop'")
    assert page.title() == "espresso removed true image/webp" and here == 2


def test_the_example_page(visit, make_server, other_origin):
    folder, origin = other_origin
    server = make_server(*PATIENT, "--cors-origins", origin)
    example = PHOTOS.parents[2] / "docs/example"
    for one in example.iterdir():
        (folder / one.name).write_bytes(one.read_bytes().replace(b"http://localhost:8080", server.url.encode()))
    one = visit()
    page = one.go(origin + "/")
    expect(page.locator("info-mask .note")).to_contain_text("Egyptian cat:")
    expect(page.locator("info-mask input")).to_be_visible()
    assert violations(page) == []


def test_an_element_that_is_moved_and_changed(visit, make_server, other_origin):
    """As frameworks do: taken out and put elsewhere while it waits, or given another photo while it is out."""
    folder, origin = other_origin
    server = make_server(*PATIENT, "--cors-origins", origin)
    for name in ("coffee", "chelsea"):
        (folder / f"{name}.png").write_bytes((PHOTOS / f"{name}.png").read_bytes())
    (folder / "index.html").write_text(f"""<!doctype html><html lang="en"><title>shop</title><main></main><aside></aside>
      <script type="module" src="{server.url}/info-mask.js"></script><info-mask src="coffee.png"></info-mask>""")
    page = visit().go(origin + "/")
    note = page.locator("info-mask .note")
    page.evaluate("customElements.whenDefined('info-mask').then(() => document.querySelector('main').append(document.querySelector('info-mask')))")
    expect(note).to_contain_text("espresso: 6.86 nats")
    page.evaluate("""() => { const one = document.querySelector("info-mask"); one.remove(); one.setAttribute("src", "chelsea.png"); document.querySelector("aside").append(one); }""")
    expect(note).to_contain_text("tiger cat")
    expect(page.locator("info-mask input")).to_be_visible()
    with page.expect_request("**/v1/analyze?*") as asked:  # what is there is not asked for again, what is new is
        page.evaluate("""() => { const one = document.querySelector("info-mask"); document.querySelector("main").append(one); one.setAttribute("target", "lynx"); }""")
    assert "target=lynx" in asked.value.url


def test_the_element_says_what_went_wrong(visit, make_server, other_origin):
    folder, origin = other_origin
    server = make_server(*PATIENT, "--cors-origins", origin)
    (folder / "index.html").write_text(f"""<!doctype html><html lang="en"><title>shop</title>
      <script type="module" src="{server.url}/info-mask.js"></script><info-mask src="missing.png"></info-mask>""")
    page = visit().go(origin + "/")
    expect(page.locator("info-mask .note")).to_have_text("The photo is not there (404).")
