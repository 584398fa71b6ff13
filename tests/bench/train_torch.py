"""Training beside PyTorch: gradients (train_torch.py gradients BENCH), speed (speed BENCH SECONDS ROUNDS) and accuracy
(accuracy INFOMASK MNIST ARCH EPOCHS SEEDS: the same recipe, the held-out accuracy of both).

For the gradients the network is ours: its input, weights and labels come from the file that train_bench writes."""
import gzip
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from torch import nn

CLASSES = 10
GRADIENTS = [  # ARCH, H, W, C, batch
    ("linear:20,relu", 6, 5, 3, 8),
    ("conv3x3:8,relu,gap", 9, 7, 3, 8),
    ("conv3x3:8/2,bn,relu,conv1x1:12,relu6,gap", 12, 10, 3, 8),
    ("conv5x5:6p1,leaky:0.1,conv3x3:8/3,leaky:0.1", 13, 11, 1, 8),
    ("dw3x3,conv1x1:8,bn,relu,dw5x5/2,gap", 12, 12, 4, 8),
    ("conv3x3:8,relu,max2/2,conv3x3:8,relu,avg3/2p1,gap", 16, 16, 3, 8),
    ("conv3x3:32,relu,conv3x3:64/2,relu,conv3x3:128/2,relu,gap", 28, 28, 1, 16),
]
SPEED = [
    ("small CNN", "conv3x3:32,relu,conv3x3:64/2,relu,conv3x3:128/2,relu,gap", 28, 28, 1, 128),
    ("MLP 784-256-10", "linear:256,relu", 28, 28, 1, 128),
]


def number(text, name):
    return float(text[len(name) + 1:])


def window(text, channels):
    """"conv3x3:8/2p1" and the like: kernel, out, stride, padding (None: the default)."""
    digits, out, stride, padding = "", channels, 1, None
    kernel = ""
    i = 0
    while i < len(text) and (text[i].isdigit() or text[i] == "x"):
        kernel += text[i]
        i += 1
    while i < len(text):
        kind, digits = text[i], ""
        i += 1
        while i < len(text) and text[i].isdigit():
            digits += text[i]
            i += 1
        if kind == ":":
            out = int(digits)
        elif kind == "/":
            stride = int(digits)
        else:
            padding = int(digits)
    return int(kernel.split("x")[0]), out, stride, padding


class Pixels(nn.Module):
    """What a linear layer sees, in our order: height, width, channels."""
    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x


