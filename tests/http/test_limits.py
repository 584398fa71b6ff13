"""Slow clients, overload, connection limits, drains: what happens when there is too much, or too little."""
import concurrent.futures
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
from PIL import Image

from conftest import CLASSIFY, PATIENCE, PATIENT, ROOT, SLOW, encode, essence, until
from wire import Closed, Connection, request

# ---- slow clients --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(make_server):
    return make_server("--header-timeout", 3, "--body-timeout", 4)


def is_cut(connection, data, pause):
    """Sends one byte at a time; whether the server ends the connection before all are sent."""
    connection.socket.settimeout(0.001)
    for byte in data:
        try:
            connection.socket.sendall(bytes([byte]))
            connection.socket.recv(1000, socket.MSG_PEEK)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return True
        except TimeoutError:
            pass
        time.sleep(pause)
    return False


def test_slow_headers_are_cut(strict):
    """One byte every 50 ms keeps no connection past its total deadline."""
    with strict.connect() as connection:
        assert is_cut(connection, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * int(20 * PATIENCE), 0.05)


def test_slow_headers_are_told_why(strict):
    with strict.connect() as connection:
        connection.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        response = connection.response()
        assert response.status == 408 and response.code == "too_slow" and response.closes


def test_slow_body_is_cut(strict):
    start = time.monotonic()
    with strict.connect() as connection:
        connection.send(request("POST", CLASSIFY, headers=[("Content-Length", 1000)]) + b"x")
        response = connection.response()
        assert response.status == 408 and response.code == "too_slow"
        assert connection.closed()
    assert time.monotonic() - start > 3


def test_silent_connection_is_cut(strict):
    start = time.monotonic()
    with strict.connect() as connection:
        assert connection.closed()
    assert time.monotonic() - start > 2


def test_idle_keep_alive_is_closed_silently(strict):
    with strict.connect() as connection:
        connection.send(request())
        assert connection.response().status == 200
        assert connection.closed()


def test_slow_reader_is_cut(make_server, png):
    """A client that asks and never reads is cut at its deadline; the system does not hold the answers for it."""
    server = make_server("--body-timeout", 1, "--header-timeout", 1)
    path = "/v1/models/efficientnet-lite0/labels"
    with server.connect() as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(request("GET", path) * 6)
        assert server.metric_reaches('infomask_connections_cut_total{reason="slow_reader"}', 1) == 1
        assert until(lambda: server.metric("infomask_connections") == 1)


