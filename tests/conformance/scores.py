#!/usr/bin/env python3
"""Masks scored on the composites: the table of docs/masks.md; fails if it falls short of what the presets promise.

    scores.py INFOMASK COMPOSITES [--faithful]

A preset is also scored on the pictures in which its own pass sees the target at all (at least 3 nats in some window):
the others have, rightly, empty masks.  --faithful adds what the model says when pixels go; 45 passes a picture.
"""
import json
import pathlib
import subprocess
import sys

INFOMASK, COMPOSITES, *MORE = sys.argv[1:]
SETS = ("single", "scene", "canvas")
ROWS = {"cam": ["--method=cam", "--refine=false", "--quality=fast"], "fast": ["--quality=fast"],
        "middle": ["--quality=middle"], "standard": ["--quality=standard"]}
SEEN = 3
LEAST = {("standard", "single"): (.955, .773, .916), ("standard", "scene"): (.743, .513, .592),
         ("fast", "single"): (.926, .715, 0), ("fast", "scene"): (.673, .477, 0)}


def evaluate(name, options, quick=True):
    folder = pathlib.Path(COMPOSITES) / name
    answer = subprocess.run([INFOMASK, "evaluate", "masks", "--images", folder / "images", "--masks", folder / "masks",
                             "--targets", folder / "targets.tsv", *options, *(["--quick"] if quick else []), "--json"],
                            capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def mean(photos, key):
    return sum(p[key] for p in photos) / len(photos)


def at_once(photos):
    return tuple(mean(photos, key) for key in ("pixel_ap", "mask_iou", "max_box_accuracy"))


def numbers(values):
    return " / ".join(f"{v:.3f}".lstrip("0") if v < 1 else f"{v:.2f}" for v in values)


def main():
    short = []
    print("| pictures | preset | all: AP / IoU / box | pointing | seen by its pass | these: AP / IoU / box |")
    print("|---|---|---|---|---|---|")
    for name in SETS:
        for row, options in ROWS.items():
            photos = evaluate(name, options)["photos"]
            seen = [p for p in photos if p["largest_window_pmi"] >= SEEN]
            print(f"| {name} | {row} | {numbers(at_once(photos))} | {mean(photos, 'pointing'):.2f} | "
                  f"{len(seen)} of {len(photos)} | {numbers(at_once(seen))} |", flush=True)
            for got, least in zip(at_once(seen), LEAST.get((row, name), ())):
                if got < least - .01:
                    short.append(f"{row} on {name}: {got:.3f} of {least}")
    for row, options in ROWS.items() if "--faithful" in MORE else ():
        m = evaluate("single", options, quick=False)["mean"]
        print(f"{row} on single: deletion {m['deletion']:.2f} nats, insertion {m['insertion']:.2f} nats, "
              f"ROAD {m['road']:.2f} nats, drop {m['average_drop']:.3f}, increase {m['increase']:.3f}", flush=True)
    return "\n".join(short)


sys.exit(main() or 0)