def layer(item, shape):
    """One layer and the shape (C, H, W) behind it."""
    c, h, w = shape
    if item == "bn":
        return [nn.BatchNorm2d(c)], shape
    if item == "gap":
        return [nn.AdaptiveAvgPool2d(1)], (c, 1, 1)
    if item in ("relu", "relu6"):
        return [nn.ReLU() if item == "relu" else nn.ReLU6()], shape
    if item.startswith("leaky"):
        return [nn.LeakyReLU(number(item, "leaky"))], shape
    if item.startswith("linear"):
        out = int(number(item, "linear"))
        return [Pixels(), nn.Linear(c * h * w, out)], (out, 1, 1)
    for name in ("conv", "dw", "max", "avg"):
        if not item.startswith(name):
            continue
        k, out, stride, padding = window(item[len(name):], c)
        padding = padding if padding is not None else (k // 2 if name in ("conv", "dw") else 0)
        module = {"conv": lambda: nn.Conv2d(c, out, k, stride, padding),
                  "dw": lambda: nn.Conv2d(c, c, k, stride, padding, groups=c),
                  "max": lambda: nn.MaxPool2d(k, stride, padding),
                  "avg": lambda: nn.AvgPool2d(k, stride, padding, count_include_pad=False)}[name]()
        return [module], (out, (h + 2 * padding - k) // stride + 1, (w + 2 * padding - k) // stride + 1)
    raise ValueError(item)


def network(arch, h, w, c):
    modules, shape = [], (c, h, w)
    for item in f"{arch},linear:{CLASSES}".split(","):
        more, shape = layer(item, shape)
        modules += more
    return nn.Sequential(*modules)


def ours_to_torch(module, flat):
    """A weight of ours, as PyTorch lays it out."""
    shape = module.weight.shape
    if isinstance(module, nn.Conv2d):
        if module.groups > 1:  # [h][w][C]
            return flat.reshape(shape[2], shape[3], shape[0]).transpose(2, 0, 1)[:, None]
        return flat.reshape(shape[0], shape[2], shape[3], shape[1]).transpose(0, 3, 1, 2)
    return flat.reshape(shape)


def compare(bench, arch, h, w, c, batch):
    """The largest relative difference of the loss and of any parameter's gradient."""
    net = network(arch, h, w, c)
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run([bench, "gradients", arch, *map(str, (h, w, c, batch)), file.name], check=True)
        data = np.fromfile(file.name, np.float32)
    at = 0

    def take(count):
        nonlocal at
        at += count
        return data[at - count:at]

    x = torch.from_numpy(take(batch * h * w * c).reshape(batch, h, w, c).transpose(0, 3, 1, 2).copy())
    labels = torch.from_numpy(take(batch).astype(np.int64))
    take(batch * CLASSES)
    loss, expected = take(1)[0], []
    for module in net:
        for name in ("weight", "bias"):
            param = getattr(module, name, None)
            if param is None:
                continue
            value, gradient = take(param.numel()), take(param.numel())
            if name == "weight":
                value, gradient = ours_to_torch(module, value), ours_to_torch(module, gradient)
            with torch.no_grad():
                param.copy_(torch.from_numpy(value.reshape(param.shape).copy()))
            expected.append((param, gradient.reshape(param.shape)))
    assert at == len(data), "the file is of another network"
    net = net.double()
    torch_loss = nn.functional.cross_entropy(net(x.double()), labels)
    torch_loss.backward()
    worst = abs(torch_loss.item() - loss) / abs(loss)
    for i, (_, gradient) in enumerate(expected):
        truth = list(net.parameters())[i].grad.numpy()
        scale = np.abs(truth).max()
        if scale > 1e-7:  # a bias before a batch norm has no slope but rounding
            worst = max(worst, np.abs(truth - gradient).max() / scale)
    return worst


def torch_rate(arch, h, w, c, batch, threads, seconds):
    """Images a second of the fastest step, and a second of processor time of all."""
    torch.set_num_threads(threads)
    net = network(arch, h, w, c).to(memory_format=torch.channels_last)
    x = torch.randn(batch, c, h, w).to(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (batch,))
    optimiser = torch.optim.SGD(net.parameters(), 1e-4, 0.9, nesterov=True)
    best = float("inf")
    start, used, steps = time.monotonic(), time.process_time(), 0
    while steps < 5 or time.monotonic() - start < seconds:
        wall = time.monotonic()
        optimiser.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(net(x), labels).backward()
        optimiser.step()
        best = min(best, time.monotonic() - wall)
        steps += 1
    return batch / best, batch * steps / (time.process_time() - used)


def ours_rate(bench, arch, h, w, c, batch, threads, seconds):
    done = subprocess.run([bench, "speed", arch, *map(str, (h, w, c, batch, threads, seconds))], check=True, text=True,
                          capture_output=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    return tuple(float(v) for v in done.stdout.split())


def speed(bench, seconds, rounds):
    print(f"images a second, the best of {rounds} rounds in turn; in brackets a second of processor time (all threads)")
    for name, *case in SPEED:
        for threads in (1, 2):
            ours, peer = (0, 0), (0, 0)
            for _ in range(rounds):
                ours = tuple(map(max, ours, ours_rate(bench, *case, threads, seconds)))
                peer = tuple(map(max, peer, torch_rate(*case, threads, seconds)))
            print(f"{name:15} {threads} thread{'s' if threads > 1 else ' '}  ours {ours[0]:8.0f} ({ours[1]:8.0f})  PyTorch "
                  f"{peer[0]:8.0f} ({peer[1]:8.0f})  ratio {ours[0] / peer[0]:.2f} ({ours[1] / peer[1]:.2f})", flush=True)


def idx(path):
    data = gzip.decompress(path.read_bytes())
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def torch_accuracy(arch, epochs, seed, train, held_out):
    """Our recipe: He's initial weights, Nesterov momentum, a cosine from 0.05 to 0, batches of 128."""
    torch.set_num_threads(1)  # more would wait for each other on a busy machine
    torch.manual_seed(seed)
    net = network(arch, 28, 28, 1)
    weighted = [module for module in net if isinstance(module, (nn.Conv2d, nn.Linear))]
    for i, module in enumerate(weighted):
        fan_in = module.weight[0].numel()
        nn.init.normal_(module.weight, std=math.sqrt((1 if i == len(weighted) - 1 else 2) / fan_in))
        nn.init.zeros_(module.bias)
    optimiser = torch.optim.SGD(net.parameters(), 0.05, 0.9, nesterov=True)
    per_epoch = math.ceil(len(train[0]) / 128)
    steps, step = epochs * per_epoch, 0
    for _ in range(epochs):
        order = torch.randperm(len(train[0]))
        for first in range(0, len(order), 128):
            chosen = order[first:first + 128]
            for group in optimiser.param_groups:
                group["lr"] = 0.05 * 0.5 * (1 + math.cos(math.pi * step / (steps - 1)))
            optimiser.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(net(train[0][chosen]), train[1][chosen]).backward()
            optimiser.step()
            step += 1
    net.eval()
    with torch.no_grad():
        return (net(held_out[0]).argmax(1) == held_out[1]).double().mean().item()


def our_accuracy(infomask, folder, arch, epochs, seed):
    with tempfile.TemporaryDirectory() as name:
        done = subprocess.run([infomask, "train", "--models-dir", name, "--state-dir", name, "--data", folder, "--arch", arch,
                               "--epochs", str(epochs), "--optimiser", "sgd", "--rate", "0.05", "--weight-decay", "0", "--seed",
                               str(seed), "--name", "m", "--json", "--quiet"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["held_out"]["accuracy"]


def accuracy(infomask, folder, arch, epochs, seeds):
    sets = []
    for part in ("train", "t10k"):
        images = idx(pathlib.Path(folder) / f"{part}-images-idx3-ubyte.gz")
        labels = idx(pathlib.Path(folder) / f"{part}-labels-idx1-ubyte.gz")
        sets.append((torch.from_numpy(images[:, None].astype(np.float32) / 255), torch.from_numpy(labels.astype(np.int64))))
    ours = np.array([our_accuracy(infomask, folder, arch, epochs, seed) for seed in range(seeds)])
    peer = np.array([torch_accuracy(arch, epochs, seed, *sets) for seed in range(seeds)])
    error = math.sqrt((ours.var(ddof=1) + peer.var(ddof=1)) / seeds + ours.mean() * (1 - ours.mean()) / len(sets[1][0]))
    print(f"{arch}, {epochs} epochs, {seeds} seeds: ours {100 * ours.mean():.2f} %, PyTorch {100 * peer.mean():.2f} %, "
          f"standard error of the difference {100 * error:.2f} %")
    return 0 if abs(ours.mean() - peer.mean()) < 3 * error else 1


def gradients(bench):
    failed = False
    for case in GRADIENTS:
        worst = compare(bench, *case)
        failed = failed or not worst < 1e-4
        print(f"{worst:.1e}  {case[0]}")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1] == "speed":
        speed(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1] == "accuracy":
        sys.exit(accuracy(*sys.argv[2:5], int(sys.argv[5]), int(sys.argv[6])))
    else:
        sys.exit(gradients(sys.argv[2]))
