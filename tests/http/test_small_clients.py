"""infomask.py and infomask.js as the service hands them out: what they answer, say of errors, and do when it is busy."""
import contextlib
import http.server
import importlib.util
import json
import shutil
import subprocess
import threading

import pytest

from conftest import ROOT

COFFEE = (ROOT / "server/web/photos/coffee.jpg").read_bytes()


@contextlib.contextmanager
def answering(answer):
    """The port of a service that says what answer(handler, body) does: a status, header fields and a body."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            status, head, body = answer(self, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            for name, value in {**head, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield listener.server_port
    finally:
        listener.shutdown()


@pytest.fixture
def busy():
    """A service that is busy twice, and then says what it was asked."""
    asked = []

    def answer(request, photo):
        asked.append(request.path)
        head = {"Content-Type": "application/json", **({"Retry-After": "1"} if len(asked) < 3 else {})}
        body = json.dumps({"size": len(photo), "path": request.path, "key": request.headers.get("Authorization")}).encode()
        return 503 if len(asked) < 3 else 200, head, body
    with answering(answer) as port:
        yield f"http://127.0.0.1:{port}/below/", asked


@pytest.fixture
def module(server, tmp_path):
    (tmp_path / "infomask.py").write_bytes(server.ask(path="/infomask.py").body)
    spec = importlib.util.spec_from_file_location("infomask_client", tmp_path / "infomask.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_python(server, module):
    client = module.Infomask(server.url)
    assert client.classify(COFFEE, top_k=1)["predictions"][0]["label"] == "espresso"
    assert client.mask(COFFEE, quality="fast", target=["espresso", "cup"])["mask"]["area"] > 0
    assert client.analyze(COFFEE, quality="fast", include="mask")["map"]["cells"]
    picture, headers = client.filter(COFFEE, quality="fast", fill="mean")
    assert picture.startswith(b"\x89PNG") and headers["Infomask-Verdict"] in ("removed", "weakened", "failed")
    with pytest.raises(module.InfomaskError, match="JPEG, PNG or WebP") as refused:
        client.classify(b"no photo")
    assert refused.value.status == 415 and refused.value.code == "unsupported_format"


@pytest.mark.parametrize("status, head, body", [(502, {}, b"<html>Bad Gateway</html>"), (503, {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}, b""), (413, {}, b"[]")])
def test_python_of_what_a_proxy_says(module, status, head, body):
    """A page is no problem document, and a date is no number of seconds: both are errors of the client's own kind."""
    with answering(lambda *_: (status, head, body)) as port, \
            pytest.raises(module.InfomaskError, match=f"the service answered {status}") as refused:
        module.Infomask(f"http://127.0.0.1:{port}").classify(b"photo")
    assert refused.value.status == status and refused.value.code == ""


def test_python_asks_a_busy_service_again(busy, module):
    url, asked = busy
    answer = module.Infomask(url, key="secret").classify(b"photo", top_k=2)
    assert answer == {"size": 5, "path": "/below/v1/classify?top_k=2", "key": "Bearer secret"} and len(asked) == 3
    asked.clear()
    with pytest.raises(module.InfomaskError) as refused:
        module.Infomask(url, retries=1).classify(b"photo")
    assert refused.value.status == 503 and len(asked) == 2


SCRIPT = """
import {readFile} from "node:fs/promises";
import {Infomask, InfomaskError} from "./infomask.mjs";
const [server, busy] = process.argv.slice(2), photo = await readFile("coffee.jpg"), client = new Infomask(server);
const told = {};
told.label = (await client.classify(photo, {top_k: 1})).predictions[0].label;
told.area = (await client.mask(photo, {quality: "fast", target: ["espresso", "cup"]})).mask.area;
const {image, verification} = await client.filter(photo, {quality: "fast", fill: "mean"});
Object.assign(told, {type: image.type, size: image.size, verdict: verification.verdict});
told.several = (await client.classify([photo, photo], {top_k: 1})).results?.length;
told.refused = await client.classify(new Uint8Array(9)).catch((error) => [error instanceof InfomaskError, error.status, error.code]);
told.dead = await new Infomask("http://127.0.0.1:1").classify(photo).catch((error) => error.message);
const waits = [];
told.busy = await new Infomask(busy, {key: "secret"}).classify(new Uint8Array(5), {top_k: 2, seed: null}, {waiting: (seconds, attempt) => waits.push([seconds, attempt])});
told.waits = waits;
told.off = await client.classify(photo, {}, {signal: AbortSignal.abort()}).catch((error) => error.name);
const estimate = await client.createEstimate({});
await client.addSample(estimate.id, photo, "espresso", "a.jpg");
told.samples = (await client.estimate(estimate.id)).samples;
told.gone = await client.deleteEstimate(estimate.id);
console.log(JSON.stringify(told));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_javascript(server, busy, tmp_path):
    url, asked = busy
    (tmp_path / "infomask.mjs").write_bytes(server.ask(path="/infomask.js").body)
    (tmp_path / "coffee.jpg").write_bytes(COFFEE)
    (tmp_path / "run.mjs").write_text(SCRIPT)
    done = subprocess.run(["node", "run.mjs", server.url, url], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["label"] == "espresso" and told["area"] > 0 and told["type"] == "image/png" and told["size"] > 1000
    assert told["verdict"] in ("removed", "weakened", "failed") and told["several"] == 2
    assert told["refused"] == [True, 415, "unsupported_format"] and told["dead"] == "The service does not answer."
    assert told["busy"] == {"size": 5, "path": "/below/v1/classify?top_k=2", "key": "Bearer secret"}
    assert told["waits"] == [[1, 1], [1, 2]] and len(asked) == 3
    assert told["off"] == "AbortError" and told["samples"] == 1 and told["gone"] is None


def test_the_clients_are_short(server):
    """As the documents promise."""
    assert server.ask(path="/infomask.js").body.count(b"\n") <= 150 and server.ask(path="/infomask.py").body.count(b"\n") <= 40
