#!/usr/bin/env python3
"""docs/verdict.jpg: a photo before and after, with the cells that are asked apart.

    verdict_picture.py INFOMASK PHOTO OUT.jpg [TARGET]
"""
import base64
import io
import json
import subprocess
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

infomask, photo, out, *target = sys.argv[1:]
answer = json.loads(subprocess.run([infomask, "filter", "--format", "json", *(f"--target={t}" for t in target), photo],
                                   capture_output=True, check=True).stdout)
check, cells = answer["verification"], answer["map"]
before = Image.open(photo).convert("RGB")
after = Image.open(io.BytesIO(base64.b64decode(answer["image"]))).convert("RGB")
hole = (np.asarray(before).astype(int) != np.asarray(after)).any(-1)
rows, columns = cells["rows"], cells["columns"]
font = ImageFont.load_default(size=15)


def share(r, c):
    y, x = (np.array([r, r + 1]) * before.height / rows).astype(int), (np.array([c, c + 1]) * before.width / columns).astype(int)
    return (x[0], y[0], x[1], y[1]), hole[y[0]:y[1], x[0]:x[1]].mean()


def tinted(image, region, context, title):
    layer = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(layer)
    for r in range(rows):
        for c in range(columns):
            box, covered = share(r, c)
            if covered >= .5:
                draw.rectangle(box, fill=(220, 50, 30, int(110 * covered)), outline=(255, 255, 255, 90))
            else:
                draw.rectangle(box, fill=(30, 90, 220, int(110 * (1 - covered))), outline=(255, 255, 255, 60))
    picture = Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")
    sheet = Image.new("RGB", (image.width, image.height + 30), "white")
    sheet.paste(picture, (0, 30))
    ImageDraw.Draw(sheet).text((6, 6), f"{title}: the place (red) says {region:.1f} nats, its surroundings (blue) {context:.1f}",
                               fill="black", font=font)
    return sheet


left = tinted(before, check["region_pmi_before"], check["context_pmi_before"], "before")
right = tinted(after, check["region_pmi_after"], check["context_pmi_after"], "after")
sheet = Image.new("RGB", (2 * left.width + 8, left.height), "white")
sheet.paste(left, (0, 0))
sheet.paste(right, (left.width + 8, 0))
sheet.save(out, quality=85)
print(check["verdict"], check["reason"])
