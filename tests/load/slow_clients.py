"""A thousand slow connections beside one good client: slow heads, slow bodies, slow readers.

    python tests/load/slow_clients.py [--slow 1000] [--seconds 12]

The good client asks 20 times a second, alone and beside the slow ones in turn; its best 99th percentile beside them may
be at most twice its best alone.  Every slow one must be closed by the deadline of its phase and a second.
"""
import argparse
import select
import socket
import sys
import threading
import time

from daemon import CLASSIFY, Server, allow_descriptors, generate, verdict

KINDS = ["head", "body", "reader"]
HEAD, BODY = 4, 6  # seconds: their deadlines
RATE = 20
LABELS = "/v1/models/efficientnet-lite0/labels"


class Slow:
    """One slow connection: when it must be gone, when it was."""

    def __init__(self, port, kind):
        self.kind, self.socket, self.closed = kind, socket.socket(), None
        if kind == "reader":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.socket.connect(("127.0.0.1", port))
        self.deadline = time.monotonic() + (HEAD if kind == "head" else BODY)
        self.socket.setblocking(False)
        if kind == "head":
            self.say(b"POST %s HTTP/1.1\r\nHost: localhost\r\nX: " % CLASSIFY.encode())
        elif kind == "body":
            self.say(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" % CLASSIFY.encode())
        else:
            self.say(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % LABELS.encode() * 24)

    def say(self, data):
        try:
            self.socket.send(data)
        except OSError:
            pass

    def read(self):
        """Whether the end is there.  What a slow reader did not read comes before its end."""
        try:
            while self.socket.recv(65536):
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        self.closed = time.monotonic()
        return True


class Crowd:
    """So many slow ones, new ones for those that were cut."""

    def __init__(self, port, count):
        self.port, self.count, self.stop = port, count, threading.Event()
        self.epoll, self.alive, self.gone, self.made = select.epoll(), {}, [], 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def fill(self):
        while len(self.alive) < self.count and not self.stop.is_set():
            slow = Slow(self.port, KINDS[self.made % len(KINDS)])
            self.made += 1
            self.alive[slow.socket.fileno()] = slow
            if slow.kind != "reader":
                self.epoll.register(slow.socket, select.EPOLLIN)

    def drip(self, now):
        for slow in self.alive.values():
            if slow.kind != "reader":
                slow.say(b"x")

    def wake(self, now):
        """Half a second after its deadline a reader reads what there is: it can't see its end before."""
        for fd, slow in self.alive.items():
            if slow.kind == "reader" and now > slow.deadline + 0.5:
                slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
                self.epoll.register(slow.socket, select.EPOLLIN)
                slow.deadline += 1000

    def run(self):
        dripped, last = 0, None
        while not self.stop.is_set() or (self.alive and time.monotonic() < last):
            self.fill()
            now = time.monotonic()
            if now - dripped > 0.5:
                self.drip(now)
                dripped = now
            self.wake(now)
            if not self.stop.is_set():
                last = now + BODY + 3
            for fd, _ in self.epoll.poll(0.05):
                if self.alive[fd].read():
                    slow = self.alive.pop(fd)
                    slow.deadline -= 1000 if slow.kind == "reader" else 0
                    slow.socket.close()
                    self.gone.append(slow)

    def end(self):
        self.stop.set()
        self.thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    allow_descriptors()
    server = Server("--header-timeout", HEAD, "--body-timeout", BODY, "--max-connections", 2 * options.slow + 100,
                    "--max-connections-per-address", 0)
    generate(server, 0, 1, 4)
    alone, beside, holding, gone, stuck = [], [], [], [], []
    for _ in range(options.rounds):
        alone.append(generate(server, RATE, options.seconds, 8)["ok"]["p99_ms"])
        crowd = Crowd(server.port, options.slow)
        time.sleep(1)
        spent = server.cpu()
        time.sleep(2)
        holding.append((server.cpu() - spent) / 2)
        found = generate(server, RATE, options.seconds, 8)
        beside.append(found["ok"]["p99_ms"])
        assert found["ok"]["count"] == found["due"], found
        crowd.end()
        gone += crowd.gone
        stuck += crowd.alive.values()
    ratio = min(beside) / min(alone)
    print(f"good client: p99 {min(alone):.1f} ms alone, {min(beside):.1f} ms beside {options.slow} slow ones: "
          f"{ratio:.2f} times  {verdict(ratio <= 2)}")
    late = {}
    for kind in KINDS:
        over = [slow.closed - slow.deadline for slow in gone if slow.kind == kind]
        late[kind] = max(over)
        print(f"slow {kind}: {len(over)} closed, the last {max(over):+.2f} s from its deadline  {verdict(max(over) <= 1)}")
    cut = {reason: int(server.metric(f'infomask_connections_cut_total{{reason="{reason}"}}'))
           for reason in ["slow_headers", "slow_body", "slow_reader"]}
    print(f"cut: {cut}; processor time for holding {options.slow}: {100 * min(holding):.0f} % of a core")
    print(f"still open 3 s after their deadline: {len(stuck)}  {verdict(not stuck)}")
    assert server.stop() == 0
    return 0 if ratio <= 2 and max(late.values()) <= 1 and not stuck else 1


if __name__ == "__main__":
    sys.exit(main())
