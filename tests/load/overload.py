"""Open-loop load of 2, 5 and 10 times what the daemon can do: what gets through, how fast the rest is refused, and how
soon all is well again.

    python tests/load/overload.py [--seconds 4] [--rounds 2]

Goodput is answers per core-second that the daemon could have had: the generator's processor time, and that of whatever
else runs on the machine, is counted out.  Of several interleaved rounds the best counts.
"""
import argparse
import sys
import time

from daemon import CLASSIFY, CORES, Server, generate, photos, verdict

FACTORS = [2, 5, 10]


def recovery(server, photo, usual):
    """Seconds until three answers in a row take at most twice the usual time."""
    start, good = time.monotonic(), 0
    while good < 3 and time.monotonic() - start < 30:
        asked = time.monotonic()
        status = server.ask("POST", CLASSIFY, photo).status
        good = good + 1 if status == 200 and time.monotonic() - asked < 2 * usual else 0
    return time.monotonic() - start


def unloaded(server, photo):
    times = []
    for _ in range(20):
        asked = time.monotonic()
        assert server.ask("POST", CLASSIFY, photo).status == 200
        times.append(time.monotonic() - asked)
    return sorted(times)[len(times) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    server = Server("--max-connections-per-address", 0)
    photo = open(photos()[0], "rb").read()
    generate(server, 0, 1, 8)
    usual = unloaded(server, photo)
    peak, rows = (0, 0), {factor: [] for factor in FACTORS}
    for _ in range(options.rounds):
        found = generate(server, 0, options.seconds, 16)
        peak = max(peak, (found["ok"]["count"] / found["available"], found["ok"]["count"] / found["seconds"]))
        for factor in FACTORS:
            found = generate(server, factor * peak[0] * CORES, options.seconds, 400)
            back = recovery(server, photo, usual)
            rows[factor].append((found["ok"]["count"] / found["available"], found, back))
    print(f"unloaded: {1000 * usual:.1f} ms; peak: {peak[1]:.0f}/s, {peak[0]:.1f} answers per core-second")
    print("load  offered/s  answered/s  goodput of peak  refused  refusal p50   p99    max ms  failed  recovery s")
    fine = True
    for factor, found in rows.items():
        share = max(row[0] for row in found) / peak[0]
        p99 = min((row[1]["refused"]["p99_ms"] for row in found if row[1]["refused"]["count"] > 0), default=0)
        back = min(row[2] for row in found)
        failed = sum(row[1]["failed"]["count"] + row[1]["other"]["count"] + row[1]["unsent"] for row in found)
        one = max(found, key=lambda row: row[0])[1]
        good = share >= 0.9 and p99 < 50 and back < 2 and failed == 0
        fine = fine and good
        print(f"{factor:3}x {factor * peak[0] * CORES:10.0f} {one['ok']['count'] / one['seconds']:11.0f} {100 * share:14.0f} % "
              f"{one['refused']['count']:8} {one['refused']['p50_ms']:12.1f} {p99:6.1f} {one['refused']['max_ms']:7.1f} "
              f"{failed:7} {back:10.2f}  {verdict(good)}")
    assert server.stop() == 0
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
