#!/usr/bin/env python3
"""docs/nats.svg: what some things tell, in nats, to one scale.  tools/nats_figure.py > docs/nats.svg"""
import math
import sys

# what happened; its probability before it was seen, and afterwards (1: it was seen to be so)
ROWS = [
    ("a coin shows heads", 1 / 2, 1),
    ("a die shows six", 1 / 6, 1),
    ("a card is the ace of spades", 1 / 52, 1),
    ("this photo, for “cup”", 1 / 1000, 0.014992),
    ("this photo, for “espresso”", 1 / 1000, 0.951062),
    ("certainty among 1000 names", 1 / 1000, 1),
]
LEFT, WIDE, ROW, TOP = 230, 400, 34, 44
MOST = math.log(1000)


def bar(i, name, before, after):
    nats, y = math.log(after / before), TOP + ROW * i
    color = "#c2410c" if "photo" in name else "#64748b"
    return (f'<text x="{LEFT - 12}" y="{y + 15}" text-anchor="end">{name}</text>'
            f'<rect x="{LEFT}" y="{y}" width="{WIDE * nats / MOST:.1f}" height="20" rx="4" fill="{color}"/>'
            f'<text x="{LEFT + WIDE * nats / MOST + 8:.1f}" y="{y + 15}" class="n">{nats:.2f}</text>')


def axis(height):
    for nats in range(0, 7):
        x = LEFT + WIDE * nats / MOST
        yield (f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 26}" stroke="#d4d4d8"/>'
               f'<text x="{x:.1f}" y="{TOP - 14}" text-anchor="middle" class="q">{nats}</text>'
               f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle" class="q">×{math.exp(nats):.3g}</text>')


def main():
    height = TOP + ROW * len(ROWS) + 28
    sys.stdout.write(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 {height}" width="700" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="14" role="img" aria-label="What some things tell, in nats">\n'
        '<style>.n{font-weight:700}.q{fill:#52525b;font-size:12px}</style>\n'
        f'<rect width="700" height="{height}" fill="#fff"/>\n'
        f'<text x="{LEFT - 12}" y="{TOP - 14}" text-anchor="end" class="q">nats</text>'
        f'<text x="{LEFT - 12}" y="{height - 10}" text-anchor="end" class="q">so many times likelier than before</text>\n'
        + "\n".join([*axis(height), *(bar(i, *row) for i, row in enumerate(ROWS))]) + "\n</svg>\n")


if __name__ == "__main__":
    main()
