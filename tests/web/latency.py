"""How long people wait: a photo dropped to its classes and its map, another class chosen, a slider moved.  make bench-web

The daemon, the browser and this script share the machine; the least of several runs is what the page itself takes, the
median what this machine gave.  Nothing is cached: each photo is another one.  On a busy machine both say little; the last two
rows are the processor's time for a drop until its map is there, of the page's main thread and of the daemon.
"""
import base64
import io
import atexit
import os
import pathlib
import statistics

import numpy
from PIL import Image
from playwright.sync_api import sync_playwright

from conftest import CHROMIUM, FLAGS, PATIENT, PHOTOS, Visit, answered, http_conftest

ROUNDS = int(os.environ.get("ROUNDS", "8"))
DROP = """([data, whole]) => new Promise((resolve) => {
  const transfer = new DataTransfer(), found = {}, bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  transfer.items.add(new File([bytes], "photo.jpg", {type: "image/jpeg"}));
  const began = performance.now(), stage = document.querySelector("info-mask"), map = stage.shadowRoot.querySelector(".map");
  const look = (now) => {
    const said = !document.querySelector("#saying").hidden, busy = document.body.hasAttribute("aria-busy");
    if (said && found.gone) found.classes ??= now - began;
    if (!said) found.gone = true;
    if (found.classes && !map.hidden) found.map ??= now - began;
    if (found.map && !whole) return resolve(found);
    if (found.map && !busy) { found.without = now - began; return resolve(found); }
    requestAnimationFrame(look);
  };
  document.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
  requestAnimationFrame(look);
})"""
CHOOSE = """(which) => new Promise((resolve) => {
  const before = document.querySelector("#sentence em").textContent, began = performance.now();
  document.querySelectorAll(".class")[which].click();
  const look = (now) => {
    if (document.querySelector("#sentence em").textContent !== before) resolve({map: now - began}); else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""
SLIDE = """([within, frames]) => new Promise((resolve) => {
  const stage = document.querySelector("info-mask"), slider = within ? stage.shadowRoot.querySelector("input") : document.querySelector("#share");
  const times = [], low = Number(slider.min), high = Number(slider.max);
  const step = (now) => {
    times.push(now);
    if (times.length > frames) return resolve(times.slice(1).map((time, i) => time - times[i]));
    slider.value = low + (high - low) * (.5 + .5 * Math.sin(times.length / 9));
    slider.dispatchEvent(new Event("input"));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def photos():
    """The cup of coffee, each time with other noise, so that no two are the same."""
    picture = numpy.asarray(Image.open(PHOTOS.parents[2] / "server/web/photos/coffee.jpg").convert("RGB")).astype(int)
    for i in range(ROUNDS + 1):
        out = io.BytesIO()
        noise = numpy.random.default_rng(i).integers(-2, 3, picture.shape)
        Image.fromarray((picture + noise).clip(0, 255).astype("uint8")).save(out, "JPEG", quality=90)
        yield base64.b64encode(out.getvalue()).decode()


def tell(name, target, times):
    print(f"| {name} | {min(times):.0f} | {statistics.median(times):.0f} | {target} |")


def processor(one, server, action):
    """Milliseconds of the page's main thread and of the daemon while it is done."""
    session = one.context.new_cdp_session(one.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def page_ms():
        return 1000 * next(row["value"] for row in session.send("Performance.getMetrics")["metrics"] if row["name"] == "TaskDuration")

    def daemon_ms():
        fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    before = page_ms(), daemon_ms()
    action()
    after = page_ms(), daemon_ms()
    session.detach()
    answered(one.page)
    return after[0] - before[0], after[1] - before[1]


def main():
    server = http_conftest.Server(*PATIENT)
    atexit.register(server.process.kill)  # whatever happens
    with sync_playwright() as playwright:
        one = Visit(playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True))
        page = one.go(server.url + "/")
        answered(page)
        pictures = list(photos())
        drops = [page.evaluate(DROP, [data, True]) for data in pictures][1:]
        spent = [processor(one, server, lambda data=data: page.evaluate(DROP, [data, False])) for data in pictures][1:]
        chosen = []
        for i in range(ROUNDS):
            with page.expect_response("**/v1/filter?*"):
                page.locator(f"[data-sample={'coffee' if i % 2 else 'chelsea'}]").click()  # maps of the last one are forgotten
            answered(page)
            chosen.append(page.evaluate(CHOOSE, 1 + i % 4)["map"])
            answered(page)
        frames = {within: page.evaluate(SLIDE, [within, 180]) for within in (True, False)}
        one.context.browser.close()
    server.stop()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| from | least ms | median ms | target |\n|---|---|---|---|")
    tell("a photo is dropped to its classes", 100, [drop["classes"] for drop in drops])
    tell("… to its map", 150, [drop["map"] for drop in drops])
    tell("… to the photo without it, verified", "", [drop["without"] for drop in drops])
    tell("another class is chosen to its map", 300, chosen)
    tell("processor's time, the page", "", [page_ms for page_ms, _ in spent])
    tell("processor's time, the daemon (in steps of 10)", "", [daemon_ms for _, daemon_ms in spent])
    for within, name in ((True, "before and after"), (False, "how much to take away")):
        late = sum(time > 1000 / 60 * 1.5 for time in frames[within])
        print(f"| frame while the slider moves: {name} | {min(frames[within]):.1f} | {statistics.median(frames[within]):.1f} | 16.7; "
              f"{late} of {len(frames[within])} were late |")


main()
