"""Black-box tests: each starts the real binary on a free port and speaks to it over sockets.

INFOMASK_BIN names another binary (a sanitizer build); INFOMASK_SLOW=1 says that it is a slow one, and widens the times.
INFOMASK_TEST_POSTGRES=1: every daemon keeps its state on a PostgreSQL server, in a database for each state folder.
"""
import atexit
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest
from PIL import Image

import postgres as databases
from wire import Connection, request

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = tempfile.mkdtemp(prefix="infomask-state-")  # not the one of whoever runs the tests
atexit.register(shutil.rmtree, STATE, ignore_errors=True)
BINARY = os.environ.get("INFOMASK_BIN", str(ROOT / "build" / "infomask"))
SLOW = 5.0 if os.environ.get("INFOMASK_SLOW") else 1.0
PATIENCE = 180 * SLOW  # what must happen is waited for this long: a busy machine makes a test slow, not red
CLASSIFY = "/v1/classify"
PATIENT = ("--header-timeout", 300, "--body-timeout", 300, "--request-timeout", 300, "--body-rate", 0)
ENVIRONMENT = {name: value for name, value in {**os.environ, "XDG_DATA_HOME": "/nonexistent"}.items()
               if not name.startswith("INFOMASK_") or name == "INFOMASK_ISA"}


ON_SERVER = bool(os.environ.get("INFOMASK_TEST_POSTGRES"))
in_a_file = pytest.mark.skipif(ON_SERVER, reason="of SQLite's files")


@functools.lru_cache(maxsize=None)
def postgres_server():
    """The one of this run, started when it is first wanted."""
    if databases.programs() is None:
        return None
    server = databases.Postgres()
    atexit.register(server.close)
    return server


def on_server(flags, environment):
    """The flags that put the state of a daemon with these on the server."""
    flags = list(map(str, flags))
    if not ON_SERVER or "--state" in flags:
        return []
    if postgres_server() is None:
        raise RuntimeError("PostgreSQL is not installed: make deps-postgres")
    folder = flags[flags.index("--state-dir") + 1] if "--state-dir" in flags else environment.get("STATE_DIRECTORY", STATE)
    return postgres_server().flags("state_" + hashlib.sha256(str(folder).encode()).hexdigest()[:16])


def until(condition, seconds=PATIENCE):
    """Waits for what must become true; its value."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


class Server:
    """The daemon with some flags; its log lines and address."""

    def __init__(self, *flags, env=None, stderr=subprocess.PIPE):
        arguments = [BINARY, "serve", "--port", "0", *map(str, flags), *map(str, on_server(flags, env or {}))]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT,
                                        env={**ENVIRONMENT, "STATE_DIRECTORY": STATE, **(env or {})})
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        if self.process.stderr:
            self._reader.start()
        self.port = self.url = None
        deadline = time.monotonic() + PATIENCE
        while self.port is None and self.process.poll() is None and time.monotonic() < deadline:
            line = self.process.stdout.readline().decode()
            found = re.fullmatch(r"listening on (https?://\S+:(\d+))\n", line)
            if found:
                self.url, self.port = found.group(1), int(found.group(2))
            elif not line:
                break
        if self.port is None:
            self.process.wait(10)
            raise RuntimeError("no address: " + "\n".join(self.lines[-20:]))

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    def connect(self, timeout=PATIENCE):
        return Connection(self.port, timeout)

    def ask(self, method="GET", path="/livez", body=None, headers=(), timeout=PATIENCE):
        """One request on a connection of its own."""
        with self.connect(timeout) as connection:
            connection.send(request(method, path, body, headers))
            return connection.response(head=method == "HEAD")

    def raw(self, data, timeout=PATIENCE):
        with self.connect(timeout) as connection:
            connection.send(data)
            return connection.response()

    def rss(self):
        """Resident bytes."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) * 1024

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def signal(self, number):
        self.process.send_signal(number)

    def cpu(self):
        """Seconds of processor time: unlike those of the clock, about the same on a busy machine."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def logged(self, word, ask=lambda: None):
        """The first line of the log with that word in it: written a moment after what it tells of.  ask: asks for what
        it tells of, again and again, where the line may be dropped because other tests have just filled the log."""
        def look():
            ask()
            return next((line for line in list(self.lines) if word in line), None)
        return until(look)

    def stop(self, timeout=PATIENCE, ask=True):
        """SIGTERM (unless it was asked already); the exit code."""
        if ask and self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        if self.process.stderr:
            self._reader.join(5)
            self.process.stderr.close()
        return code

    def metric(self, name):
        """The value of one line of /metrics; 0 if it is not there."""
        for line in self.ask(path="/metrics").text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        return 0.0

    def metric_reaches(self, name, least):
        """The value once it is at least that: an answer is counted when it is sent whole, after the client has it."""
        return until(lambda: (value := self.metric(name)) >= least and value)


def said(server, pattern):
    """The first log line that matches, once it is there."""
    deadline = time.monotonic() + 10 * SLOW
    while time.monotonic() < deadline:
        for line in list(server.lines):
            if re.search(pattern, line):
                return line
        time.sleep(0.02)
    raise AssertionError(f"never said {pattern}: " + "\n".join(server.lines[-10:]))


def sanitizer_report(lines):
    return [line for line in lines if re.search(r"ERROR: (Address|Leak)Sanitizer|runtime error:|WARNING: ThreadSan", line)]


@pytest.fixture(scope="session")
def make_server():
    """Servers with flags of their own: make_server("--queue", 1)."""
    started = []

    def make(*flags, **options):
        server = Server(*flags, **options)
        started.append(server)
        return server

    yield make
    for server in started:
        server.stop()
        assert not sanitizer_report(server.lines), "\n".join(server.lines[-60:])


@pytest.fixture(scope="session")
def server(make_server):
    """The one that most tests share.  Its deadlines are long: a test that is held up must not be cut."""
    return make_server(*PATIENT)


OWN = {"request_id", "timing_ms", "timing"}  # members of a reply that differ from one to the next


def essence(response):
    """What must be the same each time, as a short text."""
    body = response.body
    if "json" in (response.get("Content-Type") or ""):
        def strip(value):
            if isinstance(value, dict):
                return {name: strip(member) for name, member in value.items() if name not in OWN}
            return [strip(member) for member in value] if isinstance(value, list) else value
        body = json.dumps(strip(json.loads(body)), sort_keys=True).encode()
    return f"{response.status} {hashlib.sha256(body).hexdigest()[:16]}"


def encode(image, form="PNG", **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.fixture(scope="session")
def png():
    return encode(Image.linear_gradient("L").convert("RGB").resize((120, 80)))


@pytest.fixture(scope="session")
def jpeg():
    return encode(Image.linear_gradient("L").convert("RGB").resize((120, 80)), "JPEG", quality=90)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
