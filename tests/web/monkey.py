"""Hands that do anything at any time, on a service that is late, busy, locked or gone: whatever the page shows must be of the
photo, the class, the model and the choices that it names.  make monkey-web SEED=1 STEPS=300 RUNS=10

A proxy stands before the daemon.  It delays answers, refuses some, tears some, and keeps what it passed on: those records
say what may be shown.  After each step the page is looked at in one piece, and everything on it is searched for in them.
"""
import base64
import http.client
import http.server
import io
import json
import os
import pathlib
import random
import re
import sys
import threading
import time
import urllib.parse

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHOTOS, SAMPLES = ROOT / "tests" / "data" / "photos", ROOT / "server" / "web" / "photos"
SECRET = "the-key"
# what a filter alone takes: a change of it leaves classes and map as they are
FILTER_ONLY = {"fill", "fill_seed", "mode", "dilate", "feather", "trim", "until", "max_passes", "max_area"}


# ---- The proxy ---------------------------------------------------------------------------------------------------------

def parts_of(kind, body):
    """The parts of a multipart body by name."""
    mark = b"--" + re.search(r"boundary=\"?([^\";]+)", kind)[1].encode()
    found = {}
    for part in body.split(mark)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        found[re.search(rb'name="([^"]*)"', head)[1].decode()] = data.removesuffix(b"\r\n")
    return found


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    port = 0
    chance = random.Random(1)
    calm = locked = True
    gone_until = 0.0
    records = []

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route = self.path.partition("?")[0].removeprefix("/v1/")
        trouble = "" if self.calm or not self.path.startswith("/v1/") else self.trouble()
        if time.monotonic() < self.gone_until or trouble == "reset":
            self.close_connection = True
            return
        if self.locked and self.path.startswith("/v1/") and self.headers.get("Authorization") != f"Bearer {SECRET}":
            return self.refuse(401, "unauthorized", "a key is wanted")
        if trouble == "busy":
            return self.refuse(503, "overloaded", "too many requests wait already", {"Retry-After": "1"})
        if trouble == "broken":
            return self.refuse(500, "internal", "something went wrong")
        self.pass_on(route, body, torn=trouble == "torn")

    def trouble(self):
        time.sleep(self.chance.choice([0, 0, .02, .1, .3, .8]))
        return self.chance.choices(["", "busy", "broken", "reset", "torn"], [40, 5, 2, 2, 1])[0]

    def refuse(self, status, code, detail, headers=()):
        self.answer(status, {"Content-Type": "application/problem+json", **dict(headers)},
                    json.dumps({"status": status, "code": code, "detail": detail}).encode())

    def answer(self, status, headers, data, torn=False):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:len(data) // 2] if torn else data)
        self.close_connection = self.close_connection or torn

    def pass_on(self, route, body, torn):
        upstream = http.client.HTTPConnection("127.0.0.1", self.port)
        left_out = ("connection", "accept-encoding", "content-length", "if-none-match")
        upstream.request(self.command, self.path, body or None, {name: value for name, value in self.headers.items() if name.lower() not in left_out})
        answer = upstream.getresponse()
        data = answer.read()
        if answer.status == 200 and self.command == "POST" and route in ("classify", "mask", "analyze", "filter"):
            self.keep(route, body, json.loads(data))
        self.answer(answer.status, {name: value for name, value in answer.getheaders() if name.lower() not in ("connection", "content-length", "transfer-encoding", "date")},
                    data, torn)

    def keep(self, route, body, answer):
        kind = self.headers.get("Content-Type", "")
        parts = parts_of(kind, body) if kind.startswith("multipart/") else {"image": body}
        query = dict(urllib.parse.parse_qsl(self.path.partition("?")[2]))
        photo = next(data for name, data in parts.items() if name != "mask")
        self.records.append({"route": route, "photo": len(photo), "painted": "mask" in parts, "query": query, "answer": answer,
                             "image": len(base64.b64decode(answer["image"])) if route == "filter" else None,
                             "mask": len(base64.b64decode(answer["mask"]["png"])) if (answer.get("mask") or {}).get("png") else None})

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, http.client.HTTPException):
            pass  # the browser has called it off

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = forward

    def log_message(self, *_):
        pass


