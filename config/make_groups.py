#!/usr/bin/env python3
"""Classes and groups of them as people name things, from WordNet's nouns: groups.tsv of a model whose labels have WordNet
ids, and those labels with their other names.

    make_groups.py labels.txt WORDNET_DIR > groups.tsv
    make_groups.py --aliases labels.txt WORDNET_DIR > labels.txt

A group is a synset with at least two of the classes below it, if it is a kind of thing with a look of its own: those of
LEFT_OUT say what a thing is for, made of or part of, and masks of them did harm.  Its name is the synset's first lemma, in
lower case; of two synsets with the same first lemma the one whose earlier sense it is keeps it, and the other takes its
next lemma.  The other lemmas are aliases.  Members are classes, or @groups that hold the rest.

A class's aliases are its id, its synset's lemmas, and those of the synsets above it that have no other class below them
(horse for sorrel): one step up, of living things, food and furniture two.  What is a label or a group's name or alias, or
could mean two classes, is none.
"""
import collections
import pathlib
import re
import sys

# by their offsets in data.noun of WordNet 3.0
LEFT_OUT = {
    "entity": 1740, "physical entity": 1930, "object": 2684, "whole": 3553, "artifact": 21939, "matter": 20827,
    "substance": 20090, "substance (part)": 19613, "solid": 15046900, "fluid": 14939900, "liquid": 14940386,
    "causal agent": 7347, "agent": 14778436, "drug": 3247620, "drug of abuse": 3248958, "abstraction": 2137,
    "relation": 31921, "part (relation)": 13809207, "part": 3892891, "piece": 3932203, "communication": 33020,
    "living thing": 4258, "organism": 4475, "natural object": 19128, "plant part": 13086908, "plant organ": 13087625,
    "reproductive structure": 11675842, "geological formation": 9287968, "game": 2152991, "racer": 2384858,
    "nutriment": 7570720, "foodstuff": 7566340, "starches": 7566863, "ingredient": 7809096, "course": 7556970,
    "instrumentality": 3575240, "device": 3183080, "instrument": 3574816, "measuring instrument": 3733925,
    "scientific instrument": 4147495, "medical instrument": 3739693, "optical instrument": 3852280, "machine": 3699975,
    "mechanism": 3738472, "mechanical device": 3736970, "simple machine": 3700963, "control": 3096960,
    "restraint": 4081844, "support": 4359589, "reflector": 4069276, "electrical device": 3269401, "transducer": 4470953,
    "electronic device": 3277771, "trap": 4474466, "filter": 3339643, "breathing device": 2895606, "heater": 3508101,
    "container": 3094503, "conveyance": 3100490, "public transport": 4019101, "equipment": 3294048,
    "game equipment": 3414162, "game (equipment)": 3413828, "gear": 3430959, "weight": 4571292, "implement": 3563967,
    "furnishing": 3405265, "system": 4377057, "communication system": 3078287, "covering": 3122748,
    "protective covering": 4014297, "cloth covering": 3050026, "top": 4453910, "cap (top)": 2954938, "shield": 4192858,
    "plate": 3959701, "commodity": 3076708, "consumer goods": 3093574, "durables": 3257877, "structure": 4341686,
    "establishment": 3297735, "place of business": 3953020, "mercantile establishment": 3748162, "housing": 3546340,
    "obstruction": 3839993, "barrier": 2796623, "movable barrier": 3795580, "supporting structure": 4361095,
    "framework": 3391770, "fabric": 3309808, "piece of cloth": 3932670, "article": 22903, "decoration": 3169390,
    "sheet": 4188643, "attire": 2756098,
}


def read_synsets(folder):
    """{offset: (lemmas, offsets of the hypernyms)} of the nouns."""
    synsets = {}
    for line in (folder / "data.noun").read_text().splitlines():
        if line.startswith(" "):  # the licence
            continue
        field = line.split(" | ")[0].split()
        words, at = int(field[3], 16), 4 + 2 * int(field[3], 16)
        pointers = [field[at + 1 + 4 * i:at + 5 + 4 * i] for i in range(int(field[at]))]
        synsets[int(field[0])] = ([field[4 + 2 * i].replace("_", " ") for i in range(words)],
                                  [int(p[1]) for p in pointers if p[0] in ("@", "@i") and p[2] == "n"])
    return synsets


def read_senses(folder):
    """{lemma: offsets, the commonest sense first}."""
    senses = {}
    for line in (folder / "index.noun").read_text().splitlines():
        if not line.startswith(" "):
            field = line.split()
            senses[field[0].replace("_", " ")] = [int(offset) for offset in field[-int(field[2]):]]
    return senses


NEAR_NAMES = {15388, 17222, 21265, 7555863, 3405725}  # animal, plant, food, solid food, furniture: two steps up


