"""The page in a real browser (Debian's Chromium), against the real daemon: one browser, a context of its own for each test.

INFOMASK_BIN names another binary; SCREENSHOTS=DIR keeps pictures of what was looked at.
"""
import http.client
import http.server
import importlib.util
import io
import os
import pathlib
import re
import sys
import tempfile
import threading

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect, sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "http"))
spec = importlib.util.spec_from_file_location("http_conftest", ROOT / "tests" / "http" / "conftest.py")
http_conftest = importlib.util.module_from_spec(spec)  # the name conftest is this file's own
spec.loader.exec_module(http_conftest)
PATIENT, make_server = http_conftest.PATIENT, http_conftest.make_server

expect.set_options(timeout=int(os.environ.get("WEB_WAIT", "60000")))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
PHOTOS = ROOT / "tests" / "data" / "photos"
WAIT = int(os.environ.get("WEB_WAIT", "60000"))  # ms: what must happen is waited for this long
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@pytest.fixture(scope="session")
def server(make_server):  # noqa: F811
    return make_server(*PATIENT, "--cache", 200_000_000)  # what was asked once is answered at once


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        yield chromium
        chromium.close()


class Visit:
    """A page, with everything that went wrong on it and every request that left it."""

    def __init__(self, browser, width=1280, height=800, **options):
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT)
        self.problems, self.requests = [], []
        self.page.on("console", lambda message: message.type in ("error", "warning") and self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request))

    def go(self, url):
        self.page.goto(url)
        return self.page

    def posts(self):
        return [request for request in self.requests if request.method == "POST"]

    def keep(self, name):
        folder = os.environ.get("SCREENSHOTS")
        if folder:
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png")


@pytest.fixture
def visit(browser):
    visits = []

    def make(*size, **options):
        visits.append(Visit(browser, *size, **options))
        return visits[-1]

    yield make
    for one in visits:
        one.context.close()


@pytest.fixture
def shown(visit, server):
    """The page with its first photo answered."""
    one = visit()
    one.go(server.url + "/")
    answered(one.page)
    return one


def answered(page):
    """No JavaScript of strings: the page's policy forbids it."""
    expect(page.locator("#verdict")).to_be_visible()
    expect(page.locator("body:not([aria-busy])")).to_have_count(1)


def picture(form="PNG", size=(64, 48), color=(200, 30, 30), **options):
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, form, **options)
    return out.getvalue()


def file(name, data, kind="image/png"):
    return {"name": name, "mimeType": kind, "buffer": data}


def choose(page, *files):
    page.set_input_files("#file", list(files))


def violations(page):
    found = Axe().run(page).response["violations"]
    return [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found]


def number(text):
    return float(re.search(r"[−-]?\d+\.?\d*", text).group().replace("−", "-"))


def overflow(page):
    """How many pixels the page is wider than its window."""
    return max(0, page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def becomes(page, expression):
    """Waits until the expression is true: wait_for_function would compile it in the page, which its policy forbids."""
    return http_conftest.until(lambda: page.evaluate(expression))


class Stripping(http.server.BaseHTTPRequestHandler):
    """A proxy that serves a daemon below a prefix of the path, and knows no other path."""
    protocol_version = "HTTP/1.1"
    prefix = "/im/"
    port = 0

    def forward(self):
        if not self.path.startswith(self.prefix):
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.port)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "content-length")}
        upstream.request(self.command, "/" + self.path.removeprefix(self.prefix), body or None, headers)
        answer = upstream.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = forward

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy(server):
    handler = type("Handler", (Stripping,), {"port": server.port})
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_port}/im/"
    listener.shutdown()


@pytest.fixture
def other_origin():
    """Serves a folder of files from an origin of its own."""
    folder = tempfile.TemporaryDirectory()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=folder.name, **kwargs)

        def log_message(self, *_):
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield pathlib.Path(folder.name), f"http://127.0.0.1:{listener.server_port}"
    listener.shutdown()
    folder.cleanup()
