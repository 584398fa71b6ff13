#!/usr/bin/env python3
"""Photos with known masks: stamps with transparency (Debian's tuxpaint-stamps-default) pasted on photo backgrounds.

    make_composites.py INFOMASK STAMPS_DIR BACKGROUNDS_DIR OUT_DIR

Three sets, each with images/, masks/ and targets.tsv: `single` (one object), `scene` (the target among two or three
other objects) and `canvas` (2 x 2 single photos).  A stamp takes part if the network names it alike, with at least .3, on
grey and on white; that class is its target.  A picture takes part if the network sees the target in it at all: at least
3 nats in some window.  Everything follows from a fixed seed.
"""
import json
import pathlib
import random
import shutil
import subprocess
import sys

from PIL import Image

INFOMASK, STAMPS, BACKGROUNDS, OUT = sys.argv[1:5]
OUT = pathlib.Path(OUT)
SKIP = {"cartoon", "symbols", "toys", "people", "plastic", "space", "chess", "money", "shapes", "math", "naturalforces"}
COUNTS = {"single": 130, "scene": 60, "canvas": 40}


def stamps():
    for path in sorted(pathlib.Path(STAMPS).rglob("*.png")):
        if SKIP & set(path.parts) or path.stem.endswith(("_mirror", "_flip")):
            continue
        image = Image.open(path)
        if image.mode in ("RGBA", "LA", "P"):
            image = image.convert("RGBA")
            box = image.getchannel("A").getbbox()
            if box and min(box[2] - box[0], box[3] - box[1]) >= 80:
                yield path, image.crop(box)


def on_ground(stamp, colour):
    side = int(max(stamp.size) * 1.3)
    ground = Image.new("RGB", (side, side), colour)
    ground.paste(stamp, ((side - stamp.width) // 2, (side - stamp.height) // 2), stamp)
    return ground.resize((256, 256), Image.BICUBIC)


def classify(images, folder):
    """The best class and its probability of each image."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for i, image in enumerate(images):
        names.append(folder / f"{i:04}.png")
        image.save(names[-1])
    answers = []
    for start in range(0, len(names), 200):
        reply = subprocess.run([INFOMASK, "classify", "--top-k", "1", *map(str, names[start:start + 200])],
                               capture_output=True, text=True, check=True)
        answers += [r["predictions"][0] for r in json.loads(reply.stdout)["results"]]
    return [(a["index"], a["probability"], a["label"]) for a in answers]


def usable():
    found = list(stamps())
    grey = classify([on_ground(s, (128, 128, 128)) for _, s in found], OUT / "probe")
    white = classify([on_ground(s, (255, 255, 255)) for _, s in found], OUT / "probe")
    return [(path, stamp, g[0], g[2]) for (path, stamp), g, w in zip(found, grey, white)
            if g[0] == w[0] and min(g[1], w[1]) >= .3]


def backgrounds():
    paths = [p for p in sorted(pathlib.Path(BACKGROUNDS).rglob("nature/*.jp*g")) if p.stem != "LadyBird"]
    return [Image.open(p).convert("RGB") for p in paths]


def ground(rng, photos, size):
    photo = rng.choice(photos)
    scale = max(size[0] / photo.width, size[1] / photo.height) * rng.uniform(1, 2)
    photo = photo.resize((int(photo.width * scale) + 1, int(photo.height * scale) + 1), Image.BICUBIC)
    x, y = rng.randint(0, photo.width - size[0]), rng.randint(0, photo.height - size[1])
    return photo.crop((x, y, x + size[0], y + size[1]))


def scaled(stamp, longest):
    scale = longest / max(stamp.size)
    return stamp.resize((max(1, round(stamp.width * scale)), max(1, round(stamp.height * scale))), Image.BICUBIC)


def paste(rng, picture, mask, stamp, taken):
    """At a free place; True if there was one."""
    for _ in range(60):
        x, y = rng.randint(0, picture.width - stamp.width), rng.randint(0, picture.height - stamp.height)
        box = (x, y, x + stamp.width, y + stamp.height)
        if all(box[2] <= t[0] or t[2] <= box[0] or box[3] <= t[1] or t[3] <= box[1] for t in taken):
            picture.paste(stamp, (x, y), stamp)
            if mask is not None:
                mask.paste(stamp.getchannel("A").point(lambda a: 255 if a >= 128 else 0), (x, y))
            taken.append(box)
            return True
    return False


def single(rng, items, photos, size, item=None):
    item = item or rng.choice(items)
    picture, mask = ground(rng, photos, size), Image.new("L", size)
    paste(rng, picture, mask, scaled(item[1], min(size) * rng.uniform(.45, .85)), [])
    return picture, mask, item


def scene(rng, items, photos, size):
    item = rng.choice(items)
    picture, mask, taken = ground(rng, photos, size), Image.new("L", size), []
    paste(rng, picture, mask, scaled(item[1], min(size) * rng.uniform(.35, .5)), taken)
    for other in rng.sample([i for i in items if i[2] != item[2]], rng.randint(2, 3)):
        paste(rng, picture, None, scaled(other[1], min(size) * rng.uniform(.3, .5)), taken)
    return picture, mask, item


def canvas(rng, items, photos, _):
    picture, mask = Image.new("RGB", (448, 448)), Image.new("L", (448, 448))
    chosen, tile = rng.sample(items, 4), rng.randint(0, 3)
    while len({c[2] for c in chosen}) < 4:
        chosen = rng.sample(items, 4)
    for i, item in enumerate(chosen):
        p, m, _ = single(rng, items, photos, (224, 224), item)
        picture.paste(p, (i % 2 * 224, i // 2 * 224))
        if i == tile:
            mask.paste(m, (i % 2 * 224, i // 2 * 224))
    return picture, mask, chosen[tile]


def seen(folder):
    """The stems in which the network finds the target."""
    reply = subprocess.run([INFOMASK, "evaluate", "masks", "--quick", "--json", "--images", folder / "images",
                            "--masks", folder / "masks", "--targets", folder / "targets.tsv"],
                           capture_output=True, text=True, check=True)
    return {row["file"][:3] for row in json.loads(reply.stdout)["photos"] if row["largest_window_pmi"] >= 3}


def main():
    items, photos, rng = usable(), backgrounds(), random.Random(20)
    print(f"{len(items)} stamps of {len({i[2] for i in items})} classes, {len(photos)} backgrounds")
    for name, make in (("single", single), ("scene", scene), ("canvas", canvas)):
        folder, targets = OUT / name, {}
        for part in ("images", "masks"):
            shutil.rmtree(folder / part, ignore_errors=True)
            (folder / part).mkdir(parents=True)
        for i in range(COUNTS[name] * 3 // 2):
            size = (500, 375) if rng.random() < .7 else (375, 500)
            picture, mask, item = make(rng, items, photos, size)
            picture.save(folder / "images" / f"{i:03}.jpg", quality=92)
            mask.save(folder / "masks" / f"{i:03}.png")
            targets[f"{i:03}"] = item[2]
        (folder / "targets.tsv").write_text("".join(f"{k}\t{v}\n" for k, v in targets.items()))
        good = sorted(seen(folder))[:COUNTS[name]]
        for stem in set(targets) - set(good):
            (folder / "images" / f"{stem}.jpg").unlink()
        print(f"{name}: {len(good)}")


if __name__ == "__main__":
    main()
