"""What happens when something that is always there is not: standard error, room on a disk, descriptors, a steady clock."""
import contextlib
import fcntl
import json
import os
import pathlib
import resource
import select
import signal
import subprocess
import time

import pytest

import conftest
from conftest import CLASSIFY, SLOW, said
from wire import request

VERSION = subprocess.run([conftest.BINARY, "version"], capture_output=True, text=True, env=conftest.ENVIRONMENT).stdout
F_SETPIPE_SZ = 1031
DIGITS = CLASSIFY + "?model=digits"


@pytest.fixture
def through(make_server, monkeypatch, tmp_path):
    """A server that is started by a line of shell ("exec BINARY "$@" 2>&-")."""

    def make(line, *flags, **options):
        script = tmp_path / "serve"
        script.write_text(f"#!/bin/sh\n{line.replace('BINARY', conftest.BINARY)}\n")
        script.chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setattr(conftest, "BINARY", str(script))
            return make_server(*flags, **options)

    return make


def descriptors(server):
    found = {}
    for entry in pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a connection that is closed meanwhile
            found[int(entry.name)] = os.readlink(entry)
    return found


def serves(server, png):
    assert server.ask("POST", DIGITS, png).status == 200
    assert server.ask(path="/nope").status == 404
    return True


@pytest.mark.parametrize("to", [">&-", ">/dev/full"])
def test_nobody_hears_that_it_listens(tmp_path, to):
    """The line on standard output that nobody takes is no failure of the service."""
    address = tmp_path / "socket"
    run = subprocess.Popen(["sh", "-c", f'exec "$@" {to}', "sh", conftest.BINARY, "serve", "--listen", f"unix:{address}", "--model", "digits",
                            "--state-dir", tmp_path / "state"], env=conftest.ENVIRONMENT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not address.exists() and time.monotonic() < until and run.poll() is None:
        time.sleep(.02)
    run.terminate()
    assert run.wait(60) == 0


def test_a_file_that_may_not_grow(make_server, png, tmp_path):
    """A limit of its size (ulimit -f, systemd's LimitFSIZE) is as a full disk, and ends nothing."""
    server = make_server("--state-dir", tmp_path / "state")
    assert server.ask("POST", "/v1/estimates", b"{}").status == 201
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
    assert server.ask("POST", "/v1/estimates", b"{}").status in (503, 507)
    assert serves(server, png)
    assert server.stop() == 0


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
def test_closed_standard_descriptors(through, png, closed, tmp_path):
    """Nothing else takes their place: a log line would end up in a file of the state, or at a client."""
    server = through(f'exec BINARY "$@" {closed}', "--state-dir", tmp_path / "state")
    assert server.ask("POST", "/v1/estimates", b"{}").status == 201
    assert serves(server, png)
    assert descriptors(server)[2] == "/dev/null" and (closed == "2>&-" or descriptors(server)[0] == "/dev/null")
    assert server.stop() == 0


def test_a_full_disk_under_the_log(make_server, png):
    """Every line fails with ENOSPC: lines are lost, and nothing else."""
    with open("/dev/full", "w") as full:
        server = make_server("--log-level", "debug", stderr=full)
    for _ in range(20):
        assert serves(server, png)
    assert server.stop() == 0


def test_a_log_that_nobody_reads(make_server, png):
    """A full pipe holds nobody up: lines are lost, and that is told when there is room again."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
    server = make_server("--log-rate", 0, stderr=writer)
    os.close(writer)
    for _ in range(60):
        assert serves(server, png)
    os.set_blocking(reader, False)
    deadline, text = time.monotonic() + 20 * SLOW, b""
    while select.select([reader], [], [], 0.2)[0]:
        text += os.read(reader, 65536)
    while b"lines_dropped" not in text and time.monotonic() < deadline:
        assert server.ask(path="/nope").status == 404
        if select.select([reader], [], [], 0.1)[0]:
            text += os.read(reader, 65536)
    assert b"lines_dropped" in text
    os.close(reader)
    for _ in range(20):
        assert serves(server, png)
    assert server.stop() == 0


def limit_descriptors(server, count):
    subprocess.run(["prlimit", "--pid", str(server.process.pid), f"--nofile={count}:"], check=True)


def test_no_descriptor_for_a_reload(make_server, png, tmp_path):
    """Models and keys that cannot be opened stay as they were, and are read when they can be."""
    keys = tmp_path / "keys"
    keys.write_text("")
    server = make_server("--keys", keys)
    assert server.ask("POST", DIGITS, png).status == 401
    limit_descriptors(server, 3)
    server.signal(signal.SIGHUP)
    assert "not read again" in said(server, "keys") and said(server, "models")
    limit_descriptors(server, 1024)
    server.lines.clear()
    server.signal(signal.SIGHUP)
    assert "keys read again" in said(server, "keys")
    assert "0 failed" in said(server, "models: ")
    assert server.ask(path="/livez").status == 200


CLOCK = r"""
/* The wall clock jumps a year back or forth at every look; the steady one is as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void)
{
    static atomic_uint looks;
    return (long)(atomic_fetch_add(&looks, 1) % 3) * 31536000L - 31536000L;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, id, now);
    if (id == CLOCK_REALTIME)
        now->tv_sec += jump();
    return failed;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}
"""


@pytest.mark.skipif("sanitizer" in VERSION, reason="a sanitizer wants to be loaded first")
def test_the_clock_jumps(make_server, png, tmp_path):
    """Deadlines, rates, queues and expiries go by the steady clock: nobody is cut, refused or forgotten for a jump."""
    (tmp_path / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "clock.so", tmp_path / "clock.c"], check=True)
    server = make_server("--state-dir", tmp_path / "state", "--rate", 1000, "--rate-burst", 1000, "--slow-ms", 3600000,
                         env={"LD_PRELOAD": str(tmp_path / "clock.so")})
    with server.connect() as connection:
        for _ in range(30):
            connection.send(request("POST", DIGITS, png))
            assert connection.response().status == 200
    estimate = server.ask("POST", "/v1/estimates", b'{"model": "digits"}')
    assert server.ask("POST", f"/v1/estimates/{estimate.json['id']}/samples?label=0", png).status == 201
    job = server.ask("POST", "/v1/filter?model=digits&fill=mean", png, [("Prefer", "respond-async")])
    deadline = time.monotonic() + 30 * SLOW
    while (found := server.ask(path=job.get("Location")).json)["status"] != "done" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found["status"] == "done" and 0 < found["expires_in_s"] <= 600
    assert server.ask(path="/readyz").status == 200
    years = {json.loads(line)["time"][:4] for line in server.lines}
    assert len(years) >= 2  # the log tells what the clock said
    assert server.metric('infomask_connections_cut_total{reason="slow_headers"}') == 0
    assert server.stop() == 0


def test_the_process_is_stopped_for_a_while(make_server, png):
    """As a laptop's lid or a hypervisor does it: the requests that wait are answered when it goes on."""
    server = make_server("--threads", 1)
    connections = [server.connect(60) for _ in range(4)]
    server.signal(signal.SIGSTOP)
    for connection in connections:
        connection.send(request("POST", DIGITS, png))
    time.sleep(1)
    server.signal(signal.SIGCONT)
    assert [connection.response().status for connection in connections] == [200] * 4
    assert server.ask(path="/readyz").status == 200
    for connection in connections:
        connection.socket.close()
