"""Hands in odd orders: whatever comes late, nothing of another photo, class, model or choice is shown, and nothing gets stuck."""
import re

import pytest
from playwright.sync_api import expect

import monkey
from conftest import PHOTOS, answered, choose, file, http_conftest, picture

CAT = (PHOTOS / "chelsea.png").read_bytes()


def hold(page, pattern, times=1):
    """Requests that wait until they are let go."""
    held = []
    page.route(pattern, lambda route: held.append(route) if len(held) < times else route.continue_())
    return held


def comes(page, held, count=1):
    http_conftest.until(lambda: page.wait_for_timeout(20) or len(held) >= count)


# ---- A monkey, and the one who judges it -------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", [1, 2])
def test_a_monkey(visit, server, seed):
    assert monkey.run(visit(), "http://127.0.0.1:{port}/", server.port, seed, 120) == []


def test_the_judge_says_no(visit, server):
    """Each thing that is shown is told to be wrong where it is another's."""
    listener, proxy = monkey.proxy_before(server.port, 1)
    proxy.calm = True
    one = visit()
    one.page.add_init_script(monkey.BEFORE)
    page = one.go(f"http://127.0.0.1:{listener.server_port}/")
    answered(page)
    page.click("#more summary")
    page.wait_for_selector("#parameter-fill")
    page.locator("#share").fill("40")
    answered(page)
    choose(page, file("cup.png", (PHOTOS / "coffee.png").read_bytes()), file("cat.png", CAT))
    expect(page.locator("#strip button").nth(1)).to_contain_text("nats")
    answered(page)
    page.locator("#share").fill("40")
    answered(page)
    names = {(PHOTOS / "coffee.png").stat().st_size: "cup", len(CAT): "cat"}
    judge, seen = monkey.Judge(proxy.records, names, "efficientnet-lite0"), page.evaluate(monkey.LOOK)
    assert judge.wrong(seen) == []
    values, other = seen["values"], len(CAT)
    for change in [{"photo": other}, {"after": 1}, {"sentence": "“cat”"}, {"exactly": seen["exactly"].replace("information: ", "information: 1")},
                   {"thermometer": re.sub(r"; [\d.]+ in", "; 9.99 in", seen["thermometer"])}, {"nat": "Before looking, “cat” …"},
                   {"classes": [[name, "0.01 nats", pressed] for name, _, pressed in seen["classes"]]},
                   {"classes": [[name, says, "false"] for name, says, _ in seen["classes"]]}, {"legend": "1.00 nats a square; mean 1.00"},
                   {"left": "what speaks for cat"}, {"against": "cat"}, {"says": "1.00 → 2.00 nats on the very file"}, {"share": "the service's own rule"},
                   {"download": {"name": "cat-without-espresso.png", "size": seen["download"]["size"]}}, {"download": {**seen["download"], "size": 1}},
                   {"mask": {**seen["mask"], "size": 1}}, {"sample": "rocket"}, {"request": "curl --data-binary @photo.jpg"},
                   {"curve": "40 % → 9.99"}, {"strip": [["cat.png", "tabby, 0.10 nats"]]}, {"verdict": None},
                   {"values": {**values, "model": "digits"}}, {"values": {**values, "fill": "mean"}}, {"values": {**values, "prior": "uniform"}}]:
        assert judge.wrong({**seen, **change}), change
    listener.shutdown()


# ---- One story each ------------------------------------------------------------------------------------------------------------

def test_a_sample_that_comes_late_is_not_shown(shown):
    page = shown.page
    held = hold(page, "**/web/rocket.jpg")
    page.locator("[data-sample=rocket]").click()
    expect(page.locator("#saying")).to_be_hidden()  # what was there goes at once
    comes(page, held)
    choose(page, file("cat.png", CAT))
    answered(page)
    held[0].continue_()
    page.wait_for_timeout(300)
    expect(page.locator("#sentence")).to_contain_text("cat")
    expect(page.locator("#download")).to_have_attribute("download", re.compile("^cat-"))


def test_what_a_nat_is_is_told_by_the_photo_that_is_there(shown):
    page = shown.page
    held = hold(page, "**/v1/analyze?*")
    page.click("#more summary")
    choose(page, file("second.png", picture()))
    comes(page, held)
    expect(page.locator("#nat")).to_be_hidden()
    expect(page.locator("#request")).to_contain_text("second.png")