def test_many_slow_ones_do_not_slow_a_good_one(make_server, png):
    """300 half-sent requests: a good client is served, and all are gone after the deadline."""
    server = make_server("--header-timeout", 3 * SLOW, "--max-connections", 1000, "--max-connections-per-address", 0)
    before, slow = server.fds(), []
    for _ in range(300):
        connection = server.connect()
        connection.send(b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nX: ")
        slow.append(connection)
    assert server.ask("POST", CLASSIFY, png).status == 200
    assert until(lambda: server.fds() <= before + 1)
    for connection in slow:
        connection.socket.close()


# ---- overload ------------------------------------------------------------------------------------------------------------


def hold(server, count, body, path="/v1/filter"):
    """Sends `count` requests at once on connections of their own."""
    connections = [server.connect() for _ in range(count)]
    for connection in connections:
        connection.send(request("POST", path, body))
    return connections


def busy(make_server, *flags):
    """A server whose only worker has something to do for a while, and the connection that waits for it."""
    server = make_server("--threads", 1, *PATIENT, *flags)
    large = encode(Image.linear_gradient("L").convert("RGB").resize((6000, 6000)), compress_level=1)
    (connection,) = hold(server, 1, large, "/v1/mask")
    until(lambda: server.metric("infomask_jobs_running") == 1)
    return server, connection


def unanswered(connection):
    connection.socket.setblocking(False)
    try:
        return not connection.socket.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        connection.socket.settimeout(PATIENCE)


def test_full_queue_is_503_with_retry_after(make_server, png):
    """While the worker works the queue takes what it holds; the others are told at once, and probes are served."""
    server, working = busy(make_server, "--queue", 2)
    waiting = hold(server, 2, png)
    until(lambda: server.metric("infomask_queue_waiting") == 2)
    for refused in [connection.response() for connection in hold(server, 6, png)]:
        assert refused.status == 503 and refused.code == "overloaded" and int(refused.get("Retry-After")) >= 1
        assert "2" in refused.json["detail"]
    assert server.ask(path="/livez").status == 200 and server.ask(path="/metrics").status == 200
    assert unanswered(working)
    assert [connection.response().status for connection in [working, *waiting]] == [200] * 3
    assert server.ask("POST", CLASSIFY, png).status == 200


def test_clients_that_left_cost_nothing(make_server, png):
    server, working = busy(make_server, "--queue", 64)
    connections = hold(server, 20, png)
    until(lambda: server.metric("infomask_queue_waiting") == 20)
    for connection in connections:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.close()
    assert server.metric_reaches("infomask_jobs_gone_total", 20) == 20
    assert '"status":499' in server.logged('"status":499')
    assert working.response().status == 200 and server.ask("POST", CLASSIFY, png).status == 200


def test_the_end_of_a_request_is_not_the_end_of_its_client(make_server, png):
    """A client may close its direction once its request is whole: it gets its answer."""
    server, working = busy(make_server, "--queue", 64)
    connections = hold(server, 4, png)
    until(lambda: server.metric("infomask_queue_waiting") == 4)
    for connection in connections:
        connection.socket.shutdown(socket.SHUT_WR)
    for connection in connections:
        assert connection.response().status == 200
    assert working.response().status == 200 and server.metric("infomask_jobs_gone_total") == 0
    for path, body in (("/livez", None), ("/v1/models", None), (CLASSIFY, png)):
        with server.connect() as connection:
            connection.send(request("POST" if body else "GET", path, body))
            connection.socket.shutdown(socket.SHUT_WR)
            assert connection.response().status == 200


def test_queries_of_many_fields(make_server):
    """They are refused, counted down again, and a drain does not wait for them."""
    server = make_server("--drain-timeout", 60, *PATIENT)
    for fields in (257, 600, 2000):
        for path in ("/livez", CLASSIFY, "/nope", "/"):
            response = server.ask(path=path + "?" + "&".join(["a"] * fields))
            assert response.status == 400 and "256" in response.json["detail"]
    with server.connect() as connection:
        for _ in range(3):  # more fields than the connection has memory for, behind others on the same one
            connection.send(request(path="/livez"))
            assert connection.response().status == 200
        connection.send(request(path="/livez?" + "a=b&" * 2000))
        assert connection.response().status == 400 and connection.closed()
    until(lambda: server.metric("infomask_in_flight") == 1)  # the one that asks
    started = time.monotonic()
    assert server.stop() == 0 and time.monotonic() - started < 30


def with_chunk_line(server, headers, size):
    """The answer to a body of one byte, whose chunk's line has that many."""
    body = b"1;" + b"x" * (size - 2) + b"\r\na\r\n0\r\n\r\n"
    return server.ask("POST", CLASSIFY, body, [*headers, ("Transfer-Encoding", "chunked")])


def test_requests_that_the_library_cannot_hold(make_server):
    """They are refused, with the limit, before its memory for a connection ends; nothing is left behind."""
    server = make_server("--drain-timeout", 60, *PATIENT)
    for headers, limit in [([(f"X-{i}", "x") for i in range(900)], "20480 bytes"), ([("X", "x" * 40000)], "20480 bytes"),
                           ([("X", "x" * 20400)], "20480 bytes"), ([("Cookie", "a" * 10300)], "20480 bytes"),
                           ([("Cookie", "; ".join(f"a{i}=b" for i in range(900)))], "100 cookies")]:
        for _ in range(20):
            with server.connect() as connection:
                connection.send(request(headers=headers))
                response = connection.response()
                assert (response.status, response.code) == (400, "bad_request") and limit in response.json["detail"]
    full = [("X", "x" * 20000)], [(f"X-{i}", "x" * 130) for i in range(99)], [("Cookie", "; ".join(["b" * 58] * 100))]
    for headers in full:
        assert server.ask(path="/v1/models", headers=headers).status == 200
        assert with_chunk_line(server, headers[:98], 1000).status == 415
    for size in (1025, 60000):
        assert "1024 bytes" in with_chunk_line(server, full[2], size).json["detail"]
    until(lambda: server.metric("infomask_in_flight") == 1)
    assert server.stop() == 0


def connect(server, count):
    """Connections that were answered and stay open."""
    held = [server.connect() for _ in range(count)]
    for connection in held:
        connection.send(request())
        assert connection.response().status == 200
    return held


def test_connection_limit_is_answered(make_server):
    server = make_server("--max-connections", 8, *PATIENT)
    held = connect(server, 8)
    with server.connect() as connection:
        connection.send(request())
        response = connection.response()
        assert response.status == 503 and response.code == "overloaded" and response.get("Retry-After") == "1"
    held.pop().socket.close()
    assert until(lambda: server.ask().status == 200)
    for connection in held:
        connection.socket.close()


def test_connection_limit_per_address(make_server):
    server = make_server("--max-connections-per-address", 3, *PATIENT)
    held = connect(server, 3)
    with server.connect() as connection:
        connection.send(request())
        assert connection.response().status == 503
    for connection in held:
        connection.socket.close()
    assert until(lambda: server.ask().status == 200)


@pytest.mark.parametrize("count", [64, 128, 256])
def test_lock_step(make_server, count):
    """All ask at once, all wait, again: no stall (which would outlast our patience) with any number of ready connections."""
    server = make_server("--max-connections-per-address", 0, *PATIENT)
    connections = [server.connect() for _ in range(count)]
    for _ in range(5):
        for connection in connections:
            connection.send(request())
        for connection in connections:
            assert connection.response().status == 200
    for connection in connections:
        connection.socket.close()


def test_out_of_descriptors(make_server, png):
    """No spin, no end: those who are connected are served, and new ones are again when there is room."""
    server = make_server("--max-connections-per-address", 0, *PATIENT)
    subprocess.run(["prlimit", "--pid", str(server.process.pid), f"--nofile={server.fds() + 6}"], check=True)
    connections = []
    for _ in range(40):
        try:
            connections.append(server.connect(2))
        except OSError:
            break
    server.logged("out of file descriptors")
    spent = server.cpu()
    time.sleep(1)
    assert server.cpu() - spent < 0.3 * SLOW
    connections[0].send(request())
    assert connections[0].response().status == 200
    for connection in connections:
        connection.socket.close()

    def served():
        try:
            return server.ask("POST", CLASSIFY, png).status == 200
        except (Closed, OSError):
            return False

    assert until(served)


def test_attack_does_not_flood_the_log(make_server):
    server, sent, start = make_server("--log-rate", 5, *PATIENT), 0, time.monotonic()

    def attack():
        nonlocal sent
        with server.connect() as connection:
            connection.send(request("GET", "/nope") * 200)
            sent += 200
            for _ in range(200):
                assert connection.response().status == 404
        return any("lines_dropped" in line for line in list(server.lines))

    until(attack)
    lines = [json.loads(line) for line in list(server.lines)]
    refused = [line for line in lines if line["event"] == "request" and line["status"] == 404]
    assert len(refused) <= 5 * (time.monotonic() - start + 3)
    assert 0 < sum(line["lines"] for line in lines if line["event"] == "lines_dropped") <= sent


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
    server, working = busy(make_server, "--drain-timeout", 300)
    connections = [working, *hold(server, 5, png)]
    until(lambda: server.metric("infomask_queue_waiting") == 5)
    server.signal(signal.SIGTERM)
    responses = [connection.response() for connection in connections]
    assert [response.status for response in responses] == [200] * 6
    assert responses[-1].closes
    assert server.stop(ask=False) == 0


def test_idle_server_ends_at_once(make_server):
    """A connection that is kept alive does not hold it."""
    server = make_server("--drain-timeout", 1000, *PATIENT)
    with server.connect() as connection:
        connection.send(request())
        assert connection.response().status == 200
        assert server.stop() == 0


def test_drain_grace(make_server, png):
    """Readiness goes first, so that balancers look elsewhere; requests are served until the grace is over."""
    server = make_server("--drain-grace", 1000)
    server.signal(signal.SIGTERM)
    response = until(lambda: (found := server.ask(path="/readyz")).status == 503 and found)
    assert response.code == "not_ready" and "draining" in response.json["detail"]
    assert server.ask("POST", CLASSIFY, png).status == 200
    server.signal(signal.SIGTERM)
    assert server.stop(ask=False) == 1


def test_drain_ends(make_server):
    server = make_server("--drain-grace", 0.5)
    server.signal(signal.SIGTERM)
    assert server.logged("draining")
    assert server.stop(ask=False) == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), 1)


