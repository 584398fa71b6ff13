"""Good and bad traffic mixed, for a long time: the memory does not grow, descriptors and threads stay as they are.

    python tests/load/soak.py [--minutes 20]

Every few seconds the resident memory is read; over the last three quarters of the time its slope, by least squares with
the error of its autocorrelated residuals, must be under 1 MB an hour within that error.
"""
import argparse
import json
import math
import random
import signal
import sys
import tempfile
import threading
import time

from daemon import ROOT, Server, photos, verdict
from mutants import cases
from wire import Closed, form, request

CLIENTS = 3
EVERY_S = 2.0


class Traffic:
    def __init__(self, server):
        self.server, self.stop, self.statuses, self.lock = server, threading.Event(), {}, threading.Lock()
        self.broken = [data for _, data in cases(400, 3)]
        self.photos = [open(path, "rb").read() for path in photos()]
        self.png = (ROOT / "tests/data/digits/7.png").read_bytes()
        made = server.ask("POST", "/v1/estimates", b"{}", [("Content-Type", "application/json")])
        self.estimate = made.json["id"]
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def good(self, rng):
        photo = rng.choice(self.photos)
        headers, parts = form([("image", "a.jpg", photo), ("image", "b.png", self.png)])
        several, samples = form([(str(rng.randrange(10)), f"{rng.randrange(40)}.png", self.png)])
        v2 = {"inputs": [{"name": "input", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": [0.5] * 784}]}
        return rng.choice([
            request("POST", f"/v1/classify?top_k={rng.randrange(1, 9)}", photo),
            request("POST", "/v1/classify", photo),
            request("POST", "/v1/classify?model=digits", self.png),
            request("POST", "/v1/classify?samples=4", photo),
            request("POST", "/v1/mask?quality=fast", photo),
            request("POST", "/v1/filter?quality=fast&max_passes=1", photo),
            request("POST", "/v1/analyze?quality=fast&model=digits", self.png),
            request("POST", "/v1/classify", parts, headers),
            request("POST", f"/v1/estimates/{self.estimate}/samples", samples, several),
            request("GET", f"/v1/estimates/{self.estimate}"),
            request("POST", "/v2/models/digits/infer", json.dumps(v2).encode()),
            request("GET", "/metrics"), request("GET", "/v1/models"), request("GET", "/openapi.json"), request("GET", "/"),
        ])

    def bad(self, rng):
        return rng.choice([
            request("POST", "/v1/classify?model=digits", rng.choice(self.broken)),
            request("POST", "/v1/classify?top_k=x", self.png),
            request("GET", "/nope"), request("DELETE", "/v1/classify"), b"BREW / HTTP/1.1\r\n\r\n", rng.randbytes(200) + b"\r\n\r\n",
            request("POST", "/v1/classify", headers=[("Content-Length", 10 ** 9)]),
            request("POST", "/v1/mask", headers=[("Content-Length", 5000)]) + b"x" * 100,  # and then it leaves
            request("POST", "/v1/mask?quality=fast", self.photos[0]),
        ])

    def run(self, seed):
        rng = random.Random(seed)
        while not self.stop.is_set():
            try:
                with self.server.connect(60) as connection:
                    for _ in range(rng.randrange(1, 20)):
                        bad = rng.random() < 0.3
                        connection.send(self.bad(rng) if bad else self.good(rng))
                        if bad and rng.random() < 0.3:
                            break  # without waiting for the answer
                        status = connection.response().status
                        with self.lock:
                            self.statuses[status] = self.statuses.get(status, 0) + 1
            except (Closed, OSError, ValueError):
                pass

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(120)


def slope(points):
    """Megabytes an hour and its standard error, of (hours, megabytes)."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    sxx = sum((x - mx) ** 2 for x, _ in points)
    b = sum((x - mx) * (y - my) for x, y in points) / sxx
    rest = [y - my - b * (x - mx) for x, y in points]
    variance = sum(r * r for r in rest) / (n - 2)
    r1 = sum(a * c for a, c in zip(rest, rest[1:])) / max(1e-12, sum(r * r for r in rest))
    r1 = min(0.99, max(0.0, r1))
    return b, math.sqrt(variance / sxx * (1 + r1) / (1 - r1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as state:
        server = Server("--state-dir", state, "--log-level", "error", "--max-connections-per-address", 0, "--body-timeout", 5)
        traffic, start, points, counts = Traffic(server), time.monotonic(), [], []
        seconds = 60 * options.minutes
        while (now := time.monotonic() - start) < seconds:
            time.sleep(EVERY_S)
            assert server.process.poll() is None, "the daemon ended"
            if now > seconds / 4:
                points.append((now / 3600, server.rss() / 2**20))
                counts.append((server.fds(), server.threads()))
            if len(points) == 1:
                server.signal(signal.SIGHUP)
        traffic.end()
        b, error = slope(points)
        time.sleep(1)
        fds, threads = [f for f, _ in counts], [t for _, t in counts]
        rss = [y for _, y in points]
        fine = b - 2 * error < 1 and len(set(threads)) == 1
        print(f"{options.minutes:g} minutes, {sum(traffic.statuses.values())} answers {dict(sorted(traffic.statuses.items()))}")
        print(f"memory {min(rss):.1f} to {max(rss):.1f} MB, slope {b:+.2f} +- {error:.2f} MB/h; descriptors {min(fds)} to "
              f"{max(fds)}, {server.fds()} at the end; threads {min(threads)} to {max(threads)}  {verdict(fine)}")
        left = server.fds() - min(fds)
        assert server.stop() == 0
    return 0 if fine and left <= 2 else 1


if __name__ == "__main__":
    sys.exit(main())
