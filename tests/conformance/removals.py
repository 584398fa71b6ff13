#!/usr/bin/env python3
"""How often filters remove what they should, and what they should not: verdicts on the composites.

    removals.py INFOMASK COMPOSITES [--set single] [--first N] [--last N] [--fills match,inpaint] [--rows FILE]

Per fill: of the pictures whose class the network's own crop sees at all (before filtering, at least a nat), the shares
with each verdict, of the chain's own masks and of three given ones: the true mask, the true mask moved aside (onto where
the object is not), and its left half, which may not be `removed`.
"""
import argparse
import concurrent.futures
import io
import json
import pathlib
import re
import subprocess
import urllib.request

import numpy as np
from PIL import Image

EDGE = b"infomask-removals"


def form(parts):
    body = b"".join(b"--" + EDGE + b'\r\nContent-Disposition: form-data; name="' + name.encode() + b'"; filename="a"\r\n\r\n'
                    + data + b"\r\n" for name, data in parts) + b"--" + EDGE + b"--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=" + EDGE.decode()}


def ask(url, query, parts):
    body, headers = form(parts)
    with urllib.request.urlopen(urllib.request.Request(url + "/v1/filter?format=json&" + query, body, headers)) as reply:
        return json.loads(reply.read())["verification"]


def moved(mask):
    """Aside by half of the picture, where least of it lies on the object; None if there is no such place."""
    best = min((np.roll(mask, (y * mask.shape[0] // 2, x * mask.shape[1] // 2), (0, 1)) for y, x in ((0, 1), (1, 0), (1, 1))),
               key=lambda other: (other & mask).sum())
    return best if (best & mask).sum() < .05 * mask.sum() else None


def left_half(mask):
    columns = np.cumsum(mask.sum(0))
    return mask & (np.arange(mask.shape[1]) < np.searchsorted(columns, columns[-1] / 2))


def png(mask):
    out = io.BytesIO()
    Image.fromarray(np.uint8(mask) * 255).save(out, "PNG")
    return out.getvalue()


def one(url, fill, folder, stem, target):
    photo = (folder / "images" / f"{stem}.jpg").read_bytes()
    true = np.asarray(Image.open(folder / "masks" / f"{stem}.png")) > 127
    query = f"target={target}&fill={fill}"
    row = {"stem": stem, "found": ask(url, query, [("image", photo)])}
    for name, mask in (("true", true), ("moved", moved(true)), ("half", left_half(true))):
        if mask is not None:
            row[name] = ask(url, query + "&dilate=3", [("image", photo), ("mask", png(mask))])
    return row


def report(fill, rows):
    rows = [r for r in rows if r["found"]["pmi_before"] > 1]
    print(f"{fill}: {len(rows)} pictures")
    for name in ("found", "true", "moved", "half"):
        of = [r[name]["verdict"] for r in rows if name in r]
        print(f"  {name:6} {len(of):4}  " + "  ".join(f"{v} {100 * of.count(v) / max(1, len(of)):.0f} %"
                                                   for v in ("removed", "weakened", "failed", None)), flush=True)
    wrong = [r["stem"] for r in rows if r["found"]["complete"]
             and (r["found"]["rank_after"] == 1 or r["found"]["pmi_after"] >= r["found"]["pmi_before"])]
    print(f"  complete with the class first or a PMI that rose: {len(wrong)}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("infomask")
    parser.add_argument("composites")
    parser.add_argument("--set", default="single")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int, default=10 ** 6)
    parser.add_argument("--fills", default="match,inpaint")
    parser.add_argument("--rows", help="file for all answers, as JSON")
    options = parser.parse_args()
    folder = pathlib.Path(options.composites) / options.set
    targets = [line.split("\t")[:2] for line in (folder / "targets.tsv").read_text().splitlines() if line]
    targets = [(stem, target) for stem, target in targets if (folder / "images" / f"{stem}.jpg").exists()]
    targets = targets[options.first:options.last]
    server = subprocess.Popen([options.infomask, "serve", "--port", "0", "--request-timeout", "600"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        url = re.search(r"http://\S+", server.stdout.readline()).group(0)
        kept = {}
        for fill in options.fills.split(","):
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                kept[fill] = list(pool.map(lambda t: one(url, fill, folder, *t), targets))
            report(fill, kept[fill])
        if options.rows:
            pathlib.Path(options.rows).write_text(json.dumps(kept))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
