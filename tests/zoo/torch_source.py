"""Random small PyTorch classifiers, as the source text of a module.

Source(seed) is one network: `text` is the class, `size` the side of its pictures, `open_size` whether others are right,
too.  It is made of blocks (torch_idioms.py) that follow one another, each of a seed of its own, so that
Source(seed, only=[...]) is the network of some of them: what a failure is shrunk by.
"""
import random

from torch_idioms import MAPS, TOKENS, head


class Writer:
    """What blocks write to: submodules and lines of forward(), and the shape of x at that point."""

    def __init__(self, open_size):
        self.made, self.lines, self.open_size = [], [], open_size


    def module(self, code):
        self.made.append(code)
        return f"self.m{len(self.made) - 1}"

    def say(self, *lines):
        self.lines.extend(lines)

    def text(self, end=()):
        made = [f"        self.m{i} = {code}" for i, code in enumerate(self.made)]
        lines = [f"        {line}" for line in [*self.lines, *end]]
        return "\n".join([
            "class Net(nn.Module):", "    def __init__(self):", "        super().__init__()", *made, "",
            "    def forward(self, x):", *lines, "        return x", ""
        ])

    def attach(self, shape):
        self.tokens = len(shape) == 3
        if self.tokens:
            self.t, self.c = shape[1:]
        else:
            self.c, self.h, self.w = shape[1:]

    def norm(self, r, c=None):
        c = c or self.c
        groups = max(g for g in (1, 2, 3, 4, 8) if c % g == 0)
        return r.choice([f"nn.BatchNorm2d({c})"] * 3 + [
            f"nn.GroupNorm({groups}, {c})", f"nn.InstanceNorm2d({c}, affine=True)", f"nn.GroupNorm(1, {c})",
            f"nn.BatchNorm2d({c}, affine=False)"
        ])


class Source:
    """shape_of(text, size): the shape of what the module gives; it is run after each block."""

    def __init__(self, seed, shape_of, only=None):
        r = random.Random(seed)
        self.seed, self.open_size = seed, r.random() < .3
        self.size = (r.choice([16, 18, 20, 23, 24, 28, 32]), ) * 2 if r.random() < .6 else (r.choice([16, 19, 24, 30]),
                                                                                            r.choice([17, 20, 28]))
        self.second = (self.size[0] + 8, self.size[1] + 4)
        self.count, self.names = r.randint(2, 7), []
        w = self.writer = Writer(self.open_size)
        for i in range(self.count):
            if only is not None and i not in only:
                continue
            own = random.Random(f"{seed}/{i}")
            w.attach(shape_of(w.text(), self.size))
            table = TOKENS if w.tokens else MAPS
            fits = [
                b for b, (_, fixed, least) in table.items()
                if not (fixed and self.open_size) and (w.tokens or min(w.h, w.w) >= max(least, 2))
            ]
            # the same block whatever came before it, where it can stand there
            names = own.sample(sorted(MAPS) + sorted(TOKENS), len(MAPS) + len(TOKENS))
            name = next((n for n in names if n in fits), None)
            if name is None:  # a map of a row
                continue
            self.names.append(name)
            table[name][0](w, own)
        w.attach(shape_of(w.text(), self.size))
        self.text = w.text(head(w, random.Random(f"{seed}/head"), 7))