def test_second_signal_ends_at_once(make_server, png):
    server, working = busy(make_server, "--drain-timeout", 1000)
    server.signal(signal.SIGTERM)
    server.logged("draining")
    server.signal(signal.SIGTERM)
    assert server.stop(ask=False) == 1
    with pytest.raises(Closed):
        working.response()


def test_drains_under_load(make_server, png):
    """Clients of one request each, all the time, while the server is asked to end: no accepted one fails."""
    for _ in range(3):
        server = make_server()
        failures, answered, stop = [], [], threading.Event()

        def ask():
            while not stop.is_set():
                try:
                    connection = Connection(server.port, PATIENCE)
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
    again = make_server()
    assert again.ask("POST", CLASSIFY, png).status == 200


def test_reload_on_hangup(make_server, png):
    server = make_server()
    server.signal(signal.SIGHUP)
    assert "2 unchanged" in server.logged("unchanged")
    assert server.ask("POST", CLASSIFY, png).status == 200


# ---- fair shares ---------------------------------------------------------------------------------------------------------


def two_clients(make_server, tmp_path, *flags):
    """A server with one worker and two keys, their header fields, and what reads its metrics."""
    names, keys = ("greedy", "polite"), tmp_path / "keys"
    keys.write_text("".join(f"{name} infer {hashlib.sha256(name.encode()).hexdigest()}\n" for name in names))
    server = make_server("--threads", 1, "--keys", keys, *flags, *PATIENT)
    key = {name: [("X-Api-Key", name)] for name in names}

    def metric(name):
        for line in server.ask(path="/metrics", headers=key["polite"]).text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])

    return server, key, metric


