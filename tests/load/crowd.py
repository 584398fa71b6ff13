"""Ten times the load that the daemon can do, from 500 addresses that are not this machine's, and a polite client beside a
greedy one.

    make bench-overload

The crowd lives in a network namespace of its own (root is needed), behind a pair of virtual devices.  Goodput is answers per
core-second that the daemon could have had: what else runs on the machine is counted out.  The polite client asks again a
while after its answer came; its latency is compared with its own latency alone, in turn.  That is a whole exchange, from
the first byte sent to the last received: 100 KB over the virtual devices, and one photo decoded and classified on all
cores.  Of the rounds the best counts.  On a machine that others use the times of single requests tell about them: the
counts are told, too.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time

from daemon import CLASSIFY, CORES, GENERATOR, Server, allow_descriptors, busy_seconds, photos, verdict
from wire import Connection, request

SPACE, NET, HOST = f"crowd{os.getpid()}", "10.213.0", "10.213.0.1"
CROWD, GREEDY = "10.213.4.1", "10.213.16.1"  # first addresses
CONNECTIONS = 500
FACTOR = 10
PAUSE_S = 0.05  # of the polite client


def run(command):
    subprocess.run(command.split(), check=True, capture_output=True)


class Space:
    """The namespace, and every address of the net but ours in it."""

    def __enter__(self):
        for command in (f"ip netns add {SPACE}", f"ip link add {SPACE}a type veth peer name {SPACE}b netns {SPACE}",
                        f"ip addr add {HOST}/16 dev {SPACE}a", f"ip link set {SPACE}a up"):
            run(command)
        for command in ("link set lo up", f"link set {SPACE}b up", f"addr add {NET}.2/16 dev {SPACE}b",
                        "route add local 10.213.4.0/22 dev lo", "route add local 10.213.16.0/24 dev lo"):
            run(f"ip netns exec {SPACE} ip {command}")
        return self

    def __exit__(self, *_):
        run(f"ip netns del {SPACE}")


def crowd(server, rate, seconds, connections, first, addresses, files):
    """What the generator says, and beside it the answers per core-second that the daemon had or could have had."""
    start, busy, own = time.monotonic(), busy_seconds(), server.cpu()
    done = subprocess.run(["ip", "netns", "exec", SPACE, GENERATOR, HOST, str(server.port), CLASSIFY, "--rate", str(rate),
                           "--seconds", str(seconds), "--connections", str(connections), "--from", first, "--addresses",
                           str(addresses), *files], capture_output=True, check=True)
    found = json.loads(done.stdout)
    own = server.cpu() - own
    available = CORES * (time.monotonic() - start) - (busy_seconds() - busy - own)
    found["goodput"], found["by_cpu"] = found["ok"]["count"] / available, found["ok"]["count"] / own
    return found


def polite(server, seconds, photo):
    """The latencies of one client that waits for each answer, of these the times in the queue, and how many were refused."""
    times, waits, refused, end = [], [], 0, time.monotonic() + seconds
    with Connection(server.port, 60, HOST) as connection:
        while time.monotonic() < end:
            asked = time.monotonic()
            connection.send(request("POST", CLASSIFY, photo))
            response = connection.response()
            if response.status == 200:
                times.append(1000 * (time.monotonic() - asked))
                waits.append(float(re.search(r"queue;dur=([\d.]+)", response.get("Server-Timing")).group(1)))
            else:
                refused += 1
            time.sleep(PAUSE_S)
    return sorted(times), sorted(waits), refused


def beside(server, options, photo, files):
    """The polite client while one address asks over 200 connections, as much as it can."""
    found = []
    thread = threading.Thread(target=lambda: found.append(
        crowd(server, 0, options.seconds, 200, GREEDY, 1, files)))
    thread.start()
    time.sleep(0.5)
    times, waits, refused = polite(server, options.seconds - 1, photo)
    thread.join()
    return times, waits, refused, found[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    allow_descriptors()
    files, rows, alone, with_greedy, queued, greedy, refused = photos(), [], [], [], [], [], 0
    photo = open(files[0], "rb").read()
    with Space():
        server = Server("--listen", HOST, "--log-level", "error")
        crowd(server, 0, 2, 8, CROWD, 8, files)
        for _ in range(options.rounds):
            peak = crowd(server, 0, options.seconds, 16, CROWD, 16, files)
            rate = FACTOR * peak["ok"]["count"] / peak["seconds"]
            rows.append((peak, crowd(server, rate, options.seconds, CONNECTIONS, CROWD, CONNECTIONS, files), rate))
            alone.append(polite(server, options.seconds, photo)[0])
            times, waits, away, one = beside(server, options, photo, files)
            with_greedy.append(times)
            queued.append(waits)
            greedy.append(one)
            refused += away
        share = max(found["goodput"] / peak["goodput"] for peak, found, _ in rows)
        by_cpu = max(found["by_cpu"] / peak["by_cpu"] for peak, found, _ in rows)
        quick = min(found["refused"]["p99_ms"] for _, found, _ in rows if found["refused"]["count"])
        failed = sum(found["failed"]["count"] + found["other"]["count"] for _, found, _ in rows)
        peak, found, rate = rows[0]
        print(f"peak {peak['ok']['count'] / peak['seconds']:.0f}/s; offered {rate:.0f}/s from {CONNECTIONS} addresses: "
              f"{found['ok']['count']} answered, {found['refused']['count']} refused, {failed} failed in all rounds  "
              f"{verdict(failed == 0)}")
        print(f"goodput {100 * share:.0f} % of the peak by the machine's time, {100 * by_cpu:.0f} % by the daemon's own  "
              f"{verdict(share >= 0.95)}")
        print(f"refusals: 99 % within {quick:.1f} ms  {verdict(quick < 5)}")
        middle = [min(times[len(times) // 2] for times in both) for both in (alone, with_greedy)]
        waited = min(waits[len(waits) // 2] for waits in queued)
        print(f"polite client: median {middle[0]:.1f} ms alone, {middle[1]:.1f} ms beside a greedy one "
              f"({middle[1] / middle[0]:.2f} times; {waited:.1f} ms of it in the queue), {refused} refused; it had "
              f"{sum(map(len, with_greedy))} answers on one connection, the greedy one "
              f"{sum(one['ok']['count'] for one in greedy)} on 200, and "
              f"{sum(one['refused']['count'] for one in greedy)} refusals  "
              f"{verdict(middle[1] <= 1.2 * middle[0] and refused == 0)}")
        assert server.stop() == 0
    return 0 if share >= 0.95 and quick < 5 and failed == 0 and middle[1] <= 1.2 * middle[0] and refused == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
