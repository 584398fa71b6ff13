#!/usr/bin/env python3
"""Finds functions of headers that nobody in core, app, server and cli calls: dead, or reachable by tests only.

    tests/check_callers.py [ROOT]

WAITING lists those that are known: onnx_read_bytes is the fuzzer's door to the reader of files.  A new one is an error,
and so is a line that is not needed any more.
"""
import pathlib
import re
import sys

WAITING = set("""
    onnx_read_bytes
""".split())
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)
PROTOTYPE = re.compile(r"^(?!static|typedef|return|#)[a-z][\w *]*?\b(\w+)\([^;{]*?\)[^;{]*?;", re.M | re.S)
WORD = re.compile(r"\b[A-Za-z_]\w*\b")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    files = sorted(f for top in ("core", "app", "server", "cli") for f in (root / top).rglob("*.[ch]"))
    texts = {f: COMMENT.sub(" ", f.read_text()) for f in files}
    declared, used = {}, set()
    for file, text in texts.items():
        if file.suffix == ".h":
            declared.update((name, file.relative_to(root).as_posix()) for name in PROTOTYPE.findall(text))
        for line in text.split("\n"):
            if line[:1].isspace() or line[:1] in "#}" or "=" in line or line.startswith("static"):
                used.update(WORD.findall(line))
            elif "{" in line:  # a definition of one line: what is between its braces
                used.update(WORD.findall(line.split("{", 1)[1]))
    found = {name for name in declared if name not in used}
    problems = [f"{declared[name]}: nobody calls {name}" for name in sorted(found - WAITING)]
    problems += [f"tests/check_callers.py: {name} need not wait any more" for name in sorted(WAITING - found)]
    print("\n".join(problems) if problems else f"callers: {len(declared)} functions, {len(WAITING)} of them for fuzzers only")
    return 1 if problems or not declared else 0


if __name__ == "__main__":
    sys.exit(main())
