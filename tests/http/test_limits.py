"""Slow clients, overload, connection limits, drains: what happens when there is too much, or too little."""
import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import CLASSIFY, SLOW
from wire import Closed, Connection, request

# ---- slow clients --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(make_server):
    return make_server("--header-timeout", 1, "--body-timeout", 1.5)


def drip(connection, data, pause, seconds):
    """Sends one byte at a time; how long until the server closed."""
    start = time.monotonic()
    connection.socket.settimeout(0.001)
    for byte in data:
        try:
            connection.socket.sendall(bytes([byte]))
            if connection.socket.recv(1000, socket.MSG_PEEK) == b"":
                break
            return time.monotonic() - start
        except (BrokenPipeError, ConnectionResetError):
            break
        except TimeoutError:
            pass
        if time.monotonic() - start > seconds:
            return None
        time.sleep(pause)
    return time.monotonic() - start


def test_slow_headers_are_cut(strict):
    """One byte every 50 ms keeps no connection past its total deadline."""
    with strict.connect() as connection:
        took = drip(connection, b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 1000, 0.05, 6 * SLOW)
    assert took is not None and took < 2 * SLOW


def test_slow_headers_are_told_why(strict):
    with strict.connect() as connection:
        connection.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n")
        response = connection.response()
        assert response.status == 408 and response.code == "too_slow" and response.closes


def test_slow_body_is_cut(strict):
    start = time.monotonic()
    with strict.connect() as connection:
        connection.send(request("POST", CLASSIFY, headers=[("Content-Length", 1000)]) + b"x")
        response = connection.response()
        assert response.status == 408 and response.code == "too_slow"
        assert connection.closed()
    assert 1 < time.monotonic() - start < 2.5 * SLOW


def test_silent_connection_is_cut(strict):
    start = time.monotonic()
    with strict.connect() as connection:
        assert connection.closed(5 * SLOW)
    assert 0.5 < time.monotonic() - start < 2 * SLOW


def test_idle_keep_alive_is_closed_silently(strict):
    with strict.connect() as connection:
        connection.send(request())
        assert connection.response().status == 200
        assert connection.closed(5 * SLOW)


def test_slow_reader_is_cut(make_server, png):
    """A client that asks and never reads is cut at its deadline."""
    server = make_server("--body-timeout", 1, "--header-timeout", 1)
    path = "/v1/models/efficientnet-lite0/labels"
    with server.connect() as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(request("GET", path) * 200)
        assert server.metric_reaches('infomask_connections_cut_total{reason="slow_reader"}', 1) == 1
        deadline = time.monotonic() + 5 * SLOW
        while server.metric("infomask_connections") > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.metric("infomask_connections") == 1


