"""Good, bad, slow and half-closed traffic mixed, for a long time: nothing grows, and no answer is wrong.

    make soak [HOURS=2] [RATE=4]

Rounds of as many exchanges each, drawn anew, and after each a quiet while: the memory that is held then tells of a leak,
what is held under load tells of the load.  At each idle point the resident memory is read, and what of the heap is in use
(by tell_heap.c, preloaded).  Over the last three quarters of the points the slope of each, by least squares, must be
under 1 MB an hour at the upper end of its 95 % interval by a bootstrap of blocks (what is left over of a line is not
independent from one point to the next).  Threads stay as they are, descriptors come back.  The same good request is
answered by the same bytes each time, but for its times and its id.  --rate: requests a second of all clients together,
0: as many as they can.
"""
import argparse
import hashlib
import json
import mmap
import os
import pathlib
import random
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

import numpy

from daemon import ROOT, Server, essence, photos, until, verdict
from mutants import cases
from wire import Closed, form, request

CLIENTS = 3
EXCHANGES = 100  # of a client in a round
QUIET_S = 13  # before an idle point is read: what was kept for the next request has been given back (after 10 s)
BODY_S = 5  # a body may take this long
BLOCK = 3  # points, of the bootstrap
TELL_HEAP = os.environ.get("INFOMASK_HEAP_LIBRARY")
BUSY = {408, 503, 504}  # of a machine that others keep busy; they are counted
REFUSALS = {200, 400, 404, 405, 413, 415, 422, 431, 501, 505} | BUSY


class Heap:
    """Asks the preloaded library what of the heap is in use."""

    def __init__(self, path):
        path.write_bytes(bytes(24))
        self.env = {"LD_PRELOAD": TELL_HEAP, "INFOMASK_TELL_HEAP": str(path)} if TELL_HEAP else {}
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 24)
        self.asked = 0

    def read(self):
        self.asked += 1
        struct.pack_into("q", self.memory, 0, self.asked)
        until(lambda: struct.unpack_from("q", self.memory, 8)[0] == self.asked)
        return struct.unpack_from("q", self.memory, 16)[0]


