"""The k-th allocation of a request fails, for every k: that request alone fails, and the daemon serves on.

    python tests/load/allocations.py [--starts 200]

Each kind of request is asked once to count its allocations, then twice for each of them: with that one failing, and with
fifty in a row from that one on.  A start of the daemon with failing allocations ends with
exit code 1 and a reason, or serves.
"""
import argparse
import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time

from daemon import ROOT, Server
from conftest import BINARY, ENVIRONMENT
from wire import Closed, form, request

LIBRARY = os.environ["INFOMASK_FAIL_LIBRARY"]
MODEL = ["--models-dir", str(ROOT / "tests/fuzz"), "--model", str(ROOT / "config/models/digits")]
PNG = (ROOT / "tests/data/digits/7.png").read_bytes()
PHOTO = (ROOT / "tests/data/photos/rocket.jpg").read_bytes()
JSON = [("Content-Type", "application/json")]


NEVER = 2**62


class Control:
    def __init__(self):
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(struct.pack("3q", NEVER, 0, 0))
        self.file.flush()
        self.memory = mmap.mmap(self.file.fileno(), 24)
        self.environment = {"LD_PRELOAD": LIBRARY, "INFOMASK_FAIL_ALLOC": self.file.name}

    def arm(self, left, failing):
        self.memory[0:16] = struct.pack("2q", left, failing)

    def disarm(self):
        self.arm(NEVER, 0)

    def asked(self):
        return struct.unpack("q", self.memory[16:24])[0]


def requests():
    parts, several = form([("image", "a.png", PNG), ("image", "b.png", PNG)])
    one, single = form([("top_k", "2"), ("image", "a.png", PNG)])
    tensor = json.dumps({"inputs": [{"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [0] * 784}],
                         "outputs": [{"name": "probabilities", "parameters": {"classification": 3}}]}).encode()
    return {
        "classify": request("POST", "/v1/classify?samples=2", PNG),
        "classify JPEG": request("POST", "/v1/classify", PHOTO),
        "classify form": request("POST", "/v1/classify", single, one),
        "classify two": request("POST", "/v1/classify", several, parts),
        "mask": request("POST", "/v1/mask?format=json", PNG),
        "mask PNG": request("POST", "/v1/mask?output=overlay&format=png", PNG),
        "filter": request("POST", "/v1/filter?format=json", PNG),
        "filter JPEG": request("POST", "/v1/filter?format=jpeg&fill=diffuse", PNG),
        "analyze": request("POST", "/v1/analyze?include=mask,overlay,image", PNG),
        "bad image": request("POST", "/v1/classify", PNG[:100]),
        "bad parameter": request("POST", "/v1/classify?top_k=x", PNG),
        "no route": request("GET", "/nope"),
        "page": request("GET", "/"),
        "models": request("GET", "/v1/models"),
        "labels": request("GET", "/v1/models/digits/labels"),
        "traffic": request("GET", "/v1/models/digits/information"),
        "metrics": request("GET", "/metrics"),
        "openapi": request("GET", "/openapi.json"),
        "estimate": request("POST", "/v1/estimates", b'{"name": "x"}', JSON),
        "estimates": request("GET", "/v1/estimates"),
        "v2 model": request("GET", "/v2/models/digits"),
        "v2 infer": request("POST", "/v2/models/digits/infer", tensor, JSON),
    }


def ask(server, data):
    """The status; None when the connection ended without an answer."""
    with server.connect(20) as connection:
        try:
            connection.send(data)
            return connection.response().status
        except TimeoutError:
            return "never answered"
        except (Closed, OSError):
            return None


def sweep(server, control, data):
    """(allocations, answers of 5xx, connections closed): asks with each one failing."""
    usual = ask(server, data)
    before = control.asked()
    assert ask(server, data) == usual
    count, refused, closed, odd = control.asked() - before, 0, 0, []
    for failing in (1, 50):
        for k in range(count + 2):
            control.arm(k, failing)
            begun = time.monotonic()
            status = ask(server, data)
            control.disarm()
            if time.monotonic() - begun > 5:
                odd.append((k, failing, f"after {time.monotonic() - begun:.0f} s"))
            assert server.process.poll() is None, f"the daemon ended: allocation {k}, {failing} failing"
            if status not in (None, usual, 500, 503):
                odd.append((k, failing, status))
            refused += status in (500, 503)
            closed += status is None
        assert ask(server, data) == usual, "it does not serve as before"
    return count, refused, closed, odd


def starve(server, control):
    """Processor time in a second in which every allocation fails."""
    spent = server.cpu()
    with server.connect() as connection:
        control.arm(0, NEVER)
        connection.send(request())
        time.sleep(1)
        spent = server.cpu() - spent
        control.disarm()
    return spent


def start_with_failure(control, k):
    """Exit code and what it said; 0: it served and ended when asked."""
    control.arm(k, 1)
    process = subprocess.Popen([BINARY, "serve", "--port", "0", "--state-dir", tempfile.gettempdir() + "/none/such", *MODEL],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**ENVIRONMENT, **control.environment})
    if process.stdout.readline():
        control.disarm()
        process.terminate()
    said = process.communicate(timeout=120)[1].decode(errors="replace")
    control.disarm()
    return process.returncode, said


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--only")
    options = parser.parse_args()
    control = Control()
    with tempfile.TemporaryDirectory() as state:
        server = Server(*MODEL, "--state-dir", state, "--max-connections-per-address", 0, "--log-rate", 1, "--threads", 2,
                        env=control.environment)
        for data in requests().values():
            ask(server, data)
        print("request            allocations  5xx  closed")
        total = wrong = 0
        for name, data in requests().items():
            if options.only and options.only != name:
                continue
            count, refused, closed, odd = sweep(server, control, data)
            total += 2 * (count + 2)
            print(f"{name:18} {count:11} {refused:4} {closed:7} {odd or ''}", flush=True)
            wrong += len(odd)
        spent = starve(server, control)
        print(f"a second without memory: {spent:.2f} s of processor time")
        assert spent < 0.3, "it spins"
        assert ask(server, requests()["classify"]) == 200 and server.stop() == 0
    assert wrong == 0, "a failed allocation was blamed on the client"
    print(f"{total} requests with failing allocations: each failed alone, the daemon served on")
    before = control.asked()
    code, said = start_with_failure(control, NEVER)
    assert code == 0, said
    count, codes = control.asked() - before, {}
    for i in range(options.starts):
        k = i * count // options.starts
        code, said = start_with_failure(control, k)
        assert code in (0, 1), f"start with allocation {k} failing: {code}: {said}"
        assert code == 0 or said.strip(), f"start with allocation {k} failing: no reason"
        codes[code] = codes.get(code, 0) + 1
    print(f"{options.starts} starts, of {count} allocations: {codes.get(0, 0)} served, {codes.get(1, 0)} ended with a reason")


if __name__ == "__main__":
    sys.exit(main())
