"""Every state of the page, in every size and scheme: nothing that axe-core objects to, nothing wider than the window, no
message on the console; SCREENSHOTS=DIR keeps a picture of each."""
import json

import pytest
from playwright.sync_api import expect

from conftest import PHOTOS, answered, choose, file, number, overflow, picture, violations

SIZES = [(1280, 800), (390, 844), (320, 640)]
CAT = (PHOTOS / "chelsea.png").read_bytes()


def phone(size):
    return {"has_touch": True, "is_mobile": True} if size[0] < 600 else {}


def first_view(page):
    expect(page.locator("#sentence")).to_contain_text("espresso")


def waiting(page):
    page.route("**/v1/analyze?*", lambda route: None)  # is never answered
    choose(page, file("cat.png", CAT))
    expect(page.locator("#status")).to_contain_text("Looking")


def busy(page):
    problem = {"detail": "too many requests wait already", "code": "overloaded", "status": 503}
    page.route("**/v1/analyze?*", lambda route: route.fulfill(
        status=503, headers={"Retry-After": "90", "Content-Type": "application/problem+json"}, body=json.dumps(problem)))
    choose(page, file("cat.png", CAT))
    expect(page.locator("#problem-says")).to_contain_text("asked again in")


def error(page):
    choose(page, file("torn.png", picture()[:80]))
    expect(page.locator("#problem")).to_be_visible()


def dead(page):
    page.route("**/v1/**", lambda route: route.abort())
    choose(page, file("cat.png", CAT))
    expect(page.locator("#problem-says")).to_contain_text("does not answer")


def key_wanted(page):
    page.route("**/v1/**", lambda route: route.fulfill(
        status=401, headers={"Content-Type": "application/problem+json"}, body='{"detail": "a key is wanted", "code": "unauthorized"}'))
    choose(page, file("cat.png", CAT))
    expect(page.locator("#key-card")).to_be_visible()


def verdict(word):
    def show(page):
        def answer(route):
            response = route.fetch()
            body = response.json()
            body["verification"].update(
                verdict=word, reason={"removed": "the place says no more of it than its surroundings: 0.5 beside 0.3 nats",
                                      "weakened": "the place itself still says it: 3.5 nats, its surroundings 2.0",
                                      "failed": "the place itself still says it: 4.9 nats"}[word])
            route.fulfill(response=response, json=body)
        page.route("**/v1/filter?*", answer)
        page.locator("[data-sample=rocket]").click()
        expect(page.locator("#verdict")).to_have_attribute("data-verdict", word)
        page.locator("#verdict").scroll_into_view_if_needed()
    return show


def brush(page):
    paint(page)
    expect(page.locator("#undo")).to_be_visible()
    page.locator("#brush-row").scroll_into_view_if_needed()


def paint(page):
    page.click("#brush")
    page.locator("#stage").scroll_into_view_if_needed()
    box = page.locator("info-mask .view").bounding_box()
    page.mouse.move(box["x"] + .35 * box["width"], box["y"] + .35 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + .5 * box["width"], box["y"] + .5 * box["height"], steps=6)
    page.mouse.up()
    answered(page)


def square(page):
    page.locator("info-mask .grid").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("info-mask .tip")).to_be_visible()


def outline(page):
    page.check("input[name=view][value=outline]", force=True)


def share(page):
    page.locator("#share").fill("40")
    answered(page)
    page.locator("#curve").scroll_into_view_if_needed()


def suggestions(page):
    page.fill("#target", "tiger")
    expect(page.locator("#names li").first).to_be_visible()


def helps(page):
    page.click("#nat summary")
    page.click("#more summary")
    page.wait_for_selector("#parameter-fill")
    page.locator("#nat").scroll_into_view_if_needed()


def several(page):
    choose(page, file("cat.png", CAT), file("torn.png", b"torn"))
    expect(page.locator("#strip button").nth(1)).to_contain_text("not read")
    expect(page.locator("#folder-says")).to_contain_text("1 of them")
    answered(page)


def status(page):
    page.click("#status-open")
    expect(page.locator("#status-body")).to_contain_text("ready")


def test_bars_are_to_one_scale(visit, server):
    """A row's bar is as long as its number, whatever else is in the row."""
    one = visit()
    page = one.go(server.url + "/#photo=chelsea")
    answered(page)
    rows = page.evaluate("""() => [...document.querySelectorAll(".class")].map((row) => {
      const bar = row.querySelector(".bar"); return [bar.getBoundingClientRect().width * parseFloat(bar.style.getPropertyValue("--much")), row.lastChild.textContent]; })""")
    scales = [width / number(nats) for width, nats in rows if number(nats) > .5]
    assert len(scales) >= 3 and max(scales) < 1.01 * min(scales)


STATES = {"first": first_view, "waiting": waiting, "busy": busy, "error": error, "dead": dead, "key": key_wanted,
          "removed": verdict("removed"), "weakened": verdict("weakened"), "failed": verdict("failed"), "brush": brush, "square": square,
          "outline": outline, "share": share, "suggestions": suggestions, "help": helps, "several": several, "status": status}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}")
def test_every_state(visit, server, size, scheme):
    one = visit(*size, color_scheme=scheme, **phone(size))
    page, wrong = one.go(server.url + "/"), []
    for name, show in STATES.items():
        page.unroute_all(behavior="ignoreErrors")
        page.goto(server.url + "/")
        answered(page)
        show(page)
        one.keep(f"{name}-{size[0]}-{scheme}")
        wrong += [(name, *found) for found in violations(page)]
        if overflow(page):
            wrong.append((name, "wider than the window by", overflow(page)))
    assert wrong == []
    assert [text for text in one.problems if "Failed to load resource" not in text] == []  # of the refusals, by the browser itself


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}")
def test_the_reference(visit, server, size, scheme):
    one = visit(*size, color_scheme=scheme, **phone(size))
    page = one.go(server.url + "/docs")
    section = page.locator("section:has(> h3:text-is('POST /v1/classify'))")
    one.keep(f"docs-{size[0]}-{scheme}")
    section.locator("summary").click()
    section.locator("[name=top_k]").fill("2")
    section.locator("button").click()
    expect(section.locator("pre").last).to_contain_text('"label": "espresso"')
    one.keep(f"docs-answer-{size[0]}-{scheme}")
    assert violations(page) == [] and one.problems == [] and overflow(page) == 0


def test_the_reference_wants_a_name_before_it_asks(visit, server):
    one = visit()
    page = one.go(server.url + "/docs")
    section = page.locator("section:has(> h3:text-is('GET /v1/models/{name}'))")
    section.locator("summary").click()
    count = len(one.requests)
    section.locator("button").click()
    expect(section.locator("input:invalid")).to_be_focused()
    assert len(one.requests) == count
    section.locator("input").fill("digits")
    section.locator("button").click()
    expect(section.locator("pre").last).to_contain_text('"name": "digits"')
