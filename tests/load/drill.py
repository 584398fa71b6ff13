#!/usr/bin/env python3
"""A drill: three replicas behind the balancer that is shipped, their state on one PostgreSQL server, samples and photos
coming all the time, while a replica is killed, another drained, another stands still, the database is restarted, and all
replicas are replaced one after another.

    make drill

Nobody repeats a request but the balancer.  A sample is lost when it was accepted and is not there at the end; counted
twice when the sums say more than the rows.  Prints a line a phase: requests sent, failed, and how long the slowest took.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "http"))

import conftest  # noqa: E402
import postgres  # noqa: E402
from conftest import BINARY, ENVIRONMENT, ROOT, encode, free_port  # noqa: E402
from wire import Closed, Connection, request  # noqa: E402

REPLICAS = 3
POSTERS = 4
TIMEOUT = 60


class Replica:
    def __init__(self, flags, binary=BINARY):
        self.port, self.flags, self.binary = free_port(), flags, binary
        self.process = None

    def start(self):
        self.process = subprocess.Popen([self.binary, "serve", "--port", str(self.port), "--drain-grace", "5",
                                         *map(str, self.flags)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        cwd=ROOT, env={**ENVIRONMENT, "STATE_DIRECTORY": conftest.STATE})

    def ready(self):
        def look():
            try:
                with Connection(self.port, 5) as connection:
                    connection.send(request("GET", "/readyz"))
                    return connection.response().status == 200
            except (OSError, Closed):
                return False
        conftest.until(look)

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(120)


def configuration(replicas, port, folder):
    """The shipped file, but for the names that only a network of containers has."""
    text = (ROOT / "docker" / "haproxy.cfg").read_text()
    text = text.replace("bind :8080", f"bind 127.0.0.1:{port}")
    text = text[:text.index("resolvers compose")] + text[text.index("frontend web"):]
    text = text.replace(" resolvers compose init-addr none", "").replace(
        "server-template replica 8 infomask:8080",
        "\n    ".join(f"server replica{i} 127.0.0.1:{replica.port}" for i, replica in enumerate(replicas)))
    file = folder / "haproxy.cfg"
    file.write_text(text)
    return file


class Traffic:
    """Posts samples, each under a name of its own, and classifies photos, until it is ended."""

    def __init__(self, port, estimate):
        self.port, self.estimate = port, estimate
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.accepted, self.sent, self.failures, self.slowest = set(), 0, [], 0.0
        generator = random.Random(18)
        self.photos = [encode(conftest.Image.new("RGB", (48, 32), tuple(generator.randrange(256) for _ in range(3))))
                       for _ in range(16)]
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(POSTERS)]
        for thread in self.threads:
            thread.start()

    def ask(self, path, body):
        with Connection(self.port, TIMEOUT) as connection:
            connection.send(request("POST", path, body))
            return connection.response()

    def one(self, worker, i):
        if i % 3 == 2:
            return None, self.ask("/v1/classify", self.photos[i % 16])
        name = f"{worker}-{i}"
        return name, self.ask(f"/v1/estimates/{self.estimate}/samples?label={i % 7}&sample={name}", self.photos[i % 16])

    def run(self, worker):
        i = 0
        while not self.ended.is_set():
            before = time.monotonic()
            try:
                name, response = self.one(worker, i)
                status, text = response.status, response.text
            except (OSError, Closed) as error:
                name, status, text = None, 0, repr(error)
            with self.lock:
                self.sent += 1
                self.slowest = max(self.slowest, time.monotonic() - before)
                if status not in (200, 201):
                    self.failures.append((status, text[:200]))
                elif name is not None:
                    self.accepted.add(name)
            i += 1
            time.sleep(0.02)

    def take(self):
        """(sent, failures, slowest) since the last time."""
        with self.lock:
            taken = self.sent, self.failures, self.slowest
            self.sent, self.failures, self.slowest = 0, [], 0.0
        return taken

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


class Drill:
    def __init__(self, folder):
        self.folder = folder
        self.database = postgres.Postgres()
        flags = (*self.database.flags("drill"), "--threads", 1)
        self.replicas = [Replica(flags) for _ in range(REPLICAS)]
        for replica in self.replicas:
            replica.start()
        for replica in self.replicas:
            replica.ready()
        self.port = free_port()
        self.balancer = subprocess.Popen(["haproxy", "-db", "-f", configuration(self.replicas, self.port, folder)],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(4)  # until all have passed their checks
        self.traffic, self.failed = None, 0

    def begin(self):
        with Connection(self.port) as connection:
            connection.send(request("POST", "/v1/estimates", b"{}"))
            self.traffic = Traffic(self.port, json.loads(connection.response().text)["id"])
        print(f"{'phase':34} {'sent':>6} {'failed':>6} {'slowest':>8}", flush=True)

    def phase(self, name, seconds):
        """What happened since the last phase, and then for so many seconds."""
        time.sleep(seconds)
        sent, failures, slowest = self.traffic.take()
        self.failed += len(failures)
        print(f"{name:34} {sent:6} {len(failures):6} {slowest:6.2f} s", flush=True)
        for status, text in failures[:3]:
            print(f"    {status} {text}", flush=True)

    def killed(self):
        self.replicas[0].end(signal.SIGKILL)
        self.phase("one is killed", 6)
        self.replicas[0].start()
        self.replicas[0].ready()
        self.phase("... and back", 4)

    def drained(self):
        code = self.replicas[1].end(signal.SIGTERM)
        self.phase(f"one is drained (exit code {code})", 3)
        self.failed += code != 0
        self.replicas[1].start()
        self.replicas[1].ready()
        self.phase("... and back", 4)

    def stands_still(self):
        self.replicas[2].process.send_signal(signal.SIGSTOP)
        self.phase("one stands still for 8 s", 8)
        self.replicas[2].process.send_signal(signal.SIGCONT)
        self.phase("... and goes on", 6)

    def database_restarted(self):
        self.database.stop()
        self.database.start()
        self.phase("PostgreSQL is restarted", 6)
        self.database.stop(signal.SIGQUIT)
        self.database.start()
        self.phase("PostgreSQL crashes", 6)

    def upgraded(self):
        """The binary and the models' folder are others."""
        new = self.folder / "infomask"
        shutil.copy(BINARY, new)
        models = self.folder / "models"
        shutil.copytree(ROOT / "config" / "models", models)
        for replica in self.replicas:
            code = replica.end(signal.SIGTERM)
            self.failed += code != 0
            replica.binary, replica.flags = str(new), (*replica.flags, "--models-dir", models)
            replica.start()
            replica.ready()
            time.sleep(2)
        self.phase("all are replaced, one by one", 4)

    def verdict(self):
        self.traffic.end()
        self.phase("the rest", 0)
        rows = set(self.database.sql("drill", "SELECT id FROM infomask.sample").splitlines())
        count = int(self.database.sql("drill", "SELECT count(*) FROM infomask.sample"))
        with Connection(self.port) as connection:
            connection.send(request("GET", f"/v1/estimates/{self.traffic.estimate}"))
            report = json.loads(connection.response().text)
        lost = self.traffic.accepted - rows
        twice = (count - len(rows)) + (report["samples"] - count) + \
            (sum(row["samples"] for row in report["classes"]) - count)
        print(f"{len(self.traffic.accepted)} samples accepted, {len(lost)} lost, {twice} counted twice, "
              f"{self.failed} failed requests", flush=True)
        return 0 if not lost and twice == 0 and self.failed == 0 else 1

    def close(self):
        if self.traffic:
            self.traffic.end()
        for replica in self.replicas:
            if replica.process.poll() is None:
                replica.process.send_signal(signal.SIGCONT)
                replica.end(signal.SIGKILL)
        self.balancer.terminate()
        self.balancer.wait()
        self.database.close()


def main():
    if postgres.programs() is None or not shutil.which("haproxy"):
        print("the drill needs PostgreSQL and HAProxy: make deps-postgres", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="infomask-drill-") as folder:
        drill = Drill(pathlib.Path(folder))
        try:
            drill.begin()
            drill.phase("nothing happens", 5)
            for part in (drill.killed, drill.drained, drill.stands_still, drill.database_restarted, drill.upgraded):
                part()
            return drill.verdict()
        finally:
            drill.close()


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
