"""What the load scripts share: the daemon of the tests, the generator, and who used the processors."""
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/http"))

from conftest import CLASSIFY, Server, essence, until  # noqa: E402
import photos as photo_files  # noqa: E402

CORES = len(os.sched_getaffinity(0))
GENERATOR = os.environ.get("INFOMASK_GENERATE", str(ROOT / "build/release/load/generate"))


def allow_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def photos():
    return list(map(str, photo_files.make(ROOT / "build/load/photos")))


def busy_seconds():
    """Processor seconds that all processes together have used."""
    fields = list(map(int, open("/proc/stat").readline().split()[1:]))
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def generate(server, rate, seconds, connections, path=CLASSIFY, files=None):
    """What the generator says, and beside it `available`: the core-seconds that nobody but the server used or had.  Each
    connection has a loopback address of its own: they are clients of their own."""
    start, busy, own = time.monotonic(), busy_seconds(), server.cpu()
    done = subprocess.run([GENERATOR, "127.0.0.1", str(server.port), path, "--rate", str(rate), "--seconds", str(seconds),
                           "--connections", str(connections), "--from", "127.1.0.1", "--addresses", str(connections),
                           *(files or photos())], capture_output=True, check=True)
    found = json.loads(done.stdout)
    own = server.cpu() - own
    found["available"] = CORES * (time.monotonic() - start) - (busy_seconds() - busy - own)
    found["server_cpu"] = own
    return found


def verdict(ok):
    return "ok" if ok else "MISSED"