def proxy_before(port, seed):
    handler = type("Handler", (Proxy,), {"port": port, "chance": random.Random(seed), "records": [], "locked": False})
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    return listener, handler


# ---- What is seen ------------------------------------------------------------------------------------------------------

BEFORE = """const make = URL.createObjectURL; window.blobs = new Map();
URL.createObjectURL = (blob) => { const url = make.call(URL, blob); window.blobs.set(url, blob.size); return url; };"""

LOOK = """() => {
  const $ = (id) => document.getElementById(id), stage = $("stage"), root = stage.shadowRoot;
  const there = (node) => Boolean(node) && node.checkVisibility() && !node.closest(".stale");
  const text = (id) => (there($(id)) ? $(id).textContent : null);
  const link = (id) => (there($(id)) ? {name: $(id).download, size: window.blobs.get($(id).href)} : null);
  const badge = (name) => { const node = root?.querySelector(name); return node && !node.hidden ? node.textContent : null; };
  return {
    photo: stage.photo?.size ?? null, after: stage.after?.size ?? null, left: badge(".left"), right: badge(".right"),
    map: Boolean(root) && !root.querySelector(".map").hidden,
    sentence: there($("sentence")) ? $("sentence").querySelector("em").textContent : null,
    exactly: text("exactly"), thermometer: text("thermometer-says"),
    nat: $("nat").hidden || $("nat").closest(".stale") ? null : $("nat-worked").textContent,
    classes: there($("classes-card")) ? [...$("classes").querySelectorAll("button")].map((row) =>
      [row.children[0].textContent, row.children[2].textContent, row.getAttribute("aria-pressed")]) : null,
    legend: text("legend-high"), against: there($("against")) && !$("against").ariaBusy ? $("against").selectedOptions[0]?.textContent : null,
    verdict: text("verdict-title"), says: text("verdict-says"), download: link("download"), mask: link("download-mask"),
    share: there($("take")) ? $("share-says").textContent : null, curve: text("curve-says"),
    request: $("more").hidden ? null : $("request").textContent,
    sample: document.querySelector("[data-sample][aria-current=true]")?.dataset.sample ?? "",
    strip: [...$("strip").querySelectorAll("button")].map((one) => [one.querySelector("b").textContent, one.querySelector("span").textContent]),
    busy: document.body.hasAttribute("aria-busy"), problem: text("problem-says"), key: there($("key-card")), status: $("status").textContent,
    values: Object.fromEntries([...document.querySelectorAll("#parameters [name]")].map((field) => [field.name, field.checkValidity() ? field.value : ""])),
  };
}"""


def number(text):
    return float(text.replace("−", "-").replace(",", ""))


def near(said, value):
    return value is not None and abs(number(said) - value) < .0051