def test_many_slow_ones_do_not_slow_a_good_one(make_server, png):
    """300 half-sent requests: a good client is served as before, and all are gone after the deadline."""
    server = make_server("--header-timeout", 2 * SLOW, "--max-connections", 1000, "--max-connections-per-address", 0)
    before, slow = server.fds(), []
    for _ in range(300):
        connection = server.connect()
        connection.send(b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nX: ")
        slow.append(connection)
    start = time.monotonic()
    assert server.ask("POST", CLASSIFY, png).status == 200
    assert time.monotonic() - start < 1 * SLOW
    time.sleep(max(0, 3.2 * SLOW - (time.monotonic() - start)))
    assert server.fds() <= before + 1
    for connection in slow:
        connection.socket.close()


# ---- overload ------------------------------------------------------------------------------------------------------------


def hold(server, count, body, path="/v1/filter"):
    """Sends `count` requests at once on connections of their own."""
    connections = [server.connect(60) for _ in range(count)]
    for connection in connections:
        connection.send(request("POST", path, body))
    return connections


def test_full_queue_is_503_with_retry_after(make_server, png):
    server = make_server("--queue", 2, "--threads", 1)
    connections = hold(server, 12, png)
    responses = [connection.response() for connection in connections]
    statuses = sorted(response.status for response in responses)
    # the two that the queue holds; a third only if the worker takes one before the others arrive
    assert set(statuses) == {200, 503} and statuses.count(200) >= 2
    refused = next(response for response in responses if response.status == 503)
    assert refused.code == "overloaded" and int(refused.get("Retry-After")) >= 1
    assert "2" in refused.json["detail"]
    assert server.ask("POST", CLASSIFY, png).status == 200
    for connection in connections:
        connection.socket.close()


def test_refusals_are_quick_and_probes_are_served(make_server, png):
    server = make_server("--queue", 2, "--threads", 1)
    connections = hold(server, 8, png)
    time.sleep(0.05)
    start = time.monotonic()
    response = server.ask("POST", "/v1/filter", png)
    if response.status == 503:
        assert time.monotonic() - start < 0.25 * SLOW
    start = time.monotonic()
    assert server.ask(path="/livez").status == 200 and server.ask(path="/metrics").status == 200
    assert time.monotonic() - start < 0.5 * SLOW
    for connection in connections:
        connection.response()
        connection.socket.close()


def test_clients_that_left_cost_nothing(make_server, png):
    server = make_server("--queue", 64, "--threads", 1)
    connections = hold(server, 20, png)
    for connection in connections:
        connection.socket.close()
    assert server.ask("POST", CLASSIFY, png).status == 200
    assert server.metric_reaches("infomask_jobs_gone_total", 10) >= 10


def test_connection_limit_is_answered(make_server):
    server = make_server("--max-connections", 8)
    held = []
    for _ in range(8):
        connection = server.connect()
        connection.send(request())
        assert connection.response().status == 200
        held.append(connection)
    with server.connect() as connection:
        connection.send(request())
        response = connection.response()
        assert response.status == 503 and response.code == "overloaded" and response.get("Retry-After") == "1"
    held.pop().socket.close()
    time.sleep(0.3 * SLOW)
    assert server.ask().status == 200
    for connection in held:
        connection.socket.close()


def test_connection_limit_per_address(make_server):
    server = make_server("--max-connections-per-address", 3)
    held = []
    for _ in range(3):
        connection = server.connect()
        connection.send(request())
        assert connection.response().status == 200
        held.append(connection)
    with server.connect() as connection:
        connection.send(request())
        assert connection.response().status == 503
    for connection in held:
        connection.socket.close()
    time.sleep(0.3 * SLOW)
    assert server.ask().status == 200


@pytest.mark.parametrize("count", [64, 128, 256])
def test_lock_step(make_server, count):
    """All ask at once, all wait, again: no stall with any number of ready connections."""
    server = make_server("--max-connections-per-address", 0)
    connections = [server.connect() for _ in range(count)]
    start = time.monotonic()
    for _ in range(5):
        for connection in connections:
            connection.send(request())
        for connection in connections:
            assert connection.response().status == 200
    assert time.monotonic() - start < 5 * SLOW
    for connection in connections:
        connection.socket.close()


def test_out_of_descriptors(make_server, png):
    """No spin, no end: those who are connected are served, and new ones are again when there is room."""
    server = make_server("--max-connections-per-address", 0, env={})
    subprocess.run(["prlimit", "--pid", str(server.process.pid), f"--nofile={server.fds() + 6}"], check=True)
    connections = []
    for _ in range(40):
        try:
            connections.append(server.connect(2))
        except OSError:
            break
    time.sleep(0.5)
    spent = cpu_seconds(server)
    time.sleep(1)
    assert cpu_seconds(server) - spent < 0.3
    connections[0].send(request())
    assert connections[0].response().status == 200
    for connection in connections:
        connection.socket.close()
    time.sleep(0.5 * SLOW)
    assert server.ask("POST", CLASSIFY, png).status == 200


def cpu_seconds(server):
    fields = open(f"/proc/{server.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_attack_does_not_flood_the_log(make_server):
    server = make_server("--max-connections-per-address", 0)
    with server.connect() as connection:
        for _ in range(20):
            connection.send(request("GET", "/nope") * 50)
            for _ in range(50):
                assert connection.response().status == 404
    time.sleep(1.1)
    server.ask(path="/nope")
    time.sleep(0.2 * SLOW)
    lines = [json.loads(line) for line in server.lines]
    refused = [line for line in lines if line["event"] == "request" and line["status"] == 404]
    assert len(refused) < 600
    assert any(line["event"] == "lines_dropped" and line["lines"] > 100 for line in lines)


def test_closed_standard_error(make_server, png):
    """A log that cannot be written loses lines and nothing else."""
    reader, writer = os.pipe()
    server = make_server(stderr=writer)
    os.close(writer)
    os.close(reader)
    for _ in range(3):
        assert server.ask("POST", CLASSIFY, png).status == 200
        assert server.ask(path="/nope").status == 404


# ---- drains --------------------------------------------------------------------------------------------------------------


def test_drain_answers_what_was_accepted(make_server, png):
    server = make_server("--threads", 1)
    connections = hold(server, 6, png)
    time.sleep(0.1 * SLOW)
    server.signal(signal.SIGTERM)
    responses = [connection.response() for connection in connections]
    assert [response.status for response in responses] == [200] * 6
    assert all(response.closes for response in responses[1:])
    assert server.stop(ask=False) == 0


def test_idle_server_ends_at_once(make_server):
    server = make_server()
    with server.connect() as connection:
        connection.send(request())
        assert connection.response().status == 200
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 2 * SLOW


def test_drain_grace(make_server, png):
    """Readiness goes first, so that balancers look elsewhere; requests are served until the grace is over."""
    server = make_server("--drain-grace", 1.5)
    server.signal(signal.SIGTERM)
    time.sleep(0.2)
    response = server.ask(path="/readyz")
    assert response.status == 503 and response.code == "not_ready" and "draining" in response.json["detail"]
    assert server.ask("POST", CLASSIFY, png).status == 200
    assert server.stop(ask=False) == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), 1)