def test_a_refused_class_leaves_the_one_that_is_shown(shown):
    """After a class that there is not, the slider is of the class that is shown."""
    page = shown.page
    page.fill("#target", "no such thing")
    page.keyboard.press("Enter")
    expect(page.locator("#problem-says")).to_contain_text("no such thing")
    with page.expect_response("**/v1/filter?*") as asked:
        page.locator("#share").fill("50")
    assert asked.value.ok and "no+such" not in asked.value.url
    answered(page)
    expect(page.locator("#sentence")).to_contain_text("espresso")
    expect(page.locator("#problem")).to_be_hidden()


def test_the_slider_while_a_class_is_on_its_way_is_of_that_class(shown):
    page = shown.page
    held = hold(page, "**/v1/analyze?*")
    page.locator(".class").nth(2).click()
    name = page.locator(".class").nth(2).locator("span").first.inner_text()
    comes(page, held)
    expect(page.locator("#sentence")).to_contain_text("espresso")  # until the answer is there
    with page.expect_response("**/v1/filter?*threshold=share*") as asked:
        page.locator("#share").fill("50")
    answered(page)
    assert "target=" in asked.value.url
    expect(page.locator("#sentence em")).to_have_text(f"“{name}”")
    expect(page.locator("#download")).to_have_attribute("download", re.compile(re.sub(r"\W+", "-", name)))


def test_a_class_that_is_known_is_not_asked_about_twice(shown):
    page = shown.page
    page.locator(".class").nth(1).click()
    answered(page)
    count = len([request for request in shown.posts() if "/analyze" in request.url])
    page.locator(".class").first.click()
    expect(page.locator("#sentence")).to_contain_text("espresso")
    answered(page)
    assert len([request for request in shown.posts() if "/analyze" in request.url]) == count


def test_a_cut_out_does_not_call_the_filter_off(shown):
    page = shown.page
    held = hold(page, "**/v1/filter?*")
    page.locator(".class").nth(1).click()
    comes(page, held)
    with page.expect_download() as download:
        page.click("#cutout")
    assert download.value.suggested_filename.endswith("-cutout.png")
    held[0].continue_()
    answered(page)


def test_a_comparison_is_of_the_photo_that_is_there(shown):
    page = shown.page
    held = hold(page, "**/v1/mask?*")
    page.select_option("#against", index=1)
    comes(page, held)
    choose(page, file("cat.png", CAT))
    answered(page)
    legend = page.locator("#legend-high").inner_text()
    held[0].abort()
    page.wait_for_timeout(200)
    assert page.locator("#legend-high").inner_text() == legend and "rather" not in legend
    expect(page.locator("#problem")).to_be_hidden()


def test_another_model_has_its_own_numbers_everywhere(shown):
    page = shown.page
    choose(page, file("cup.png", (PHOTOS / "coffee.png").read_bytes()), file("cat.png", CAT))
    expect(page.locator("#strip button").nth(1)).to_contain_text("cat")
    answered(page)
    page.click("#more summary")
    held = hold(page, "**/v1/analyze?*")
    page.select_option("#parameter-model", "digits")
    comes(page, held)
    expect(page.locator("#saying")).to_have_class(re.compile("stale"))
    for name in ("#download", "#verdict"):
        expect(page.locator(name)).to_be_hidden()
    expect(page.locator("#strip button").nth(1)).not_to_contain_text("cat, ")
    held[0].continue_()
    answered(page)
    expect(page.locator("#saying")).not_to_have_class(re.compile("stale"))
    rows = page.locator("#classes button span:first-child").all_inner_texts()
    assert rows and all(len(row) == 1 for row in rows)  # digits
    expect(page.locator("#strip button").nth(1)).to_contain_text(re.compile(r"\d, [−\d.]+ nats"))


def test_another_prior_is_in_every_row(visit, server):
    one = visit()
    page = one.go(server.url + "/#model=digits")
    answered(page)
    before = page.locator("#classes .nats").all_inner_texts()
    page.click("#more summary")
    with page.expect_response("**/v1/analyze?*prior=*") as asked:
        page.fill("#parameter-prior", ".55,.05,.05,.05,.05,.05,.05,.05,.05,.05")
        page.keyboard.press("Tab")
    answered(page)
    told = dict(zip(page.locator("#classes button span:first-child").all_inner_texts(), page.locator("#classes .nats").all_inner_texts()))
    assert told == {row["label"]: f"{row['pmi']:.2f} nats".replace("-", "−") for row in asked.value.json()["predictions"]}
    assert list(told.values()) != before


