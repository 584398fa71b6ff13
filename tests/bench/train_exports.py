"""What training writes, run by onnxruntime: train_exports.py INFOMASK.  The same outputs as ours, to rounding."""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

ARCHS = [
    "conv3x3:8,bn,relu,conv3x3:16/2,bn,relu,gap,dropout:0.3",
    "conv5x5:6p1,leaky:0.1,max2/2,conv3x3:8,relu6,avg3/2p1,gap",
    "dw3x3,conv1x1:8,bn,relu,dw5x5/2,bn,relu6,gap",
    "linear:32,relu,dropout:0.2,linear:16,leaky:0.2",
    "conv3x3:8/2,bn,relu,linear:24,relu",
]


def idx(path, array):
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape) + array.tobytes())


def infomask(binary, *words):
    return subprocess.run([binary, *map(str, words)], check=True, capture_output=True, text=True)


def check(binary, folder, arch, more):
    model = folder / "models" / "m"
    infomask(binary, "train", "--models-dir", folder / "models", "--state-dir", folder, "--data",
             f"{folder}/images,{folder}/labels", "--arch", arch, "--epochs", 2, "--name", "m", "--replace", *more)
    x = np.random.default_rng(1).normal(0, 1, (7, 1, 14, 14)).astype(np.float32)
    np.save(folder / "x.npy", x)
    infomask(binary, "run", model, "--input", folder / "x.npy", "--output", folder / "y.npy")
    session = onnxruntime.InferenceSession(model / "model.onnx", providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: x})[0]
    ours = np.load(folder / "y.npy")
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def main(binary):
    random, failed = np.random.default_rng(0), False
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "models").mkdir()
        labels = random.integers(0, 4, 600).astype(np.uint8)
        idx(folder / "images", (random.integers(0, 120, (600, 14, 14)) + 30 * labels[:, None, None]).astype(np.uint8))
        idx(folder / "labels", labels)
        for arch in ARCHS:
            for more in ([], ["--keep-norms"]):
                worst = check(binary, folder, arch, more)
                failed = failed or not worst < 1e-5
                print(f"{worst:.1e}  {arch} {' '.join(more)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
