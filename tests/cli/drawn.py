"""Photos to learn from: mugs and umbrellas, drawn in any colour at any place before backgrounds of smooth noise."""
import numpy as np
from PIL import Image, ImageDraw

SIDE = 200


def background(random):
    small = Image.fromarray(random.integers(40, 215, (6, 6, 3), dtype=np.uint8))
    grain = random.normal(0, 9, (SIDE, SIDE, 1))
    return Image.fromarray(np.clip(np.asarray(small.resize((SIDE, SIDE), Image.BICUBIC)) + grain, 0, 255).astype(np.uint8))


def umbrella(draw, side, colour):
    wood = (60, 30, 10, 255)
    draw.pieslice((0, side // 20, side - 1, side * 21 // 20), 180, 360, fill=colour)
    draw.line((side // 2, side // 10, side // 2, side * 17 // 20), fill=wood, width=side // 22)
    draw.arc((side // 3, side * 3 // 4, side // 2, side * 19 // 20), 0, 180, fill=wood, width=side // 22)
    for i in range(1, 5):
        draw.line((side // 2, side // 20, i * side // 5, side * 11 // 20), fill=(255, 255, 255, 255), width=side // 60 + 1)


def mug(draw, side, colour):
    draw.rounded_rectangle((side // 10, side // 4, side * 7 // 10, side * 9 // 10), side // 12, fill=colour)
    draw.arc((side * 11 // 20, side * 7 // 20, side * 19 // 20, side * 3 // 4), 270, 90, fill=colour, width=side // 14)
    draw.ellipse((side // 10, side // 6, side * 7 // 10, side * 7 // 20), fill=(90, 60, 30, 255), outline=colour,
                 width=side // 40 + 1)


THINGS = {"mug": mug, "umbrella": umbrella}


def photo(kind, random):
    """An RGB photo with the thing, and its box (left, top, right, bottom)."""
    side = int(random.integers(70, 120))
    left, top = (int(v) for v in random.integers(0, SIDE - side, 2))
    thing = Image.new("RGBA", (2 * side, 2 * side))
    THINGS[kind](ImageDraw.Draw(thing), 2 * side, tuple(int(v) for v in random.integers(0, 120, 3)) + (255,))
    thing = thing.resize((side, side), Image.LANCZOS)
    picture = background(random)
    picture.paste(thing, (left, top), thing)
    return picture, (left, top, left + side, top + side)


def folders(root, counts, seed):
    """root/KIND/00.png and so on, counts[KIND] of each."""
    random = np.random.default_rng(seed)
    for kind, count in counts.items():
        (root / kind).mkdir(parents=True)
        for i in range(count):
            photo(kind, random)[0].save(root / kind / f"{i:02}.png")
    return root
