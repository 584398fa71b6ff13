"""64 to 4,000 connections in lock-step: all ask, all wait for their answers, again.  No number of them may stall.

    python tests/load/connections.py [--rounds 20]
"""
import argparse
import select
import socket
import sys
import time

from daemon import Server, allow_descriptors, verdict

COUNTS = [64, 128, 256, 512, 1000, 4000]
ASK = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
STALL = 5.0  # seconds; a stall lasts until the deadline of an idle connection


def lock_step(port, count, rounds):
    """Seconds of the slowest round, and connections that were not answered in it."""
    epoll, sockets, slowest = select.epoll(), {}, 0.0
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port), 30)
        one.setblocking(False)
        sockets[one.fileno()] = one
        epoll.register(one, select.EPOLLIN)
    for _ in range(rounds):
        start, waiting = time.monotonic(), set(sockets)
        for one in sockets.values():
            one.send(ASK)
        while waiting and time.monotonic() - start < STALL:
            for fd, _ in epoll.poll(0.1):
                assert sockets[fd].recv(4096).startswith(b"HTTP/1.1 200 "), "not answered 200"
                waiting.discard(fd)
        slowest = max(slowest, time.monotonic() - start)
        if waiting:
            break
    for one in sockets.values():
        one.close()
    return slowest, len(waiting)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    allow_descriptors()
    server = Server("--max-connections", max(COUNTS) + 100, "--max-connections-per-address", 0)
    before, stalled = server.fds(), 0
    print("connections  slowest of the rounds ms  unanswered")
    for count in COUNTS:
        slowest, waiting = lock_step(server.port, count, options.rounds)
        stalled += waiting
        print(f"{count:11} {1000 * slowest:25.1f} {waiting:11}  {verdict(waiting == 0)}")
    end = time.monotonic() + 10
    while server.fds() > before + 1 and time.monotonic() < end:
        time.sleep(0.05)
    print(f"descriptors: {before} before, {server.fds()} after")
    left = server.fds() - before
    assert server.stop() == 0
    return 0 if stalled == 0 and left <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
