#!/usr/bin/env python3
"""The figures of docs/information.md: tools/information_figures.py INFOMASK FOLDER

confidence.svg  what a model that is too sure, or not sure enough, believes and knows: exact, by quadrature
limit.svg       sixty data sets of one task: estimates and lower limits beside the truth, from `estimate --task --exact`
cells.svg       the nats of each cell of a photo's map, from `mask`: their mean is the photo's PMI
"""
import json
import math
import pathlib
import subprocess
import sys

INK, GREY, ORANGE, BLUE = "#18181b", "#64748b", "#c2410c", "#1d4ed8"
SETS, SAMPLES, TASK = 60, 300, "ref-bal-d1"


def svg(name, width, height, label, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="{label}">\n'
            f'<rect width="{width}" height="{height}" fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n")


def text(x, y, words, anchor="start", fill=INK, size=13):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" font-size="{size}">{words}</text>'


def line(x1, y1, x2, y2, stroke=GREY, width=1, dash=""):
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" stroke-width="{width}"{dashes}/>'


def curve(points, stroke):
    return (f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" stroke="{stroke}" '
            'stroke-width="2.5"/>')


# ---- Too sure, and not sure enough ------------------------------------------------------------------------------------

def believed_and_known(b, means=(0, 2, -2, 4, -4), steps=2000):
    """Plug-in and estimate of the posterior to the power b of the task ref-bal-d1, in the limit of many samples."""
    k, low, high = len(means), -12.0, 12.0
    plug_in = known = 0.0
    for i in range(steps):
        x = low + (high - low) * (i + 0.5) / steps
        density = [math.exp(-0.5 * (x - m) ** 2) / math.sqrt(2 * math.pi) for m in means]
        z = [-0.5 * b * (x - m) ** 2 for m in means]
        top = max(z)
        norm = top + math.log(sum(math.exp(v - top) for v in z))
        pmi = [v - norm + math.log(k) for v in z]
        weight = (high - low) / steps / k
        plug_in += weight * sum(density) * sum(math.exp(p) / k * p for p in pmi)
        known += weight * sum(d * p for d, p in zip(density, pmi))
    return plug_in, known


def confidence():
    left, right, top, bottom, most, least = 60, 620, 30, 290, 1.7, -0.7
    betas = [2 ** (i / 8) for i in range(-24, 25)]
    values = [believed_and_known(b) for b in betas]
    x = lambda b: left + (right - left) * (math.log2(b) + 3) / 6
    y = lambda v: bottom - (bottom - top) * (v - least) / (most - least)
    truth = believed_and_known(1)[1]
    body = [line(left, y(v), right, y(v), "#e4e4e7") for v in (-0.5, 0, 0.5, 1, 1.5)]
    body += [text(left - 8, y(v) + 4, f"{v:g}", "end", GREY) for v in (-0.5, 0, 0.5, 1, 1.5)]
    body += [text(x(b), bottom + 18, f"{b:g}", "middle", GREY) for b in (0.125, 0.25, 0.5, 1, 2, 4, 8)]
    body += [text((left + right) / 2, bottom + 38, "what the logits are multiplied by; 1 is calibrated", "middle", GREY),
             line(left, y(truth), right, y(truth), INK, 1, "5 4"), text(right - 4, y(truth) - 6, f"I(X;Y) = {truth:.3f} nats", "end"),
             line(x(1), top, x(1), bottom, GREY, 1, "2 4"),
             curve([(x(b), y(v[0])) for b, v in zip(betas, values)], ORANGE),
             curve([(x(b), y(v[1])) for b, v in zip(betas, values) if v[1] > least], BLUE),
             text(left + 6, y(0.86), "the estimate: what it knows", "start", BLUE),
             text(left + 6, y(0.12), "the plug-in: what it believes", "start", ORANGE),
             text(x(0.35), top - 8, "not sure enough", "middle", GREY), text(x(3), top - 8, "too sure", "middle", GREY)]
    return svg("confidence", 660, 340, "Plug-in and estimate of a model that is not sure enough, calibrated, and too sure", body)


# ---- Why the limit is below -------------------------------------------------------------------------------------------

def limit(infomask):
    sets = []
    for seed in range(1, SETS + 1):
        answer = json.loads(subprocess.run(
            [infomask, "estimate", "--task", TASK, "--exact", "--n", str(SAMPLES), "--seed", str(seed), "--json"],
            check=True, capture_output=True).stdout)
        sets.append((answer["mutual_information"]["estimate"], answer["mutual_information"]["lower_limit"], answer["truth"]))
    sets.sort()
    truth, left, right, top, bottom, least, most = sets[0][2], 60, 620, 24, 270, 0.7, 1.25
    x = lambda i: left + (right - left) * (i + 0.5) / SETS
    y = lambda v: bottom - (bottom - top) * (v - least) / (most - least)
    body = [line(left, y(v), right, y(v), "#e4e4e7") for v in (0.7, 0.8, 0.9, 1, 1.1, 1.2)]
    body += [text(left - 8, y(v) + 4, f"{v:g}", "end", GREY) for v in (0.7, 0.8, 0.9, 1, 1.1, 1.2)]
    for i, (estimate, lower, _) in enumerate(sets):
        stroke = BLUE if lower <= truth else ORANGE
        body += [line(x(i), y(lower), x(i), y(estimate), stroke, 2),
                 f'<circle cx="{x(i):.1f}" cy="{y(estimate):.1f}" r="3" fill="{stroke}"/>']
    above = sum(estimate > truth for estimate, _, _ in sets)
    held = sum(lower <= truth for _, lower, _ in sets)
    body += [line(left, y(truth), right, y(truth), INK, 1.5, "5 4"), text(left + 4, y(truth) - 6, f"I(X;Y) = {truth:.3f} nats"),
             text((left + right) / 2, bottom + 24, f"{SETS} data sets of {SAMPLES} samples: {above} estimates (dots) above the truth, "
                  f"{SETS - held} limits (lower ends)", "middle", GREY)]
    return svg("limit", 660, 310, "Estimates and lower limits of sixty data sets beside the truth", body)


# ---- Cells of a map ---------------------------------------------------------------------------------------------------

def cells(infomask, photo):
    answer = json.loads(subprocess.run([infomask, "mask", "--target", "espresso", "--method", "infocam", "--quality", "fast",
                                        "--json", str(photo)], check=True, capture_output=True).stdout)
    rows, columns, table = answer["map"]["rows"], answer["map"]["columns"], answer["map"]["cells"]
    mean, wide, high, top = sum(map(sum, table)) / rows / columns, 64, 40, 8
    body = []
    for r, row in enumerate(table):
        for c, v in enumerate(row):
            share = min(abs(v) / 16, 1)
            color = f"rgb({255 - 61 * share:.0f},{255 - 190 * share:.0f},{255 - 243 * share:.0f})" if v > 0 else \
                f"rgb({255 - 226 * share:.0f},{255 - 177 * share:.0f},{255 - 39 * share:.0f})"
            body.append(f'<rect x="{8 + wide * c}" y="{top + high * r}" width="{wide - 2}" height="{high - 2}" rx="3" fill="{color}"/>')
            body.append(text(8 + wide * c + wide / 2 - 1, top + high * r + 24, f"{v:.1f}", "middle", INK, 12))
    body.append(text(8, top + high * rows + 22, f"nats for “espresso” in each of {rows * columns} cells; their mean, {mean:.2f}, is the PMI in this pass"))
    return svg("cells", 16 + wide * columns, top + high * rows + 36, "The nats of each cell of a map", body)


def main():
    infomask, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    photo = pathlib.Path(__file__).parent.parent / "docs/coffee.jpg"
    for name, drawn in (("confidence", confidence()), ("limit", limit(infomask)), ("cells", cells(infomask, photo))):
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
