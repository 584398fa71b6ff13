#!/usr/bin/env python3
"""How the service grows with the number of its daemons: measured for a few, predicted by a queueing model, simulated for many.

    tools/scaling.py measure BINARY PHOTO   1, 2 and 4 daemons of one thread behind HAProxy, each in a control group that gives
                                            it a tenth of a core, so that they share nothing; beside what the model says (root)
    tools/scaling.py simulate [SECONDS]     10 to 10,000 nodes under several ways of choosing one; SECONDS: time of a photo

Requests arrive as a Poisson process: many clients that know nothing of each other.  Everything random has a seed.  The standard
library is all that it needs.
"""
import asyncio
import collections
import heapq
import math
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

# ---- The model: M/G/k ---------------------------------------------------------------------------------------------------------


def erlang_c(k, load):
    """Probability that an arrival waits in M/M/k, where load = rate x service time (A. K. Erlang, 1917)."""
    blocked = 1.0
    for servers in range(1, k + 1):
        blocked = load * blocked / (servers + load * blocked)
    return blocked / (1 - load / k * (1 - blocked))


def wait_exponential(k, rate, service):
    return erlang_c(k, rate * service) * service / (k - rate * service)


def wait_constant(k, rate, service):
    """M/D/k (G. P. Cosmetatos, 1976): half of M/M/k's, and what many servers of one pace lose in addition."""
    busy = rate * service / k
    return (1 + (1 - busy) * (k - 1) * (math.sqrt(4 + 5 * k) - 2) / (16 * busy * k)) / 2 * wait_exponential(k, rate, service)


def latency(k, rate, services):
    """Mean time in M/G/k: between M/D/k and M/M/k by the squared coefficient of variation of the service time."""
    mean = statistics.fmean(services)
    variation = statistics.pvariance(services) / mean**2
    return mean + variation * wait_exponential(k, rate, mean) + (1 - variation) * wait_constant(k, rate, mean)


# ---- The simulation -------------------------------------------------------------------------------------------------------------


class Nodes:
    """Servers of one thread, each with a queue of its own, first come first served."""

    def __init__(self, count):
        self.free = [0.0] * count                                 # when it will have nothing to do
        self.inside = [0] * count                                 # requests that wait or run
        self.ends = []                                            # (time, node), a heap
        self.level = [set(), *(set() for _ in range(8))]          # the nodes by how many are inside
        self.level[0].update(range(count))

    def _move(self, node, by):
        self.level[self.inside[node]].remove(node)
        self.inside[node] += by
        while self.inside[node] >= len(self.level):
            self.level.append(set())
        self.level[self.inside[node]].add(node)

    def until(self, now):
        while self.ends and self.ends[0][0] <= now:
            self._move(heapq.heappop(self.ends)[1], -1)

    def serve(self, node, now, service):
        end = self.free[node] = max(now, self.free[node]) + service
        self._move(node, +1)
        heapq.heappush(self.ends, (end, node))
        return end

    def least(self):
        """One of those with the fewest inside."""
        return next(iter(next(level for level in self.level if level)))


def chooser(way, nodes, count, draw):
    """way -> a function that names the node of the next request."""
    turn = iter(lambda: draw.randrange(count), None)
    if way == "random":
        return lambda: next(turn)
    if way == "in turn":
        order = collections.deque(range(count))

        def one_after_the_other():
            order.rotate(-1)
            return order[0]
        return one_after_the_other
    if way == "better of two":
        def better():
            one, two = next(turn), next(turn)
            return one if nodes.inside[one] <= nodes.inside[two] else two
        return better
    return nodes.least


def simulate(way, arrivals, services, count, seed=1, slow=0.0):
    """Times in the system of the requests that arrive at `arrivals`; `slow`: this share of the nodes takes three times as long."""
    draw, nodes, times = random.Random(seed), Nodes(count), []
    choose = chooser(way, nodes, count, draw)
    for now in arrivals:
        nodes.until(now)
        node = choose()
        pace = 3 if node < slow * count else 1
        times.append(nodes.serve(node, now, pace * draw.choice(services)) - now)
    return times