class Traffic:
    def __init__(self, server, rate):
        self.server, self.lock = server, threading.Lock()
        self.pause = CLIENTS / rate if rate > 0 else 0
        self.statuses, self.answers, self.wrong = {}, {}, []
        self.broken = [data for _, data in cases(400, 3)]
        self.photos = [open(path, "rb").read() for path in photos()]
        self.png = (ROOT / "tests/data/digits/7.png").read_bytes()
        made = server.ask("POST", "/v1/estimates", b"{}", [("Content-Type", "application/json")])
        self.estimate = made.json["id"]

    def round(self, number):
        threads = [threading.Thread(target=self.run, args=(CLIENTS * number + i,), daemon=True) for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def pure(self, rng):
        """A request whose answer depends on nothing else."""
        photo = rng.choice(self.photos)
        headers, parts = form([("image", "a.jpg", photo), ("image", "b.png", self.png)])
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
            request("POST", "/v2/models/digits/infer", json.dumps(v2).encode()),
            request("GET", "/openapi.json"), request("GET", "/"),
        ])

    def moving(self, rng):
        label = rng.randrange(10)
        several, samples = form([(str(label), f"{label}-{rng.randrange(40)}.png", self.png)])
        return rng.choice([
            request("POST", f"/v1/estimates/{self.estimate}/samples", samples, several),
            request("GET", f"/v1/estimates/{self.estimate}"),
            request("GET", "/metrics"), request("GET", "/v1/models"),
            request("GET", "/v1/models/digits/information"),
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

    def count(self, response, wanted, asked):
        with self.lock:
            self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
            if response.status not in wanted:
                self.wrong.append(f"{asked[:60]!r}: {response.status} {response.body[:200]!r}")

    def ask_purely(self, connection, rng, half_closed=False):
        """Also where the client has closed its side: an end of file is no abort."""
        asked = self.pure(rng)
        connection.send(asked)
        if half_closed:
            connection.socket.shutdown(socket.SHUT_WR)
        response = connection.response()
        self.count(response, {200} | BUSY, asked)
        if response.status == 200:
            key, found = hashlib.sha256(asked).digest(), essence(response)
            with self.lock:
                if self.answers.setdefault(key, found) != found:
                    self.wrong.append(f"{asked[:60]!r}: {found}, was {self.answers[key]}")

    def ask_slowly(self, connection, rng):
        """Pieces with pauses; sometimes the rest never comes, and then a 408 does, or the end."""
        asked, whole = request("POST", "/v1/classify?model=digits", self.png), rng.random() < 0.5
        cuts = sorted(rng.sample(range(1, len(asked)), 4))
        for a, b in zip([0, *cuts], [*cuts, len(asked) if whole else cuts[-1]]):
            connection.send(asked[a:b])
            time.sleep(0.3)
        self.count(connection.response(), {200} | BUSY if whole else {408}, asked)

    def one(self, connection, rng):
        """One exchange; whether the connection may go on."""
        chance = rng.random()
        if chance < 0.1:
            self.ask_purely(connection, rng, half_closed=True)
            return False
        if chance < 0.2:
            self.ask_slowly(connection, rng)
            return False
        if chance < 0.4:
            asked = self.bad(rng)
            connection.send(asked)
            if rng.random() < 0.3:
                return False  # without waiting for the answer
            self.count(connection.response(), REFUSALS, asked)
        elif chance < 0.5:
            asked = self.moving(rng)
            connection.send(asked)
            self.count(connection.response(), {200, 201} | BUSY, asked)
        else:
            self.ask_purely(connection, rng)
        return True

    def run(self, seed):
        rng, left = random.Random(seed), EXCHANGES
        while left > 0:
            try:
                with self.server.connect(60) as connection:
                    for _ in range(rng.randrange(1, 20)):
                        time.sleep(rng.random() * 2 * self.pause)
                        left -= 1
                        if not self.one(connection, rng) or left <= 0:
                            break
            except (Closed, OSError):
                pass


def slope_of(x, y):
    x = x - x.mean()
    return (x @ y) / (x @ x)


def slope(points, rounds=2000):
    """Megabytes an hour of (hours, megabytes), and its 95 % interval: blocks of what is left over are drawn anew."""
    x, y = numpy.array(points).T
    b = slope_of(x, y)
    line = y.mean() + b * (x - x.mean())
    rest, block = y - line, max(1, min(len(y) // 4, BLOCK))
    rng, drawn = numpy.random.default_rng(1), []
    for _ in range(rounds):
        starts = rng.integers(0, len(y) - block + 1, -(-len(y) // block))
        again = numpy.concatenate([rest[i:i + block] for i in starts])[:len(y)]
        drawn.append(slope_of(x, line + again))
    low, high = numpy.quantile(drawn, [0.025, 0.975])
    return b, low, high


def idle(server):
    """Waits until nothing is asked any more, and what was taken for the load is given back or never will be."""
    time.sleep(QUIET_S)
    assert server.process.poll() is None, "the daemon ended"
    until(lambda: server.ask("GET", "/metrics").text.count("\ninfomask_in_flight 1\n") == 1)
    time.sleep(0.5)


def measure(server, heap, minutes, traffic):
    """(hours, resident, in use, descriptors, threads) at each idle point; bytes in megabytes."""
    points, start = [], time.monotonic()
    while (hours := (time.monotonic() - start) / 3600) < minutes / 60 or len(points) < 8:
        traffic.round(len(points))
        if len(points) == 2:
            server.signal(signal.SIGHUP)
        idle(server)
        in_use = heap.read() / 2**20 if TELL_HEAP else float("nan")
        points.append(((time.monotonic() - start) / 3600, server.rss() / 2**20, in_use, server.fds(), server.threads()))
        print(f"{60 * points[-1][0]:6.1f} min, {sum(traffic.statuses.values())} answers: {points[-1][1]:.1f} MB resident, "
              f"{in_use:.2f} MB of the heap in use, {points[-1][3]} descriptors, {points[-1][4]} threads", flush=True)
    return points


def tell(name, points, column):
    """Prints the column's slope; whether it is level."""
    b, low, high = slope([(point[0], point[column]) for point in points])
    values = [point[column] for point in points]
    print(f"{name}: {min(values):.2f} to {max(values):.2f} MB at {len(points)} idle points, slope {b:+.2f} MB/h "
          f"({low:+.2f} to {high:+.2f})  {verdict(high < 1)}")
    return high < 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as state, tempfile.TemporaryDirectory() as shared:
        heap = Heap(pathlib.Path(shared) / "heap")
        server = Server("--state-dir", state, "--log-level", "error", "--max-connections-per-address", 0, "--body-timeout",
                        BODY_S, env=heap.env)
        traffic = Traffic(server, options.rate)
        points = measure(server, heap, options.minutes, traffic)
        late = points[len(points) // 4:]
        print(f"{60 * points[-1][0]:.0f} minutes, {sum(traffic.statuses.values())} answers "
              f"{dict(sorted(traffic.statuses.items()))}, {len(traffic.answers)} kinds compared")
        level = [tell("resident", late, 1)] + ([tell("of the heap in use", late, 2)] if TELL_HEAP else [])
        fds, threads = [point[3] for point in points], {point[4] for point in points[1:]}
        fine = len(threads) == 1 and fds[-1] <= min(fds) + 2
        print(f"descriptors {min(fds)} to {max(fds)}; threads {sorted(threads)}  {verdict(fine)}")
        print(f"wrong answers: {len(traffic.wrong)}  {verdict(not traffic.wrong)}", *traffic.wrong[:10], sep="\n  ")
        assert server.stop() == 0
    return 0 if fine and all(level) and not traffic.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
