"""Kills the daemon at random moments while photos are posted to an estimate, and counts afterwards: every acknowledged
sample is there, none is there twice, and the sums are those of the samples.

    python tests/http/kill9.py --kills 1000 --seed 1
"""
import argparse
import json
import math
import pathlib
import random
import signal
import sqlite3
import tempfile
import threading
import time

import numpy
from PIL import Image

from conftest import Server, encode, until
from wire import Closed, form

POSTERS = 2


def pictures():
    """A few small photos."""
    rng = numpy.random.default_rng(0)
    return [encode(Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=numpy.uint8))) for _ in range(8)]


class Posters:
    """Threads that post samples, each with ids of its own, until the daemon dies under them."""

    def __init__(self, estimate):
        self.estimate, self.photos = estimate, pictures()
        self.acknowledged, self.sent, self.unsure, self.again = set(), set(), [[] for _ in range(POSTERS)], 0
        self.refused = 0
        self.next = [0] * POSTERS

    def _some(self, poster, rng):
        """What was not answered last time is posted again; else 1 to 4 new ones."""
        if self.unsure[poster]:
            return self.unsure[poster]
        first = self.next[poster]
        self.next[poster] += rng.randint(1, 4)
        return [f"{poster}-{i}.png" for i in range(first, self.next[poster])]

    def run(self, server, poster, seed):
        rng = random.Random(seed)
        while True:
            names = self._some(poster, rng)
            self.sent.update(names)
            headers, body = form([(str(hash_of(n) % 3), n, self.photos[hash_of(n) % 8]) for n in names])
            repeated, self.unsure[poster] = names is self.unsure[poster], names
            try:
                reply = server.ask("POST", f"/v1/estimates/{self.estimate}/samples", body, headers)
            except (OSError, Closed):
                return
            self.refused += reply.status not in (200, 201)
            known = json.loads(reply.text).get("known", 0)
            self.refused += not repeated and known > 0
            self.again += known
            self.acknowledged.update(names)
            self.unsure[poster] = []


def hash_of(name):
    return sum(ord(c) * (i + 1) for i, c in enumerate(name))


def round_of(folder, posters, rng):
    """One life of the daemon."""
    server = Server("--state-dir", folder)
    threads = [threading.Thread(target=posters.run, args=(server, i, rng.random())) for i in range(POSTERS)]
    for thread in threads:
        thread.start()
    if rng.random() < 0.8:  # else perhaps before the first answer
        known = len(posters.acknowledged)
        until(lambda: len(posters.acknowledged) > known)
    time.sleep(rng.uniform(0, 0.2))
    server.signal(signal.SIGKILL)
    server.process.wait()
    for thread in threads:
        thread.join()


def check(folder, posters, report):
    assert posters.refused == 0, "a post was refused, or a new sample was known"
    rows = sqlite3.connect(pathlib.Path(folder) / "estimates.db")
    assert rows.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    found = [name for (name,) in rows.execute("SELECT id FROM sample")]
    assert len(found) == len(set(found)), "a sample is there twice"
    assert posters.acknowledged <= set(found) <= posters.sent, "a sample is lost, or from nowhere"
    log_q = math.fsum(value for (value,) in rows.execute("SELECT log_q FROM sample"))
    assert report["samples"] == len(found) == sum(row["samples"] for row in report["classes"])
    assert abs(report["calibration"]["log_loss"] + log_q / len(found)) < 1e-9, "the sums are not those of the samples"
    rows.close()


def run(kills, seed, tell=lambda *_: None):
    """Returns (acknowledged samples, samples that were stored though the answer was lost)."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        server = Server("--state-dir", folder)
        posters = Posters(json.loads(server.ask("POST", "/v1/estimates", b"{}", [("Content-Type", "application/json")]).text)["id"])
        server.stop()
        for i in range(kills):
            round_of(folder, posters, rng)
            if (i + 1) % 20 == 0 or i + 1 == kills:
                server = Server("--state-dir", folder)
                report = json.loads(server.ask(path=f"/v1/estimates/{posters.estimate}").text)
                server.stop()
                check(folder, posters, report)
                tell(i + 1, posters)
        return len(posters.acknowledged), posters.again


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    acknowledged, again = run(options.kills, options.seed, lambda i, p: print(
        f"{i} kills: {len(p.acknowledged)} acknowledged samples all there, none twice; {p.again} were stored before "
        "their answer was lost", flush=True))
    assert acknowledged > options.kills / 4, "too few samples were posted to mean anything"