def poisson(rate, count, seed):
    draw, now, times = random.Random(seed), 0.0, []
    for _ in range(count):
        now += draw.expovariate(rate)
        times.append(now)
    return times


def quantile(ordered, p):
    return ordered[min(len(ordered) - 1, int(p * len(ordered)))]


def table_of_simulation(service):
    """Photos of one size: their time varies by 5 %.  A run begins empty; its first third is left out.  Nodes that are chosen at
    random are each alone: one of them is simulated for all.  A node that takes three times as long cannot keep up with its share
    of 70 or 90 %: where the choice is blind its queue grows without end."""
    draw = random.Random(7)
    services = [service * max(0.5, draw.gauss(1, 0.05)) for _ in range(2000)]
    print("| nodes | busy | way | photos/s | mean ms | 99 % | 99.9 % | with a slow node in 100 (in 10): 99.9 % |\n"
          "|--:|--:|---|--:|--:|--:|--:|--:|")
    for count in (10, 100, 1000, 10000):
        requests = max(150_000, 60 * count)
        for busy in (0.7, 0.9):
            rate = busy * count / service
            for way in ("random", "in turn", "better of two", "least connections"):
                def run(slow):
                    nodes = 1 if way == "random" else count
                    times = simulate(way, poisson(rate * nodes / count, requests, 3), services, nodes, slow=slow)
                    return sorted(times[requests // 3:])
                times = run(0.0)
                slowed = "grows" if way in ("random", "in turn") else f"{1e3 * quantile(run(0.01), .999):.0f}"
                print(f"| {count:,} | {busy:.0%} | {way} | {rate:,.0f} | {1e3 * statistics.fmean(times):.1f} | "
                      f"{1e3 * quantile(times, .99):.0f} | {1e3 * quantile(times, .999):.0f} | {slowed} |", flush=True)


# ---- The measurement ------------------------------------------------------------------------------------------------------------

QUOTA, PERIOD = 1000, 10000  # microseconds of processor time, of every so many: a tenth of a core in steps too short to be seen
GROUPS = pathlib.Path("/sys/fs/cgroup")


class Group:
    """A control group with a quota of processor time, of either version of their interface."""

    def __init__(self, name):
        old = (GROUPS / "cpu").is_dir()
        self.folder = (GROUPS / "cpu" if old else GROUPS) / name
        self.folder.mkdir(exist_ok=True)
        if old:  # the shares are of what is left on a busy machine; the quota is what counts
            limits = {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": QUOTA, "cpu.shares": 1 << 18}
        else:
            limits = {"cpu.max": f"{QUOTA} {PERIOD}", "cpu.weight": 10000}
        for file, value in limits.items():
            (self.folder / file).write_text(str(value))

    def enter(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def close(self):
        for _ in range(100):
            try:
                self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.1)


def prefer_this():
    """What sends and balances must not wait for what else runs on this machine."""
    os.setpriority(os.PRIO_PROCESS, 0, -15)


class Cluster:
    def __init__(self, binary, count, folder):
        base = 10000 + os.getpid() % 20000
        self.port, ports = base, [base + 1 + i for i in range(count)]
        self.groups = [Group(f"infomask-scaling-{base}-{i}") for i in range(count)]
        self.processes = [
            subprocess.Popen([binary, "serve", f"--port={port}", "--threads=1", "--cache=0", "--queue=1000",
                              "--request-timeout=300", f"--state-dir={folder / str(port)}"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=group.enter)
            for port, group in zip(ports, self.groups)]
        servers = "\n    ".join(f"server s{port} 127.0.0.1:{port}" for port in ports)
        (folder / "haproxy.cfg").write_text(f"""global
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 120s
    timeout server 120s
frontend web
    bind 127.0.0.1:{self.port}
    default_backend infomask
backend infomask
    balance leastconn
    {servers}
""")
        for port in ports:
            self._wait(port)
        self.processes.append(subprocess.Popen(["haproxy", "-db", "-q", "-f", str(folder / "haproxy.cfg")], preexec_fn=prefer_this))
        self._wait(self.port)

    @staticmethod
    def _wait(port):
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60).read()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"no daemon is ready on port {port}")

    def close(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(timeout=120)
        for group in self.groups:
            group.close()


async def ask(port, photo):
    """One classification on a connection of its own; when it began and ended."""
    begin = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/classify?top_k=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                 b"Content-Length: %d\r\n\r\n" % len(photo) + photo)
    answer = await reader.read()
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"not answered: {answer[:200]!r}")
    return begin, time.perf_counter()


async def one_by_one(port, photo, count):
    return [await ask(port, photo) for _ in range(count)]


async def at_times(port, photo, times):
    """Requests at these times, whether or not earlier ones were answered."""
    begin, tasks = time.perf_counter(), []
    for at in times:
        await asyncio.sleep(max(0, at - (time.perf_counter() - begin)))
        tasks.append(asyncio.create_task(ask(port, photo)))
    return [await task for task in tasks], len(tasks) / (time.perf_counter() - begin)


def unhindered(spans, count):
    """How long those took that found a daemon with nothing to do: the time of service, in the very run that it is to explain."""
    ends, found = [], []
    for begin, end in sorted(spans):
        while ends and ends[0] <= begin:
            heapq.heappop(ends)
        if len(ends) < count:
            found.append(end - begin)
        heapq.heappush(ends, end)
    return found


def measure_cluster(cluster, count, photo, requests):
    """Both loads; the rate of each is set by a short run before it, for other work on the machine changes what a photo takes."""
    asyncio.run(one_by_one(cluster.port, photo, 5 * count))
    service = statistics.median(end - begin for begin, end in asyncio.run(one_by_one(cluster.port, photo, 20)))
    for busy in (0.5, 0.75):
        for run in (requests // 5, requests):
            rate = busy * count / service
            arrivals = poisson(rate, run * count, seed=count)
            spans, reached = asyncio.run(at_times(cluster.port, photo, arrivals))
            services = unhindered(spans, count)
            service = statistics.fmean(services)
        times = sorted(end - begin for begin, end in spans)
        told = sorted(simulate("least connections", arrivals, services, count))
        print(f"| {count} | {reached:.2f} | {1e3 * service:.0f} | {rate * service / count:.0%} | {1e3 * statistics.fmean(times):.0f} | "
              f"{1e3 * latency(count, rate, services):.0f} | {1e3 * statistics.fmean(told):.0f} | "
              f"{1e3 * quantile(times, .95):.0f} | {1e3 * quantile(told, .95):.0f} |", flush=True)


def measure(binary, photo, requests):
    photo = pathlib.Path(photo).read_bytes()
    prefer_this()
    print("| daemons | photos/s | service ms | busy | mean ms: measured | M/G/k | simulated | 95 %: measured | simulated |\n"
          "|--:|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    for count in (1, 2, 4):
        with tempfile.TemporaryDirectory() as name:
            cluster = Cluster(binary, count, pathlib.Path(name))
            try:
                measure_cluster(cluster, count, photo, requests)
            finally:
                cluster.close()


def main(arguments):
    if arguments[:1] == ["measure"] and len(arguments) in (3, 4):
        if os.geteuid() != 0 or shutil.which("haproxy") is None:
            raise SystemExit("it needs root, for control groups, and haproxy")
        measure(arguments[1], arguments[2], int(arguments[3]) if len(arguments) == 4 else 1000)
    elif arguments[:1] == ["simulate"] and len(arguments) <= 2:
        table_of_simulation(float(arguments[1]) if len(arguments) == 2 else 0.008)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