def test_second_signal_ends_at_once(make_server, png):
    server = make_server("--threads", 1, "--drain-grace", 30)
    hold(server, 10, png)
    server.signal(signal.SIGTERM)
    time.sleep(0.2)
    server.signal(signal.SIGTERM)
    start = time.monotonic()
    assert server.process.wait(20) == 1
    assert time.monotonic() - start < 2 * SLOW


def test_drains_under_load(make_server, png):
    """Clients of one request each, all the time, while the server is asked to end: no accepted one fails."""
    for _ in range(3):
        server = make_server()
        failures, answered, stop = [], [], threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    connection = Connection(server.port, 20 * SLOW)
                except OSError:
                    return  # not accepted any more
                with connection:
                    connection.send(request("POST", CLASSIFY, png))
                    try:
                        answered.append(connection.response().status)
                    except (Closed, OSError) as error:
                        failures.append(repr(error))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(ask)
            time.sleep(0.6 * SLOW)
            assert server.stop() == 0
            stop.set()
        assert set(answered) == {200} and not failures, failures


def test_restart_after_kill(make_server, png):
    server = make_server()
    hold(server, 3, png)
    server.process.kill()
    server.process.wait()
    start = time.monotonic()
    again = make_server()
    assert again.ask("POST", CLASSIFY, png).status == 200
    assert time.monotonic() - start < 3 * SLOW


def test_reload_on_hangup(make_server, png):
    server = make_server()
    server.signal(signal.SIGHUP)
    deadline = time.monotonic() + 5 * SLOW
    while not any("unchanged" in line for line in server.lines) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert any("2 unchanged" in line for line in server.lines)
    assert server.ask("POST", CLASSIFY, png).status == 200