class Judge:
    """Looks for everything that is shown among the answers that were passed on."""

    def __init__(self, records, names, default):
        self.records, self.names, self.default = records, names, default  # names: of photos, by the bytes that are sent

    def fits(self, record, seen):
        values = {name: value for name, value in seen["values"].items() if value != ""}
        model = values.pop("model", self.default)
        if record["photo"] != seen["photo"] or record["answer"]["model"]["name"] != model:
            return False
        return all(record["query"].get(name) == value for name, value in values.items()
                   if name not in ("threshold", "trim", "method") and (record["route"] == "filter" or name not in FILTER_ONLY))

    def of(self, seen, *routes):
        return [record for record in list(self.records) if record["route"] in routes and self.fits(record, seen)]

    @staticmethod
    def row(answer):
        return answer.get("target") or answer["predictions"][0]

    def wrong(self, seen):
        """Sentences on what must not be seen."""
        told = [getattr(self, name)(seen) for name in ("told_sentence", "told_classes", "told_map", "told_verdict", "told_files", "told_request",
                                                       "told_curve", "told_strip")]
        return [text for text in told if text]

    def told_sentence(self, seen):
        if seen["sentence"] is None:
            return seen["nat"] and f"what a nat is is told by numbers of another photo: {seen['nat'][:60]}"
        label = seen["sentence"].strip("“”")
        pmi = re.search(r"information: ([−\d.,]+) nats", seen["exactly"])[1]
        whole = re.search(r"; ([−\d.,]+) in the whole photo", seen["thermometer"] or "")
        for record in self.of(seen, "analyze"):
            row = self.row(record["answer"])
            if row["label"] == label and near(pmi, row["pmi"]) and (not whole or near(whole[1], record["answer"]["map"]["pmi"])):
                break
        else:
            return f"the sentence is of no answer to this question: {label}, {pmi}"
        if seen["nat"] and (f"“{label}”" not in seen["nat"] or f"= {pmi} nats" not in seen["nat"]):
            return f"what a nat is is told by another number: {seen['nat']}"
        return None

    def told_classes(self, seen):
        if seen["classes"] is None:
            return None
        rows = {(row["label"], round(row["pmi"], 4)) for record in self.of(seen, "analyze", "mask")
                for row in [*record["answer"].get("predictions", []), self.row(record["answer"])]}
        for label, nats, _ in seen["classes"]:
            if not any(label == name and near(nats.removesuffix(" nats"), pmi) for name, pmi in rows):
                return f"a class's number is of no answer to this question: {label} {nats}"
        pressed = [label for label, _, pressed in seen["classes"] if pressed == "true"]
        return None if seen["sentence"] is None or pressed == [seen["sentence"].strip("“”")] else f"{pressed} is chosen beside {seen['sentence']}"

    def told_map(self, seen):
        if seen["legend"] is None:
            return seen["left"] and seen["map"] and f"a caption without a map: {seen['left']}"
        high, mean, rather = re.match(r"([−\d.,]+) nats a square; mean ([−\d.,]+)(?:, rather than (.*))?$", seen["legend"]).groups()
        label = seen["sentence"].strip("“”")
        if seen["left"] != f"what speaks for {label}" + (f" rather than {rather}" if rather else ""):
            return f"the caption {seen['left']} beside {label} and {seen['legend']}"
        if seen["against"] and rather != (seen["against"] if seen["against"] != "rather than …" else None):
            return f"the choice {seen['against']} beside the map {seen['legend']}"
        maps = [(self.row(record["answer"])["label"], record["answer"]["map"]) for record in self.of(seen, "analyze", "mask")]
        for _, one in (pair for pair in maps if pair[0] == label):
            others = [other for name, other in maps if name == rather] if rather else [None]
            for other in others:
                cells = [[a - (other["cells"][y][x] if other else 0) for x, a in enumerate(row)] for y, row in enumerate(one["cells"])]
                if near(high, max(0, max(map(max, cells)))) and near(mean, one["mean"] - (other["mean"] if other else 0)):
                    return None
        return f"the map is of no answer to this question: {label}, {seen['legend']}"

    def verdicts(self, seen):
        label, share = (seen["sentence"] or "").strip("“”"), re.match(r"(\d+) %", seen["share"] or "")
        threshold = f"share:{int(share[1]) / 100:g}" if share else seen["values"].get("threshold") or None
        painted = "painted" in (seen["share"] or "")
        return [record for record in self.of(seen, "filter") if record["answer"]["target"]["label"] == label and record["painted"] == painted
                and (painted or record["query"].get("threshold") == threshold)]

    def told_verdict(self, seen):
        if seen["verdict"] is None:
            return seen["after"] is not None and "a picture behind the slider without a verdict"
        before, after = re.match(r"([−\d.,]+) → ([−\d.,]+) nats", seen["says"]).groups()
        for record in self.verdicts(seen):
            one = record["answer"]["verification"]
            if near(before, one["pmi_before"]) and near(after, one["pmi_after"]) and record["image"] == seen["after"] == (seen["download"] or {}).get("size"):
                return None
        return f"the verdict is of no answer to this question: {seen['says'][:80]} ({seen['share']})"

    def told_files(self, seen):
        label, stem = (seen["sentence"] or "").strip("“”"), self.names.get(seen["photo"], "?")
        plain = re.sub(r"[^\w.-]+", "-", label).strip("-")
        for name in ("download", "mask"):
            if seen[name] and not (seen[name]["name"].startswith(f"{stem}-") and plain in seen[name]["name"]):
                return f"a file {seen[name]['name']} beside {stem} and {label}"
        masks = {record["mask"] for record in [*self.of(seen, "analyze"), *self.of(seen, "filter")] if self.row(record["answer"])["label"] == label}
        if seen["mask"] and seen["mask"]["size"] not in masks:
            return f"the mask's file is of no answer to this question: {seen['mask']}"
        sample = seen["sample"]
        return sample and seen["photo"] and seen["photo"] != (SAMPLES / f"{sample}.jpg").stat().st_size and f"our photo {sample} is marked beside another one"

    def told_request(self, seen):
        stem = self.names.get(seen["photo"], "")
        return bool(seen["request"] and seen["photo"]) and f"@{stem}" not in seen["request"] and f"the request names another photo than {stem}: {seen['request']}"

    def told_curve(self, seen):
        for share, nats in re.findall(r"(\d+) % → ([−\d.,]+)", seen["curve"] or ""):
            label = (seen["sentence"] or "").strip("“”")
            answers = [record["answer"]["verification"] for record in self.of(seen, "filter") if record["answer"]["target"]["label"] == label]
            if not any(near(nats, one["pmi_before" if share == "0" else "pmi_after"]) for one in answers):
                return f"the curve's {share} % → {nats} is of no answer to this question"
        return None

    def told_strip(self, seen):
        sizes = {name: size for size, name in self.names.items()}
        for name, says in seen["strip"]:
            said = re.match(r"(.*), ([−\d.,]+) nats$", says)
            rows = [record["answer"]["predictions"][0] for record in list(self.records) if record["route"] == "classify" and record["photo"] == sizes[name.split(".")[0]]
                    and record["answer"]["model"]["name"] == (seen["values"].get("model") or self.default)]
            if said and not any(row["label"] == said[1] and near(said[2], row["pmi"]) for row in rows):
                return f"a thumbnail's number is of no answer to this question: {name}: {says}"
        return None


