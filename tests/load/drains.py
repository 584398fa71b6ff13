"""SIGTERM and SIGKILL under load: what was accepted is answered, and a restart is ready at once.

    python tests/load/drains.py [--drains 50] [--kills 100]

Clients ask all the time, one request a connection and on kept connections.  A request fails if its connection was
accepted and no answer came; on a kept connection, a request that crosses the server's close on the wire is not counted
(RFC 9112 section 9.3.1: the client asks again), but told.
"""
import argparse
import random
import sys
import threading
import time

from daemon import CLASSIFY, ROOT, Server, verdict
from wire import Closed, Connection, request

CLIENTS = 6


class Clients:
    """Ask until nobody listens; what became of the requests."""

    def __init__(self, port, body):
        self.port, self.body = port, body
        self.answered, self.failed, self.crossed, self.statuses = 0, [], 0, {}
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i % 2 == 1,), daemon=True) for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def ask(self, connection, kept):
        """Whether the connection may be used again."""
        connection.send(request("POST", CLASSIFY, self.body))
        try:
            response = connection.response()
        except (Closed, OSError) as error:
            with self.lock:
                if kept and connection.buffer == b"":
                    self.crossed += 1
                else:
                    self.failed.append(repr(error))
            return False
        with self.lock:
            self.answered += 1
            self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
        return not response.closes

    def run(self, keeping):
        while True:
            try:
                connection = Connection(self.port, 60)
            except OSError:
                return  # nobody listens any more
            with connection:
                kept = False
                while self.ask(connection, kept) and keeping:
                    kept = True

    def join(self):
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive(), "a client waits for ever"


def life(body, rng, kill):
    """One daemon from start to end under load: (seconds until ready, clients, exit code)."""
    start = time.monotonic()
    server = Server("--max-connections-per-address", 0)
    while server.ask(path="/readyz").status != 200:
        time.sleep(0.005)
    ready = time.monotonic() - start
    clients = Clients(server.port, body)
    time.sleep(rng.uniform(0.1, 0.5))
    if kill:
        server.process.kill()
    code = server.stop(timeout=60)
    clients.join()
    return ready, clients, code


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drains", type=int, default=50)
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    rng, body = random.Random(1), (ROOT / "tests/data/digits/7.png").read_bytes()
    answered = crossed = bad = 0
    failed, ready = [], []
    for _ in range(options.drains):
        seconds, clients, code = life(body, rng, False)
        ready.append(seconds)
        answered += clients.answered
        crossed += clients.crossed
        failed += clients.failed
        bad += code != 0 or set(clients.statuses) - {200} != set()
    print(f"{options.drains} drains: {answered} answered, {len(failed)} accepted requests failed, {crossed} crossed a close, "
          f"{bad} ended or answered wrongly  {verdict(not failed and not bad)}")
    for _ in range(options.kills):
        seconds, clients, code = life(body, rng, True)
        ready.append(seconds)
        bad += code != -9
    ready.sort()
    quick = ready[len(ready) // 2]
    print(f"{options.kills} kills: ready again after {1000 * quick:.0f} ms (median; {1000 * ready[0]:.0f} to "
          f"{1000 * ready[-1]:.0f})  {verdict(quick < 1 and not bad)}")
    return 0 if not failed and not bad and quick < 1 else 1


if __name__ == "__main__":
    sys.exit(main())
