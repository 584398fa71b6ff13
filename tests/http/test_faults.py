"""What the world does to a process: a log that nobody reads, signals in the middle of calls, a clock that jumps."""
import json
import os
import pathlib
import random
import resource
import signal
import threading
import time

import pytest

import conftest
from conftest import CLASSIFY, PATIENT, until

FAKETIME = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def crowd(work, count):
    """Runs work(i) on so many threads; what went wrong is raised."""
    wrong = []

    def run(i):
        try:
            work(i)
        except Exception as error:  # pylint: disable=broad-except
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


# ---- The log ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "full"])
def test_a_log_that_nobody_reads(make_server, png, closed):
    """Several threads log at once into a pipe that is closed, or full after the first few hundred lines."""
    reader, writer = os.pipe()
    server = make_server("--log-rate", 0, *PATIENT, stderr=writer)
    os.close(writer)
    try:
        if closed:
            os.close(reader)

        def ask(_):
            with server.connect() as connection:
                for _ in range(300):
                    connection.send(conftest.request("GET", "/v1/models"))
                    assert connection.response().status == 200

        crowd(ask, 4)
        assert server.ask("POST", CLASSIFY, png).status == 200
        assert server.stop() == 0
    finally:
        if not closed:
            os.close(reader)


def test_standard_error_that_is_not_open(tmp_path, png):
    """The descriptor's number is taken by something else then: nothing of the log may get into it."""
    script = tmp_path / "serve"
    script.write_text(f'#!/bin/sh\nexec 2>&-\nexec "{conftest.BINARY}" "$@"\n')
    script.chmod(0o755)
    own, conftest.BINARY = conftest.BINARY, str(script)
    try:
        server = conftest.Server("--state-dir", tmp_path / "state", *PATIENT)
    finally:
        conftest.BINARY = own
    try:
        estimate = server.ask("POST", "/v1/estimates", b"{}").json["id"]
        for i in range(5):
            response = server.ask("POST", f"/v1/estimates/{estimate}/samples?label=1&sample={i}", png)
            assert response.status == 201 and response.version == "HTTP/1.1"
            assert server.ask("POST", CLASSIFY, png).json["information"]
        assert server.ask(path=f"/v1/estimates/{estimate}").json["samples"] == 5
    finally:
        assert server.stop() == 0


# ---- Signals ----------------------------------------------------------------------------------------------------------


def test_signals_in_the_middle_of_calls(make_server, png):
    """Every call that waits is interrupted again and again: by being stopped and continued, and by signals that are caught."""
    server = make_server(*PATIENT)
    expected = server.ask("POST", CLASSIFY, png).json["information"]
    estimate = server.ask("POST", "/v1/estimates", b"{}").json["id"]
    ended = threading.Event()

    def storm():
        generator = random.Random(7)
        while not ended.is_set():
            for number in (signal.SIGSTOP, signal.SIGCONT):
                server.signal(number)
                time.sleep(generator.random() / 500)
            threads = os.listdir(f"/proc/{server.process.pid}/task")
            for number in (signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG):
                server.signal(number)
            assert threads

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        def ask(i):
            for k in range(6):
                with server.connect() as connection:
                    message = conftest.request("POST", CLASSIFY, png)
                    connection.send(message[:len(message) // 2])
                    connection.send(message[len(message) // 2:])
                    assert connection.response().json["information"] == expected
                path = f"/v1/estimates/{estimate}/samples?label=1&sample={i}-{k}"
                assert server.ask("POST", path, png).json["accepted"] == 1

        crowd(ask, 4)
    finally:
        ended.set()
        thread.join()
        server.signal(signal.SIGCONT)
    assert server.ask(path=f"/v1/estimates/{estimate}").json["samples"] == 24


# ---- The clock --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(FAKETIME is None, reason="faketime is not installed (Debian's package faketime)")
@pytest.mark.skipif(conftest.SLOW > 1, reason="a sanitizer must come first in what is loaded")
def test_a_clock_that_jumps(make_server, png, tmp_path):
    """The time of day goes forwards and backwards by days: deadlines, rates and jobs are of the other clock."""
    file = tmp_path / "time"
    file.write_text("+0d\n")
    server = make_server("--confine", "false", "--state-dir", tmp_path / "state", "--rate", 200, "--async-keep", 60,
                         env={"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
                              "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    estimate = server.ask("POST", "/v1/estimates", b"{}").json
    job = server.ask("POST", "/v1/filter?target=0&fill=mean", png, [("Prefer", "respond-async")]).get("Location")
    until(lambda: server.ask(path=job).json["status"] == "done")
    days, taken = {}, 0
    with server.connect() as kept:  # one connection through all of it
        for jump in ("+0d", "+40d", "-40d", "+3650d", "-3650d", "+0d"):
            file.write_text(jump + "\n")
            kept.send(conftest.request("GET", "/livez"))
            response = kept.response()
            assert response.status == 200
            days[jump] = response.get("Date")
            assert server.ask("POST", CLASSIFY, png).status == 200
            response = server.ask("POST", f"/v1/estimates/{estimate['id']}/samples?label=1&sample={taken}", png)
            taken += 1
            assert response.status == 201 and response.json["samples"] == taken
            assert server.ask(path=job).json["status"] == "done"
            assert server.ask(path=job + "/result").status == 200
    assert len(set(days.values())) >= 4, "the clock did not jump"
    lines = [json.loads(line) for line in list(server.lines) if line.startswith("{")]
    assert all(0 <= line["total_ms"] < 600000 for line in lines if line["event"] == "request")
    assert server.stop() == 0


# ---- Memory -----------------------------------------------------------------------------------------------------------


def address_space(server):
    """KiB."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmSize")).split()[1])


@pytest.mark.skipif(conftest.SLOW > 1, reason="a sanitizer's memory is not bounded so")
def test_no_memory_for_a_photo(make_server, tmp_path):
    """What there is no memory for is 503 with a sentence; what there is memory for goes on."""
    server = make_server("--threads", 1, "--state-dir", tmp_path / "state", *PATIENT)
    limit = (address_space(server) + 80 * 1024) * 1024  # less than the pixels alone
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, limit))
    big = conftest.encode(conftest.Image.new("RGB", (6000, 6000), (10, 200, 30)))
    for _ in range(3):
        response = server.ask("POST", "/v1/filter?target=0", big)
        assert (response.status, response.code) == (503, "overloaded"), response.text
        assert response.json["detail"].startswith("no memory")
    assert server.ask("POST", CLASSIFY, conftest.encode(conftest.Image.new("RGB", (60, 60)))).status == 200
    assert server.stop() == 0