def test_another_link_in_the_same_tab(shown):
    page = shown.page
    page.evaluate("location.hash = '#photo=chelsea&fill=mean'")
    expect(page.locator("#sentence")).to_contain_text("cat")
    answered(page)
    assert "fill=mean" in shown.posts()[-1].url
    with page.expect_request("**/v1/filter?*") as asked:
        page.go_back()  # to no choices, and no photo: the one that is there stays
    assert "fill=mean" not in asked.value.url
    answered(page)
    expect(page.locator("#sentence")).to_contain_text("cat")


def test_back_from_another_page(shown, server):
    """What a browser keeps of a form, the page would not know of."""
    page = shown.page
    page.check("input[name=view][value=outline]", force=True)
    page.locator("#share").fill("40")
    answered(page)
    page.evaluate("window.addEventListener('unload', () => {})")  # the page is made anew, not thawed
    page.goto(server.url + "/docs")
    page.go_back()
    answered(page)
    page.wait_for_load_state()
    assert page.locator("input[name=view]:checked").get_attribute("value") == (page.locator("#stage").get_attribute("view") or "map")
    expect(page.locator("#share-says")).to_contain_text("own rule")
    assert page.locator("#share").input_value() == page.locator("#share").get_attribute("value")


def test_a_link_in_bits_does_not_call_them_nats(visit, server):
    one = visit()
    page = one.go(server.url + "/#units=bits&top_k=2&format=png")
    answered(page)
    expect(page.locator("#exactly")).to_contain_text("6.71 nats, or 9.7 yes/no")


def test_a_name_that_two_classes_share_is_copied_by_its_number(shown):
    said = shown.page.evaluate("""async () => {
      const {Names} = await import(new URL("web/names.js", document.baseURI)), names = new Names(() => {});
      names.set([{index: 3, label: "crane"}, {index: 4, label: "crane"}, {index: 5, label: "cup"}, {index: 6, label: "2019"}, {index: 7, label: "tank"},
        {index: 8, label: "group:dog"}, {index: 9, label: "Big_cat"}, {index: 10, label: "lion", aliases: ["big cat"]}],
        [{name: "tank", size: 2}, {name: "dog", size: 118}]);
      return [["3", "crane"], ["5", "cup"], ["6", "2019"], ["group:tank", "tank"], ["group:dog", "dog"], ["", "cup"], ["8", "group:dog"], ["9", "Big_cat"], ["10", "lion"]].map(([key, label]) => names.say(key, label)); }""")
    assert said == ["3", "cup", "6", "group:tank", "dog", "", "8", "9", "lion"]


@pytest.mark.parametrize("button, start", [("#again", "error"), ("#share-auto", "share"), ("#undo", "brush"), ("#cancel", "busy")])
def test_the_keys_stay_where_they_are_when_their_button_goes(shown, button, start):
    page = shown.page
    if start == "error":
        page.route("**/v1/filter?*", lambda route: route.abort() if not page.locator("#again").is_visible() else route.continue_())
        page.locator(".class").nth(1).click()
    elif start == "busy":
        page.route("**/v1/filter?*", lambda route: route.fulfill(status=503, headers={"Retry-After": "30"}, body="{}"))
        page.locator(".class").nth(1).click()
    elif start == "share":
        page.locator("#share").fill("40")
        answered(page)
    else:
        page.click("#brush")
        page.locator("info-mask .grid").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        answered(page)
    page.locator(button).focus()
    page.unroute_all(behavior="ignoreErrors")
    page.keyboard.press("Enter")
    expect(page.locator(button)).to_be_hidden()
    assert page.evaluate("document.activeElement !== document.body")


def test_photos_that_were_locked_out_are_looked_at_with_the_key(visit, server):
    listener, proxy = monkey.proxy_before(server.port, 1)
    proxy.calm, proxy.locked = True, True
    page = visit().go(f"http://127.0.0.1:{listener.server_port}/")
    expect(page.locator("#key-card")).to_be_visible()
    choose(page, file("cup.png", (PHOTOS / "coffee.png").read_bytes()), file("cat.png", CAT))
    expect(page.locator("#strip button").nth(1)).to_contain_text("not read")
    page.fill("#key", monkey.SECRET)
    page.keyboard.press("Enter")
    answered(page)
    expect(page.locator("#strip button").nth(1)).to_contain_text("nats")
    expect(page.locator("#sentence")).to_contain_text("espresso")  # the photo that was chosen while it was locked
    listener.shutdown()


def test_a_folder_without_photos(shown, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no photo")
    shown.page.set_input_files("#folder", str(tmp_path / "notes"))
    expect(shown.page.locator("#problem-says")).to_have_text("There is no photo among them.")
    assert shown.problems == []
