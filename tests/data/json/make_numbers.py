#!/usr/bin/env python3
"""Numbers of more than 63 characters and what Python's float makes of them, for tests/unit/app/test_json.c.

    python3 tests/data/json/make_numbers.py > tests/data/json/numbers.txt

A line each: the bits of the double, and the text.  Seeded; among them what lies half the way between two doubles, a
little less and a little more, which only a reader that looks at every digit rounds as it should.
"""
import decimal
import math
import random
import struct

decimal.getcontext().prec = 2000
rng = random.Random(11)


def bits(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def digits(n):
    return "".join(rng.choice("0123456789") for _ in range(n))


def random_double():
    while True:
        value = struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))[0]
        if math.isfinite(value) and abs(value) < 1e308:
            return value


def shapes():
    """Digits before and after the point, zeros in front and behind, exponents of every kind."""
    for _ in range(60):
        whole, rest = rng.choice([0, 1, 40, 200]), rng.choice([0, 30, 90, 300])
        text = rng.choice(["", "-"]) + (str(rng.randrange(1, 10)) + digits(whole) if rng.random() < 0.7 else "0")
        text += "." + rng.choice(["", "0" * rng.randrange(400)]) + digits(rest) + "7" if rest else ""
        text += rng.choice(["", f"e{rng.randrange(-400, 60)}", f"E+{rng.randrange(60)}",
                            f"e-{'0' * 70}{rng.randrange(9)}"])
        yield text
    yield "0." + "0" * 99 + "1"
    yield "-0." + "0" * 99
    yield "0e" + "9" * 99
    yield "-1e-" + "9" * 99
    yield "1" + "0" * 900 + "e-900"
    yield "0." + "0" * 900 + "1e901"


def halves():
    """Exactly between two doubles: to the even one; and a 1 or less far behind it."""
    for value in [random_double() for _ in range(6)] + [5e-324, 2.2250738585072014e-308, 9007199254740992.0]:
        middle = format((decimal.Decimal(value) + decimal.Decimal(math.nextafter(value, math.inf))) / 2, "f")
        middle += "" if "." in middle else ".0"
        yield middle + "0" * 70
        yield middle + "0" * 70 + "1"
        if middle[-1] != "0":
            yield middle[:-1] + str(int(middle[-1]) - 1) + "9" * 70


for number in [*shapes(), *halves()]:
    if len(number) > 63 and math.isfinite(float(number)):
        print(f"{bits(float(number)):016x} {number}")
