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
LEAST = {("standard", "single"): (.955, .773), ("standard", "scene"): (.743, .513),  # pixel AP and IoU
         ("fast", "single"): (.926, .715), ("fast", "scene"): (.673, .477)}
LEAST_BOX = {"single": .916, "scene": .592}  # of standard


def evaluate(name, options, quick=True):
    folder = pathlib.Path(COMPOSITES) / name
    answer = subprocess.run([INFOMASK, "evaluate", "masks", "--images", folder / "images", "--masks", folder / "masks",
                             "--targets", folder / "targets.tsv", *options, *(["--quick"] if quick else []), "--json"],
                            capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def mean(photos, key):
    return sum(p[key] for p in photos) / len(photos)


def at_once(photos):
    return mean(photos, "pixel_ap"), mean(photos, "mask_iou")


def numbers(values):
    return " / ".join(f"{v:.3f}".lstrip("0") if v < 1 else f"{v:.2f}" for v in values)


def main():
    short = []
    print("| pictures | preset | all: pixel AP / IoU | box | pointing | seen by its pass | these: pixel AP / IoU |")
    print("|---|---|---|---|---|---|---|")
    for name in SETS:
        for row, options in ROWS.items():
            answer = evaluate(name, options)
            photos, box = answer["photos"], answer["mean"]["max_box_accuracy"]
            seen = [p for p in photos if p["largest_window_pmi"] >= SEEN]
            print(f"| {name} | {row} | {numbers(at_once(photos))} | {numbers([box])} | "
                  f"{mean(photos, 'pointing'):.2f} | "
                  f"{len(seen)} of {len(photos)} | {numbers(at_once(seen))} |", flush=True)
            for got, least in zip(at_once(seen), LEAST.get((row, name), ())):
                if got < least - .01:
                    short.append(f"{row} on {name}: {got:.3f} of {least}")
            if row == "standard" and box < LEAST_BOX.get(name, 0) - .01:
                short.append(f"{row} on {name}: box {box:.3f} of {LEAST_BOX[name]}")
    for row, options in ROWS.items() if "--faithful" in MORE else ():
        m = evaluate("single", options, quick=False)["mean"]
        print(f"{row} on single: deletion {m['deletion']:.2f} nats, insertion {m['insertion']:.2f} nats, "
              f"ROAD {m['road']:.2f} nats, drop {m['average_drop']:.3f}, increase {m['increase']:.3f}", flush=True)
    return "\n".join(short)


sys.exit(main() or 0)