# ---- Hands -------------------------------------------------------------------------------------------------------------

def pictures():
    """Photos of different sizes in bytes: that is what they are told apart by. {name: bytes}"""
    found = {}
    for name, source, box in [("cup", "coffee", (0, 0, 240, 160)), ("cat", "chelsea", (60, 20, 300, 180)), ("saucer", "coffee", (150, 100, 390, 260)),
                              ("whiskers", "chelsea", (120, 60, 320, 260)), ("wood", "coffee", (300, 200, 540, 360))]:
        out = io.BytesIO()
        Image.open(PHOTOS / f"{source}.png").convert("RGB").crop(box).save(out, "JPEG", quality=88)
        found[name] = out.getvalue()
    return found


HAND_IN = """([way, files]) => {
  const transfer = new DataTransfer();
  for (const [name, data] of files) transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, {type: "image/jpeg"}));
  document.dispatchEvent(way === "paste" ? new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true})
    : new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""
CLICK = """([selector, which]) => {
  const nodes = [...document.querySelectorAll(selector)].filter((node) => node.checkVisibility() && !node.closest("[inert]"));
  if (nodes.length) nodes[which % nodes.length].click();
  return nodes.length > 0;
}"""
SET = """([selector, value, events]) => {
  const node = document.querySelector(selector);
  if (!node || !node.checkVisibility() || node.closest("[inert]")) return;
  if (node.tagName === "SELECT") node.selectedIndex = Number.isInteger(value) ? value % node.options.length : [...node.options].findIndex((one) => one.value === value);
  else node.value = value;
  for (const name of events) node.dispatchEvent(new Event(name, {bubbles: true}));
}"""


class Monkey:
    def __init__(self, page, proxy, chance):
        self.page, self.proxy, self.chance, self.done, self.photos = page, proxy, chance, [], pictures()
        self.ways = [getattr(self, name) for name in dir(self) if name.startswith("do_")]
        self.weights = [{"do_photo": 8, "do_class": 6, "do_share": 5, "do_sample": 4, "do_stroke": 4, "do_wait": 6}.get(way.__name__, 2) for way in self.ways]

    def click(self, selector, which=0):
        return self.page.evaluate(CLICK, [selector, which])

    def some(self):
        return self.chance.randrange(1000)

    def step(self):
        way = self.chance.choices(self.ways, self.weights)[0]
        self.done.append(way.__name__.removeprefix("do_"))
        said = way()
        if said:
            self.done[-1] += f" {said}"

    def hand_in(self, way, *names):
        self.page.evaluate(HAND_IN, [way, [(f"{name}.jpg", base64.b64encode(self.photos.get(name, b"broken")).decode()) for name in names]])
        return " ".join(names)

    def do_photo(self):
        return self.hand_in(self.chance.choice(["paste", "drop"]), self.chance.choice(list(self.photos)))

    def do_broken(self):
        return self.hand_in("drop", "broken")

    def do_several(self):
        return self.hand_in("drop", *self.chance.sample(list(self.photos), 3))

    def do_thumbnail(self):
        self.click("#strip button", self.some())

    def do_sample(self):
        self.click("[data-sample]", self.some())

    def do_class(self):
        self.click("#classes button", self.some())

    def do_name(self):
        name = self.chance.choice(["cup", "tabby", "dog", "crane", "7", "no such thing", "wooden spoon"])
        self.page.evaluate(SET, ["#target", name, ["input"]])
        self.page.evaluate("() => document.querySelector('#target').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))")
        return name

    def do_against(self):
        self.page.evaluate(SET, ["#against", self.some(), ["change"]])

    def do_share(self):
        value = self.chance.choice([10, 40, 70, 100])
        self.page.evaluate(SET, ["#share", str(value), ["input"]])
        between = self.chance.choice(["", "", "photo", "class"])  # while it is held
        if between:
            getattr(self, f"do_{between}")()
        self.page.evaluate(SET, ["#share", str(value), ["input", "change"]])
        return f"{value} {between}"

    def do_own_rule(self):
        self.click("#share-auto")

    def do_brush(self):
        self.click("#brush")

    def do_stroke(self):
        box = self.page.locator("info-mask .view").bounding_box()
        x, y = (box["x"] + self.chance.uniform(.1, .9) * box["width"], box["y"] + self.chance.uniform(.1, .9) * box["height"])
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + 30, y + 20, steps=3)
        if self.some() % 5 == 0:
            self.do_photo()
        self.page.mouse.up()

    def do_undo(self):
        self.click(self.chance.choice(["#undo", "#unpaint"]))

    def do_take_along(self):
        what = self.chance.choice(["#cutout", "#card", "#link", "[data-copy]"])
        self.click(what, self.some())
        return what

    def do_view(self):
        self.click("input[name=view]", self.some())

    def do_parameter(self):
        if not self.page.evaluate("() => document.querySelector('#parameters').childElementCount > 0"):
            self.click("#more summary")
            return "more"
        name, value = self.chance.choice([("fill", "mean"), ("fill", "inpaint"), ("fill", ""), ("dilate", "6"), ("dilate", ""), ("mode", "keep"), ("mode", "remove"),
                                          ("prior", "uniform"), ("prior", ""), ("quality", "fast"), ("quality", "fast"), ("refine", "false"), ("refine", ""),
                                          ("model", "digits"), ("model", "digits"), ("model", ""), ("model", "")])
        self.page.evaluate(SET, [f"#parameter-{name}", value, ["change"]])
        return f"{name}={value}"

    def do_reset(self):
        self.click("#reset")

    def do_more(self):
        self.click("#more summary")

    def do_again(self):
        self.click("#again")

    def do_cancel(self):
        self.click("#cancel")

    def do_measure(self):
        self.click(self.chance.choice(["#measure", "#measure-stop"]))

    def do_status(self):
        self.click("#status-open")
        self.click("#status-view button")

    def do_link(self):
        link = self.chance.choice(["#photo=chelsea", "#target=cup&photo=coffee", "#dilate=5", "#", "#target=dog&share=40", "back", "forward"])
        if link in ("back", "forward"):
            here = self.page.evaluate("() => history.state === null && location.href")
            if here and "#" in here:
                self.page.evaluate(f"() => history.{link}()")
        else:
            self.page.evaluate("(link) => { location.hash = link; }", link)
        return link

    def do_lock(self):
        self.proxy.locked = not self.proxy.locked

    def do_key(self):
        if self.page.evaluate("() => document.querySelector('#key-card').checkVisibility()"):
            self.page.evaluate(SET, ["#key", self.chance.choice(["wrong", SECRET, SECRET]), []])
            self.click("#key-card button")

    def do_gone(self):
        self.proxy.gone_until = time.monotonic() + self.chance.uniform(.1, 1.5)

    def do_wait(self):
        self.page.wait_for_timeout(self.chance.choice([20, 100, 400, 1500]))


def settle(page, seconds=60):
    """Waits until nothing is under way, or says what is."""
    until, quiet = time.monotonic() + seconds, 0
    while time.monotonic() < until and quiet < 3:
        page.wait_for_timeout(50)
        seen = page.evaluate(LOOK)
        quiet = 0 if seen["busy"] else quiet + 1
    if quiet < 3:
        return seen, f"busy for {seconds} s: {seen['status']}"
    shown = seen["verdict"] or seen["problem"] or seen["key"] or seen["status"] == "Called off."
    return seen, None if shown else f"nothing is under way, and neither an answer nor a reason is shown: {seen['status']!r}"


def run(visit, url, port, seed, steps, default="efficientnet-lite0"):
    """One run. [what was wrong]"""
    listener, proxy = proxy_before(port, seed)
    chance, page = random.Random(seed), visit.page
    page.add_init_script(BEFORE)
    page.goto(url.format(port=listener.server_port))
    monkey, names = Monkey(page, proxy, chance), {}
    names.update({len(data): name for name, data in monkey.photos.items()} | {one.stat().st_size: one.stem for one in SAMPLES.glob("*.jpg")}
                 | {len(b"broken"): "broken"})
    judge, wrong = Judge(proxy.records, names, default), []
    settle(page)
    proxy.calm = False

    def tell(where, found):  # each kind once
        wrong.extend(f"step {where}: {text}\n    after {', '.join(monkey.done[-10:])}" for text in found if not any(text[:25] in one for one in wrong))

    def look(where):
        tell(where, judge.wrong(page.evaluate(LOOK)))
    for number_ in range(steps):
        monkey.step()
        look(number_)
        if number_ % 5 == 4:
            page.wait_for_timeout(chance.choice([0, 50, 150]))
            look(number_)
        if number_ % 30 == 29:
            seen, why = settle(page)
            tell(f"{number_}, at rest", [*judge.wrong(seen), *([why] if why else [])])
    proxy.calm, proxy.locked, proxy.gone_until = True, False, 0
    monkey.hand_in("drop", "cup")
    seen, why = settle(page)
    if why or not seen["verdict"]:
        wrong.append(f"at the end: no answer from a service that is well again: {why or seen['problem']}")
    wrong += [f"said by the browser: {text}" for text in visit.problems if "Failed to load resource" not in text]
    listener.shutdown()
    return wrong


def main():
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    from playwright.sync_api import sync_playwright
    from conftest import CHROMIUM, FLAGS, PATIENT, Visit, http_conftest
    first, steps, runs = (int(os.environ.get(name) or value) for name, value in (("SEED", 1), ("STEPS", 300), ("RUNS", 10)))
    server, failed = http_conftest.Server(*PATIENT, "--cache", 200_000_000), 0
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
            for seed in range(first, first + runs):
                visit = Visit(browser, *random.Random(seed).choice([(1280, 800), (390, 844)]))
                wrong = run(visit, "http://127.0.0.1:{port}/", server.port, seed, steps)
                visit.context.close()
                failed += bool(wrong)
                print(f"seed {seed}: {steps} steps, {len(wrong)} wrong", *wrong, sep="\n  ", flush=True)
            browser.close()
    finally:
        server.stop()
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
