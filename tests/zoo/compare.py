"""Runs every exported network of a folder and compares with what onnxruntime computed: compare.py NETRUN FOLDER [NAME...]"""
import glob
import os
import subprocess
import sys

import numpy as np


def rows(netrun, folder, names):
    for output in sorted(glob.glob(os.path.join(folder, "*.output.f32"))):
        base = output[:-len(".output.f32")]
        name = os.path.basename(base)
        if names and name not in names and name.rsplit(".", 1)[0] not in names:
            continue
        want = np.fromfile(output, "<f4").reshape(2, -1)
        size = int(round((os.path.getsize(base + ".input.f32") / 4 / 6) ** 0.5))
        got_path = base + ".got.f32"
        run = subprocess.run([netrun, base + ".onnx", base + ".input.f32", got_path, "2", str(size), str(size)],
                             capture_output=True, text=True)
        line = run.stdout.strip() or f"failed with code {run.returncode}"
        if not line.startswith("ok"):
            yield name, None, line
            continue
        got = np.fromfile(got_path, "<f4").reshape(2, -1)
        os.remove(got_path)
        yield name, float(np.abs(got - want).max() / (want.max() - want.min())), line


def main():
    good = bad = 0
    for name, error, line in rows(sys.argv[1], sys.argv[2], sys.argv[3:]):
        fine = error is not None and error <= 1e-3
        good += fine
        bad += not fine
        print(f"{'same' if fine else 'DIFFERS' if error is not None else 'REFUSED':8} {name:44} "
              f"{'' if error is None else f'{error:.1e}':8} {line}", flush=True)
    print(f"{good} equal onnxruntime, {bad} do not")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
