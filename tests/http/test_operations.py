"""What those who run the service rely on: the service manager's protocol, the watchdog, and what is logged and counted."""
import ctypes
import json
import os
import platform
import socket
import sqlite3
import threading
import time

import pytest

from conftest import CLASSIFY, SLOW, in_a_file, said
from wire import Closed, request

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Manager:
    """A service manager's socket, and what was said to it."""

    def __init__(self, path, watchdog_s):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + path[1:] if path.startswith("@") else path)
        self.socket.settimeout(0.1)
        self.environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(int(watchdog_s * 1e6))}
        self.heard = []

    def hear(self):
        try:
            self.heard.append(self.socket.recv(4096).decode())
        except TimeoutError:
            pass

    def hears(self, word, times=1):
        deadline = time.monotonic() + 10 * SLOW
        while sum(word in text for text in self.heard) < times and time.monotonic() < deadline:
            self.hear()
        return sum(word in text for text in self.heard) >= times


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_the_service_manager_is_told(make_server, tmp_path, kind):
    manager = Manager(str(tmp_path / "notify") if kind == "file" else f"@infomask-test-{tmp_path.name}-{time.time()}", 0.4)
    server = make_server(env=manager.environment)
    assert manager.hears("READY=1") and manager.hears("WATCHDOG=1", 3)
    assert not any("STOPPING=1" in text for text in manager.heard)
    assert server.stop() == 0
    assert manager.hears("STOPPING=1")


def test_nobody_to_tell(make_server, png, tmp_path):
    for path in ["", "relative", str(tmp_path / "nobody-there"), "/" + "x" * 200, "@"]:
        server = make_server(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "nonsense"})
        assert server.ask().status == 200
        assert server.stop() == 0


@in_a_file
def test_a_stuck_worker_is_noticed(make_server, tmp_path):
    """Another process holds the state's lock, and the request that waits for it runs far beyond its deadline."""
    manager = Manager(str(tmp_path / "notify"), 0.2)
    server = make_server("--state-dir", tmp_path / "state", "--request-timeout", 1, "--stuck-after", 0.2, "--threads", 2,
                         env=manager.environment)
    other = sqlite3.connect(tmp_path / "state" / "estimates.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def ask():
        try:
            server.ask("POST", "/v1/estimates", b"{}", timeout=30)
        except (Closed, OSError):
            pass

    deadline, stuck, threads = time.monotonic() + 20 * SLOW, None, []
    while stuck is None and time.monotonic() < deadline:
        if not any(thread.is_alive() for thread in threads):
            threads.append(threading.Thread(target=ask))
            threads[-1].start()
        ready = server.ask(path="/readyz")
        stuck = ready if ready.status == 503 else None
    assert stuck is not None and stuck.code == "not_ready" and "a worker is stuck" in stuck.json["detail"]
    assert server.ask(path="/livez").status == 200
    assert json.loads(said(server, "a worker is stuck"))["level"] == "error"
    other.execute("ROLLBACK")
    other.close()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 20 * SLOW
    while (ready := server.ask(path="/readyz")).status != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ready.status == 200 and said(server, "free again")
    manager.heard.clear()
    assert manager.hears("WATCHDOG=1", 2)


def test_slow_requests_are_logged(make_server, png):
    server = make_server("--slow-ms", 0.001, "--log-level", "warning")
    assert server.ask("POST", CLASSIFY, png, [("X-Request-Id", "how-slow")]).status == 200
    line = json.loads(said(server, "how-slow"))
    assert (line["event"], line["level"], line["status"]) == ("slow_request", "warning", 200) and line["total_ms"] > 0


def test_quick_requests_are_not(make_server, png):
    server = make_server("--slow-ms", 3600000)
    assert server.ask("POST", CLASSIFY, png, [("X-Request-Id", "how-slow")]).status == 200
    line = json.loads(said(server, "how-slow"))
    assert (line["event"], line["level"]) == ("request", "info")


def test_traces_are_passed_through(server, png):
    response = server.ask("POST", CLASSIFY, png, [("traceparent", TRACE), ("X-Request-Id", "traced")])
    assert response.get("Traceparent") == TRACE
    line = json.loads(said(server, '"traced"'))
    assert line["traceparent"] == TRACE and line["queue_ms"] >= 0 and line["network_ms"] > 0 and line["bytes_in"] == len(png)


def test_floods_of_cheap_requests_do_not_flood_the_log(make_server):
    """Answered with 200, and still limited: nothing is computed for them, so nothing else limits them."""
    server = make_server("--log-rate", 5)
    with server.connect() as connection:
        for _ in range(10):
            connection.send(request("GET", "/v1/models") * 50)
            for _ in range(50):
                assert connection.response().status == 200
    assert server.stop() == 0
    assert sum('"event":"request"' in line for line in server.lines) < 250


def test_what_is_counted(make_server, png):
    server = make_server("--threads", 1, "--request-timeout", 300)
    assert server.ask("POST", "/v1/filter?quality=fast", png, timeout=300).status == 200
    assert server.metric_reaches("infomask_images_total", 1) == 1
    assert server.metric("infomask_pmi_nats_count") == 1
    assert server.metric("infomask_residual_pmi_nats_count") == 1
    assert server.metric('infomask_phase_seconds_count{phase="queue"}') == 1
    assert server.metric('infomask_phase_seconds_count{phase="network"}') == 1
    assert abs(server.metric("infomask_resident_bytes") - server.rss()) < 32e6
    assert abs(server.metric("infomask_open_fds") - server.fds()) <= 2
    assert server.metric("infomask_received_bytes_total") == len(png)
    assert server.metric("infomask_queue_waiting") == 0 and server.metric("infomask_queue_capacity") == 64
    assert server.metric("infomask_ready") == 1


def slices(server):
    """By thread: nanoseconds that the kernel lets it run before another one's turn; 0 before Linux 6.12."""
    ask, told = {"x86_64": 315, "aarch64": 275}.get(platform.machine()), ctypes.create_string_buffer(48)
    for task in os.listdir(f"/proc/{server.process.pid}/task"):
        if ask is None or ctypes.CDLL(None).syscall(ask, int(task), told, 48, 0) != 0:
            pytest.skip("needs sched_getattr")
        yield int(task), int.from_bytes(told[24:32], "little")


def test_who_speaks_to_clients_wakes_before_who_computes(server):
    found = dict(slices(server))
    shortest = min(found.values())
    if shortest == 0:
        pytest.skip("needs Linux 6.12")
    assert found[server.process.pid] == shortest and 3 <= list(found.values()).count(shortest) < len(found)  # and two of HTTP