def ancestors(synsets, offset):
    found, left = set(), [offset]
    while left:
        at = left.pop()
        if at not in found:
            found.add(at)
            left += synsets[at][1]
    return found


def members_of(labels, synsets):
    """{offset: classes} of every synset with two classes or more that is a kind of thing."""
    members = collections.defaultdict(set)
    for index, line in enumerate(labels.read_text().splitlines()):
        (wnid,) = [name for name in line.split("\t") if re.fullmatch(r"n\d{8}", name)]
        for offset in ancestors(synsets, int(wnid[1:])):
            members[offset].add(index)
    for name, offset in LEFT_OUT.items():
        assert offset in members and synsets[offset][0][0] == name.split(" (")[0].replace("simple ", ""), name
    return {offset: classes for offset, classes in members.items()
            if len(classes) >= 2 and offset not in LEFT_OUT.values()}


def name_all(groups, synsets, senses):
    """{offset: name}.  First lemmas go first, then second ones, and so on; a group whose lemmas are all taken has none."""
    names, taken = {}, set()
    for turn in range(max(len(synsets[offset][0]) for offset in groups)):
        asking = collections.defaultdict(list)
        for offset in sorted(set(groups) - set(names)):
            lemmas = synsets[offset][0]
            if turn < len(lemmas) and lemmas[turn].lower() not in taken:
                asking[lemmas[turn].lower()].append(offset)
        for lemma, offsets in asking.items():
            names[min(offsets, key=lambda offset: senses[lemma].index(offset))] = lemma
            taken.add(lemma)
    return names


def sole_names(index, wnid, members, synsets):
    """(own or from above, lemma) of a class and of the synsets above it that are only about it."""
    steps = 2 if ancestors(synsets, wnid) & NEAR_NAMES else 1
    level = {wnid}
    for step in range(steps + 1):
        for offset in sorted(level):
            if members[offset] == {index} and offset not in LEFT_OUT.values():
                yield from ((step > 0, lemma) for lemma in synsets[offset][0])
        level = {above for offset in level for above in synsets[offset][1]}


def aliases_of(labels, synsets, groups):
    """{class: aliases}; groups: lines of groups.tsv."""
    lines = [line.split("\t") for line in labels.read_text().splitlines()]
    wnids = [int(next(name for name in line if re.fullmatch(r"n\d{8}", name))[1:]) for line in lines]
    taken = {line[0].lower() for line in lines}
    for line in groups:
        name, others, _ = line.split("\t")
        taken |= {name.lower()} | {alias.lower() for alias in others.split("|")}
    members = collections.defaultdict(set)
    for index, wnid in enumerate(wnids):
        for offset in ancestors(synsets, wnid):
            members[offset].add(index)
    asking = collections.defaultdict(dict)  # {name: {class: (from above, lemma)}}
    for index, wnid in enumerate(wnids):
        for above, lemma in sole_names(index, wnid, members, synsets):
            asking[lemma.lower()].setdefault(index, (above, lemma))
    aliases = collections.defaultdict(list)
    for name, classes in asking.items():
        nearest = min(above for above, _ in classes.values())
        best = [index for index, (above, _) in classes.items() if above == nearest]
        if name not in taken and len(best) == 1:
            aliases[best[0]].append(classes[best[0]][1])
    return aliases


def print_labels(labels, wordnet):
    groups = labels.with_name("groups.tsv").read_text().splitlines()
    aliases = aliases_of(labels, read_synsets(wordnet), [line for line in groups if not line.startswith("#")])
    for index, line in enumerate(labels.read_text().splitlines()):
        label, *others = line.split("\t")
        print(label, *[name for name in others if re.fullmatch(r"n\d{8}", name)], *aliases[index], sep="\t")


def main(labels, wordnet):
    synsets = read_synsets(wordnet)
    groups = members_of(labels, synsets)
    names = name_all(groups, synsets, read_senses(wordnet))
    print("# Kinds of things among the classes of labels.txt, made by config/make_groups.py (make groups) from WordNet 3.0")
    print("# Copyright 2006 by Princeton University; its licence is in NOTICE.")
    for offset in sorted(names, key=names.get):
        below = [o for o in names if o != offset and offset in ancestors(synsets, o)]
        kinds = [o for o in below if not any(p != o and p in ancestors(synsets, o) for p in below)]
        rest = groups[offset] - set().union(*(groups[o] for o in kinds))
        aliases = [lemma for lemma in synsets[offset][0] if lemma.lower() != names[offset]]
        members = sorted(rest) + ["@" + name for name in sorted(names[o] for o in kinds)]
        print(names[offset], "|".join(aliases), ",".join(map(str, members)), sep="\t")


if __name__ == "__main__":
    run = print_labels if sys.argv[1] == "--aliases" else main
    run(*map(pathlib.Path, sys.argv[-2:]))
