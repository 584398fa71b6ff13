#!/usr/bin/env python3
"""Checks the layers of the code: who may include whom, which library is touched from which room, which functions
are banned, how long a file may be and how many files a folder holds.

    tests/check_includes.py [ROOT]

The rules are the table of the architecture: lower floors never include higher ones, and one library has one room.  The
floors are core, app (what the two faces share), and the faces server and cli; above core only core/infomask*.h and
core/base/*.h are seen.  A line of EXCEPTIONS that is not needed any more is an error too.
"""
import pathlib
import re
import sys

ROOMS = {  # room: rooms of the same floor whose headers it may include, beside its own
    "core/base": set(),
    "core/image": {"base"},
    "core/graph": {"base"},
    "core/kernels": {"base"},
    "core/info": {"base"},
    "core/engine": {"base", "graph", "kernels"},
    "core/quant": {"base", "graph", "kernels", "engine"},
    "core/mask": {"base", "info", "kernels"},
    "core/train": {"base", "image", "graph", "kernels", "info"},
    "core/pipeline": {"base", "image", "graph", "kernels", "info", "engine", "quant", "mask", "train"},
    "app/json": set(),
    "app/settings": {"json"},
    "app/model": {"json", "settings"},
    "app/host": {"settings"},
    "app/state": {"json", "settings", "model"},
    "app/ask": {"json", "settings", "model", "view"},
    "app/view": {"json", "settings", "model", "state"},
    "app/estimate": {"json", "settings", "model", "state", "ask", "view"},
    "server/clients": set(),
    "server/queue": set(),
    "server/message": set(),
    "server/call": {"clients", "queue", "message"},
    "server/observe": {"call", "clients"},
    "server/jobs": {"call", "observe", "queue"},
    "server/web": set(),
    "server/openapi": {"call"},
    "server/handlers": {"clients", "message", "call", "observe", "queue", "jobs", "web"},
    "server/http": {"clients", "message", "call", "observe", "queue", "jobs"},
    "server/daemon": {"clients", "queue", "call", "observe", "jobs", "web", "openapi", "handlers", "http"},
    "cli/read": {""},
    "cli/train": {"", "read", "estimate"},
    "cli/estimate": {"", "read"},
    "cli/models": {"", "read", "train"},
    "cli/batch": {""},
    "cli/doctor": {""},
    "cli/": {"read", "batch", "train", "estimate", "models", "doctor"},
}
FLOORS = {"core": {"core"}, "app": {"core", "app"}, "server": {"core", "app", "server"}, "cli": {"core", "app", "cli"}}
FACE = re.compile(r"core/infomask\w*\.h")
EXCEPTIONS = {  # (file, header)
    ("cli/serve.c", "server/daemon/service.h"),  # the one door between the faces: the command that is the service
}
LIBRARIES = {  # system header: where it may be included
    r"microhttpd\.h": r"server/http/",
    r"(cjson/)?cJSON\.h": r"app/json/",
    r"cblas\.h|f77blas\.h|openblas.*": r"core/kernels/blas/",
    r"jpeglib\.h|jerror\.h|turbojpeg\.h|png\.h|webp/.*|libdeflate\.h": r"core/image/codec/",
    r"zlib\.h": r"core/image/codec/|core/train/data|server/message/gzip",
    r"protobuf-c/.*|.*\.pb-c\.h": r"core/graph/",
    r"nettle/.*": r"core/base/",
    r"sqlite3\.h": r"app/state/sqlite/",
    r"ini\.h": r"app/settings/config",
    r"immintrin\.h|arm_neon\.h|x86intrin\.h": r"core/kernels/|core/image/pixels/",
    r"gnutls/gnutls\.h": r"server/http/",
    r"gnutls/x509\.h": r"app/host/certificate",
    r"seccomp\.h|linux/landlock\.h": r"app/host/confine",
}
BANNED = re.compile(r"\b(alloca|gets|strcpy|strcat|sprintf|strtok|atoi|atof|system|popen)\s*\(")
EXIT = re.compile(r"\b(exit|abort|_exit|quick_exit)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)
MAX_LINES = 700
MAX_FILES = 25  # .c and .h of a folder


def room_of(path):
    """"core/image" of "core/image/codec/icc.c"; the public faces count as core/base, cli's own files as "cli/"."""
    parts = path.split("/")
    if FACE.fullmatch(path):
        return "core/base"
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0] + "/"


def check_core(path, own, target, problem):
    room = room_of(target)
    if FACE.fullmatch(target):
        if own not in ("core/pipeline", "core/train") and not FACE.fullmatch(path):
            problem(f'"{target}": only the pipeline implements the public face')
    elif room != own and room.split("/")[1] not in ROOMS[own]:
        problem(f'"{target}": {own} may not include {room}')
    elif room != own and target.count("/") != 2:
        problem(f'"{target}": private to the room {room}')


def check_local(path, target, problem, used):
    if "/" not in target:
        problem(f'"{target}": include by the path from the top')
        return
    floor, of = path.split("/")[0], target.split("/")[0]
    own, room = room_of(path), room_of(target)
    if (path, target) in EXCEPTIONS:
        used.add((path, target))
    elif of not in FLOORS[floor]:
        problem(f'"{target}": {floor} may not include {of}')
    elif own not in ROOMS or room not in ROOMS:
        problem(f'"{target}": no such room')
    elif floor == "core":
        check_core(path, own, target, problem)
    elif of == "core":
        if room != "core/base":
            problem(f'"{target}": above core only core/infomask*.h and core/base are seen')
    elif of == floor and room != own and room.split("/")[1] not in ROOMS[own]:
        problem(f'"{target}": {own} may not include {room}')


def check_system(path, target, problem):
    for header, where in LIBRARIES.items():
        if re.fullmatch(header, target) and not re.search(where, path):
            problem(f"<{target}>: this library belongs to {where}")


def check_file(root, file, used):
    path, text, found = file.relative_to(root).as_posix(), file.read_text(), []
    problem = lambda what: found.append(f"{path}: {what}")
    for local, system in INCLUDE.findall(text):
        if local and local.endswith(".pb-c.h"):
            check_system(path, local, problem)
        elif local:
            check_local(path, local, problem, used)
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


def check_folders(files):
    folders = {}
    for file in files:
        folders[file.parent] = folders.get(file.parent, 0) + 1
    return [f"{folder}: {count} files; at most {MAX_FILES}" for folder, count in folders.items() if count > MAX_FILES]


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    files, used = sorted(f for top in FLOORS for f in (root / top).rglob("*.[ch]")), set()
    found = [line for file in files for line in check_file(root, file, used)] + check_folders(files)
    found += [f"{path}: the exception for {target} is not needed any more" for path, target in sorted(EXCEPTIONS - used)]
    print("\n".join(found) if found else f"include rules: {len(files)} files, all in their place")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
