#!/usr/bin/env python3
"""What int8 changes, on crops of photos that it was not calibrated on; fails where it is more than it may be.

    quantize.py INFOMASK models quantize --images DIR MODEL [OPTION]...

The error of log p is the measure to go by: how often the best class is another one depends on how many of the crops are
of nothing in particular (bf16 differs on those as well), so the limit on agreement is for crops whose best class has at
least half of the probability.
"""
import json
import subprocess
import sys

MOST_ERROR = 0.085   # nats, root mean square over the 5 best classes
LEAST_SURE = 0.992


def main():
    done = subprocess.run([*sys.argv[1:], "--dry-run", "--json"], stdout=subprocess.PIPE, check=True)
    record = json.loads(done.stdout)
    error, sure = record["log_probability_error"], record["sure_agreement"]
    print(f"{record['crops']} crops of {record['photos']} photos, calibrated on {record['calibration']['crops']} of "
          f"{record['calibration']['photos']} others")
    print(f"best class as in f32: {record['agreement']:.2%}; where it has p >= 0.5 ({record['sure']:.0%}): {sure:.2%} "
          f"(at least {LEAST_SURE:.1%})")
    print(f"error of log p, 5 best classes: {error:.4f} nats (at most {MOST_ERROR})")
    return 0 if error <= MOST_ERROR and sure >= LEAST_SURE else 1


if __name__ == "__main__":
    sys.exit(main())
