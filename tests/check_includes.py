#!/usr/bin/env python3
"""Checks the layers of the code: who may include whom, which library is touched from which room, and which functions
are banned, and how long a file may be.

    tests/check_includes.py [ROOT]

The rules are the table of the architecture: lower floors never include higher ones, one library has one room, and the
floors above core see core/infomask.h, core/infomask_train.h and core/base only.
"""
import pathlib
import re
import sys

ROOMS = {  # room of core: rooms whose headers it may include, beside its own
    "base": set(),
    "image": {"base"},
    "graph": {"base"},
    "kernels": {"base"},
    "info": {"base"},
    "engine": {"base", "graph", "kernels"},
    "quant": {"base", "graph", "kernels", "engine"},
    "mask": {"base", "info", "kernels"},
    "train": {"base", "image", "graph", "kernels", "info"},
    "pipeline": {"base", "image", "graph", "kernels", "info", "engine", "quant", "mask", "train"},
}
FACES = {"core/infomask.h", "core/infomask_train.h"}
LIBRARIES = {  # system header: where it may be included
    r"microhttpd\.h": r"server/http[^/]*\.[ch]$",
    r"(cjson/)?cJSON\.h": r"server/json[^/]*\.[ch]$",
    r"cblas\.h|f77blas\.h|openblas.*": r"core/kernels/blas/",
    r"jpeglib\.h|jerror\.h|turbojpeg\.h|png\.h|webp/.*|libdeflate\.h": r"core/image/",
    r"zlib\.h": r"core/image/|core/train/data",
    r"protobuf-c/.*|.*\.pb-c\.h": r"core/graph/",
    r"nettle/.*": r"core/base/|server/(keys|cache)",
    r"sqlite3\.h": r"server/(estimates|traffic|store)",
    r"ini\.h": r"server/config",
    r"immintrin\.h|arm_neon\.h|x86intrin\.h": r"core/kernels/|core/image/",
    r"gnutls/.*": r"server/http",
    r"seccomp\.h|linux/landlock\.h": r"server/confine",
}
NO_HTTP = re.compile(r"server/(handlers|views)|^cli/")
BANNED = re.compile(r"\b(alloca|gets|strcpy|strcat|sprintf|strtok|atoi|atof|system|popen)\s*\(")
EXIT = re.compile(r"\b(exit|abort|_exit|quick_exit)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)
MAX_LINES = 700


def check_local(path, target, problem):
    parts, top = target.split("/"), path.split("/")[0]
    if "/" not in target:
        problem(f'"{target}": include by the path from the top')
        return
    if top == "core":
        own = "base" if path in FACES else path.split("/")[1]
        if parts[0] != "core":
            problem(f'"{target}": core includes nothing above it')
        elif target in FACES:
            if own not in ("pipeline", "train") and path not in FACES:
                problem(f'"{target}": only the pipeline implements the public face')
        elif len(parts) < 3 or own not in ROOMS:
            problem(f'"{target}": no such room')
        elif parts[1] != own and parts[1] not in ROOMS[own]:
            problem(f'"{target}": {own} may not include {parts[1]}')
        elif parts[1] != own and len(parts) != 3:
            problem(f'"{target}": private to the room {parts[1]}')
    elif top in ("server", "cli"):
        if parts[0] == "core" and target not in FACES and parts[1] != "base":
            problem(f'"{target}": above core only core/infomask.h, core/infomask_train.h and core/base are seen')
        if parts[0] == "cli" and top == "server":
            problem(f'"{target}": server may not include cli')
        if NO_HTTP.search(path) and re.fullmatch(r"server/http[^/]*\.h", target):
            problem(f'"{target}": handlers, views and cli see no sockets')


def check_system(path, target, problem):
    for header, where in LIBRARIES.items():
        if re.fullmatch(header, target) and not re.search(where, path):
            problem(f"<{target}>: this library belongs to {where}")
    if NO_HTTP.search(path) and "microhttpd" in target:
        problem(f"<{target}>: handlers, views and cli see no sockets")


def check_file(root, file):
    path, text, found = file.relative_to(root).as_posix(), file.read_text(), []
    problem = lambda what: found.append(f"{path}: {what}")
    for local, system in INCLUDE.findall(text):
        if local and local.endswith(".pb-c.h"):
            check_system(path, local, problem)
        elif local:
            check_local(path, local, problem)
        else:
            check_system(path, system, problem)
    code = COMMENT.sub(" ", text)
    for name in BANNED.findall(code):
        problem(f"{name}() is not used here")
    if path != "cli/main.c" and EXIT.search(code):
        problem("exit and abort only in main")
    if text.count("\n") > MAX_LINES:
        problem(f"{text.count(chr(10))} lines; at most {MAX_LINES}")
    return found


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    files = sorted(f for top in ("core", "server", "cli") for f in (root / top).rglob("*.[ch]"))
    found = [line for file in files for line in check_file(root, file)]
    print("\n".join(found) if found else f"include rules: {len(files)} files, all in their place")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
