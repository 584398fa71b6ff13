"""Twenty thousand broken photos over HTTP: cut at every byte, with flipped bits, with pieces moved.

    python tests/load/mutants.py [--cases 20000] [--seed 1]

No crash, no answer of 5xx, each answered within a second, and the memory is back where it was.  A case that took longer
(on a busy machine) is asked again; its best time counts.
"""
import argparse
import queue
import random
import sys
import threading
import time

from daemon import CLASSIFY, ROOT, Server, verdict
from damage import flip, move, originals
from wire import request

THREADS = 4
FINE = {200, 400, 413, 415, 422}
IDLE_S = 12  # after which the daemon gives memory back


def cases(count, seed):
    rng, files = random.Random(seed), originals()
    cut = [(f"{name} cut at {at}", data[:at]) for name, data in files.items() for at in range(1, len(data))]
    rng.shuffle(cut)
    yield from cut[:count * 2 // 5]
    names = sorted(files)
    for i in range(count - min(len(cut), count * 2 // 5)):
        name = names[i % len(names)]
        change = move if i % 4 == 0 else flip
        yield f"{name}, {change.__name__} {i}", change(files[name], rng)


class Askers:
    def __init__(self, server):
        self.server, self.queue, self.statuses, self.bad, self.slowest = server, queue.Queue(64), {}, [], 0.0
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def ask(self, connection, body):
        start = time.monotonic()
        connection.send(request("POST", CLASSIFY, body))
        return connection.response(), time.monotonic() - start

    def run(self):
        connection = self.server.connect()
        while (case := self.queue.get()) is not None:
            name, body = case
            response, took = self.ask(connection, body)
            for _ in range(3):
                if took >= 1:
                    took = min(took, self.ask(connection, body)[1])
            self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
            self.slowest = max(self.slowest, took)
            if response.status not in FINE or took >= 1 or (response.status != 200 and not response.json["detail"]):
                self.bad.append((name, response.status, took))

    def all(self, some):
        for case in some:
            self.queue.put(case)
        for _ in self.threads:
            self.queue.put(None)
        for thread in self.threads:
            thread.join()


def idle_memory(server):
    time.sleep(IDLE_S)
    return server.rss() / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    server = Server("--model", "digits", "--log-rate", 1, "--log-level", "error", "--request-timeout", 300)
    Askers(server).all(cases(500, options.seed + 1))
    before, start = idle_memory(server), time.monotonic()
    askers = Askers(server)
    askers.all(cases(options.cases, options.seed))
    took, after = time.monotonic() - start, idle_memory(server)
    for name, status, seconds in askers.bad:
        print(f"{name}: {status} after {seconds:.2f} s")
    print(f"{options.cases} broken photos in {took:.0f} s: answers {dict(sorted(askers.statuses.items()))}, "
          f"the slowest {1000 * askers.slowest:.0f} ms  {verdict(not askers.bad)}")
    print(f"memory: {before:.1f} MB before, {after:.1f} MB after  {verdict(after < before + 4)}")
    assert server.ask("POST", CLASSIFY, (ROOT / "tests/data/digits/7.png").read_bytes()).status == 200
    assert server.stop() == 0
    return 0 if not askers.bad and after < before + 4 else 1


if __name__ == "__main__":
    sys.exit(main())
