#!/usr/bin/env python3
"""Checks what a script can see of the style: lines of at most 120 columns, functions of at most 80 lines, at most seven
parameters, statuses compared by name (`status != INFOMASK_OK`), and one value behind a return.

    tests/check_style.py [ROOT]
    tests/check_style.py --long [ROOT]    only lists FILE:LINE of the lines that are too long, for `make format`

WIDE lists the functions with more parameters that are known; a new one is an error, and so is a line that is not needed
any more.
"""
import pathlib
import re
import sys

MAX_COLUMNS, MAX_FUNCTION, MAX_PARAMETERS = 120, 80, 7
WIDE = set("""
    add_scores blas_sgemm find_all mask_cells_part mask_class_map mask_regions_find mask_window_pmi match_complete
    mean_columns on_request patch_votes plan_get product ref_patch_votes ref_sgemm window_rows
""".split())
TEXT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)
FUNCTION = re.compile(r"^(?!typedef|return|#|else)[a-z][\w *]*?\b([a-z]\w*)\(([^;{}]*?)\)\s*(?=[;{]|__attribute__)", re.M | re.S)
STATUS_AS_TRUTH = re.compile(r"!status\b|\bif \(status\)|[^!=] status \?|(?:&&|\|\|) status\b(?! [!=])")


def long_lines(path):
    """Numbers, from 1, of the lines that are too long.  An address in a comment cannot be broken."""
    lines = path.read_text().split("\n")
    return [i for i, line in enumerate(lines, 1) if len(line) > MAX_COLUMNS and "://" not in line]


def parameters(code):
    """(name, how many) of each function that is declared or defined."""
    for match in FUNCTION.finditer(code):
        depth, count = 0, 1
        for sign in match.group(2):
            depth += (sign == "(") - (sign == ")")
            count += sign == "," and depth == 0
        yield match.group(1), count


def function_lengths(code):
    """(first line, how many lines) of each function's body."""
    start = None
    for i, line in enumerate(code.split("\n"), 1):
        if line == "{":
            start = i
        elif line.startswith("}") and start is not None:
            yield start, i - start - 1
            start = None


def comma_returns(code):
    """Lines of returns that do something else first, behind a comma."""
    for match in re.finditer(r"\breturn\b([^;]*);", code):
        depth = 0
        for sign in match.group(1):
            depth += (sign in "([{") - (sign in ")]}")
            if sign == "," and depth == 0:
                yield code.count("\n", 0, match.start()) + 1
                break


def main():
    arguments = [a for a in sys.argv[1:] if a != "--long"]
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent).resolve()
    files = sorted(f for top in ("core", "app", "server", "cli") for f in (root / top).rglob("*.[ch]"))
    problems, wide = [], set()
    for file in files:
        name = file.relative_to(root).as_posix()
        lines = long_lines(file)
        if "--long" in sys.argv:
            print("".join(f"{name}:{line}\n" for line in lines), end="")
            continue
        code = TEXT.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), file.read_text())
        problems += [f"{name}:{line}: more than {MAX_COLUMNS} columns; make format" for line in lines]
        problems += [f"{name}:{line}: compare a status with INFOMASK_OK"
                     for line, text in enumerate(code.split("\n"), 1) if STATUS_AS_TRUTH.search(text)]
        problems += [f"{name}:{start}: a function of {length} lines; at most {MAX_FUNCTION}"
                     for start, length in function_lengths(code) if length > MAX_FUNCTION]
        problems += [f"{name}:{line}: a comma in a return" for line in comma_returns(code)]
        for function, count in parameters(code):
            if count > MAX_PARAMETERS:
                wide.add(function)
                if function not in WIDE:
                    problems.append(f"{name}: {function} has {count} parameters; at most {MAX_PARAMETERS}")
    if "--long" in sys.argv:
        return 0
    problems += [f"tests/check_style.py: {function} need not be listed any more" for function in sorted(WIDE - wide)]
    print("\n".join(problems) if problems else f"style: {len(files)} files, {len(WIDE)} functions with more than "
          f"{MAX_PARAMETERS} parameters")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main())