def test_a_full_queue_has_a_place_for_another_client(make_server, png, tmp_path):
    """One key fills the queue; another's request takes the place of the newest of these, and is answered before the rest."""
    server, key, metric = two_clients(make_server, tmp_path, "--queue", 8)
    slow = encode(Image.effect_noise((2000, 2000), 100).convert("RGB"), "JPEG")
    held = []
    for i in range(9):
        held.append(server.connect())
        held[-1].send(request("POST", "/v1/filter?resolution=448", slow, key["greedy"]))
        until(lambda: metric("infomask_queue_waiting") + metric("infomask_jobs_running") == i + 1)
    refused = server.ask("POST", CLASSIFY, png, key["greedy"])
    assert refused.status == 503 and refused.code == "overloaded"
    answer = server.ask("POST", CLASSIFY, png, key["polite"])
    assert answer.status == 200
    assert metric("infomask_queue_waiting") >= 5  # it waited for one or two of them, not for all
    statuses = sorted(connection.response().status for connection in held)
    assert statuses == [200] * 8 + [503] and metric("infomask_jobs_crowded_total") == 1


def test_who_asks_now_and_then_interrupts(make_server, png, tmp_path):
    """A photo of another client is classified in the middle of one's filter, whose answer stays what it was."""
    server, key, metric = two_clients(make_server, tmp_path)
    path, photo = "/v1/filter?max_passes=1", (ROOT / "server/web/photos/coffee.jpg").read_bytes()
    alone = [essence(server.ask("POST", path, photo, key["greedy"])), essence(server.ask("POST", CLASSIFY, png, key["polite"]))]
    waiting = [server.connect() for _ in range(4)]
    for connection in waiting:
        connection.send(request("POST", path, photo, key["greedy"]))
    until(lambda: metric("infomask_queue_waiting") >= 2 and metric("infomask_jobs_running") == 1)
    assert essence(server.ask("POST", CLASSIFY, png, key["polite"])) == alone[1]
    assert metric("infomask_jobs_urgent_total") == 1
    assert metric("infomask_queue_waiting") >= 1  # it did not wait for them
    assert [essence(connection.response()) for connection in waiting] == [alone[0]] * 4


def test_who_asks_on_is_refused_later(make_server, png, tmp_path):
    """Refusals beyond the rate wait, on no thread; a service that ends keeps nobody waiting."""
    server, key, metric = two_clients(make_server, tmp_path, "--queue", 2, "--refusal-rate", 0.01, "--drain-timeout", 300)
    large = encode(Image.linear_gradient("L").convert("RGB").resize((6000, 6000)), compress_level=1)
    taken = [server.connect() for _ in range(3)]
    for i, connection in enumerate(taken):
        connection.send(request("POST", "/v1/mask", png if i > 0 else large, key["greedy"]))
        until(lambda: metric("infomask_queue_waiting") + metric("infomask_jobs_running") == i + 1)
    late = [server.connect() for _ in range(8)]
    for connection in late:
        connection.send(request("POST", CLASSIFY, png, key["greedy"]))
    until(lambda: metric("infomask_refusals_held_total")  == 7)
    server.signal(signal.SIGTERM)
    for refused in [connection.response() for connection in late]:
        assert refused.status == 503 and refused.code == "overloaded" and int(refused.get("Retry-After")) >= 1
    assert [connection.response().status for connection in taken] == [200] * 3
    assert server.process.wait(PATIENCE) == 0


def test_costs_of_one_client(make_server, png):
    """A photo costs 1.2, each noisy pass one more: what is asked is known before it waits."""
    server = make_server("--rate-cost", 0.001, "--rate-burst", 10, *PATIENT)
    assert server.ask("POST", "/v1/filter?max_passes=3", png).status == 200  # over the burst: once, where nothing was spent
    response = server.ask("POST", CLASSIFY, png)
    assert response.status == 429 and response.code == "rate_limited" and int(response.get("Retry-After")) >= 1
    assert server.ask(path="/v1/models").status == 200
    server = make_server("--rate-cost", 0.001, "--rate-burst", 10, *PATIENT)
    statuses = [server.ask("POST", CLASSIFY, png).status for _ in range(12)]
    assert 8 <= statuses.count(200) <= 9 and statuses[-1] == 429
