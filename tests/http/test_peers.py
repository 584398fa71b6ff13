"""The cases of test_conformance.py, and random ones whose framing is wrong, beside two other readers of HTTP/1.1, h11 and
httptools (llhttp): what either refuses we do not answer as if it were good.  And through HAProxy and nginx: what comes out of
them is read as they meant it."""
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess

import h11
import httptools
import pytest

import test_conformance
from conftest import PATIENT, free_port, until
from wire import Closed, Connection, request

CASES = {case.id: case.values[0] for case in test_conformance.CASES}
COUNT = int(os.environ.get("INFOMASK_CASES", 400))

# ---- Random framings: each request's body is, or hides, another request ---------------------------------------------------------
HIDDEN = b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: hidden\r\n\r\n"
LINES = [b"POST  /livez HTTP/1.1", b"POST http://a/livez HTTP/1.1", b"POST /livez HTTP/1.1 ", b"OPTIONS * HTTP/1.1", b"HEAD /livez HTTP/1.1",
         b"POST /livez HTTP/1.0", b"GET /livez HTTP/1.1", b"post /livez HTTP/1.1", b"POST /livez"]
NAMES = [b"%s :", b"%s\t:", b" %s:", b"%s\0:", b"X: y\n%s:", b"X: y\r%s:", b"\x0b%s:", b"%s:\r\n", b"%s;:", b"%s"]
LENGTHS = [b" %d", b"+%d", b"0%d", b"%d ", b"%d, %d", b"0x%x", b"%d\x0b", b"%d;a", b"-%d", b"%d.0", b"1%020d", b"\xb2%d", b"\t%d"]
CODINGS = [b" chunked", b"Chunked", b"chunked ", b"\x0bchunked", b"identity", b"chunked, identity", b"gzip, chunked", b"chunked;a=b",
           b"'chunked'", b"chunked\0", b",chunked", b"chunked,", b"x\r\n chunked", b"chunked\r\n\t", b"cow", b""]
EXTRAS = [b"Connection: Content-Length", b"Connection: close, Transfer-Encoding", b"Expect: 100-continue", b"Trailer: Content-Length",
          b"Content_Length: 0", b"Transfer_Encoding: chunked", b"TE: trailers", b"Host: b", b"Connection: keep-alive", b"X: y"]
SIZES = [b"%X", b"0%x", b"%x;a=b", b'%x;a="\r\n"', b"%x ", b" %x", b"+%x", b"0x%x", b"%x\t;a", b"%x;\n", b"%x\0", b"-%x", b"%x;a\rb", b""]
TRAILERS = [b"Content-Length: 5\r\n", b"X: y\r\n", b"X: y\n", b" folded\r\n", b"X : y\r\n", b"X\r\n", b"GET / HTTP/1.1\r\n"]


def mostly(rng, good, odd):
    return good if rng.random() < 0.85 else rng.choice(odd)


def end(rng):
    return mostly(rng, b"\r\n", [b"\r\n"] * 4 + [b"\n", b"\r", b"\r\r\n"])


def of_chunks(rng, data):
    size = mostly(rng, b"%x", SIZES)
    size %= (len(data) + mostly(rng, 0, [-1, 1, 2]),) * size.count(b"%")
    return (size + end(rng) + data + end(rng) + mostly(rng, b"0", [b"00", b"0;a", b"0 ", b"-0"]) + end(rng) + mostly(rng, b"", TRAILERS) +
            end(rng) + mostly(rng, b"", [HIDDEN]))


def random_framing(number):
    rng = random.Random(number)
    chunked = rng.random() < 0.5
    body = rng.choice([HIDDEN, b"0\r\n\r\n" + HIDDEN, b"x"])
    if chunked:
        body = mostly(rng, of_chunks(rng, rng.choice([b"x", HIDDEN])), [body])
    length = len(body) + mostly(rng, 0, [-1, 1, -len(body), 4 - len(body)])
    fields = []
    for _ in range(mostly(rng, int(not chunked), [0, 1, 2])):
        value = mostly(rng, b"%d", LENGTHS)
        fields.append(mostly(rng, b"%s:", NAMES) % b"Content-Length" + value % ((length,) * value.count(b"%")))
    for _ in range(mostly(rng, int(chunked), [0, 1, 2])):
        fields.append(mostly(rng, b"%s:", NAMES) % b"Transfer-Encoding" + mostly(rng, b"chunked", CODINGS))
    fields += rng.sample(EXTRAS, rng.choice([0, 0, 0, 1, 2]))
    rng.shuffle(fields)
    head = b"".join(line + end(rng) for line in [mostly(rng, b"POST /livez HTTP/1.1", LINES), b"Host: a", *fields])
    return head + b"\r\n" + body


RANDOM = {f"random {number}": random_framing(number) for number in range(COUNT)}


def read_by_h11(data):
    """The number of requests that are whole, and whether the rest is refused."""
    peer, count = h11.Connection(h11.SERVER), 0
    peer.receive_data(data)
    try:
        while True:
            event = peer.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED):
                return count, False
            if isinstance(event, h11.EndOfMessage):
                count += 1
                if peer.their_state is not h11.DONE:
                    return count, False
                peer.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                peer.send(h11.EndOfMessage())
                if peer.our_state is not h11.DONE:
                    return count, False
                peer.start_next_cycle()
    except h11.RemoteProtocolError:
        return count, True


def read_by_httptools(data):
    class Counter:
        count = 0

        def on_message_complete(self):
            self.count += 1

    counter = Counter()
    try:
        httptools.HttpRequestParser(counter).feed_data(data)
        return counter.count, False
    except httptools.HttpParserUpgrade:
        return counter.count, False
    except httptools.HttpParserError:
        return counter.count, True


@pytest.fixture(scope="module")
def server(make_server):
    return make_server("--hosts", "*", *PATIENT)


def answers(port, data):
    """The statuses that come until the connection ends, or a request of our own behind it all is answered."""
    statuses = []
    with Connection(port) as connection:
        connection.send(data)
        connection.socket.settimeout(1)
        try:
            while True:
                statuses.append(connection.response(head=data.lstrip().startswith(b"HEAD")).status)
        except (Closed, TimeoutError):
            return statuses


def answers_until_the_end(port, data):
    """The same of a client that ends its side at once."""
    statuses = []
    with Connection(port) as connection:
        connection.send(data)
        try:
            connection.socket.shutdown(socket.SHUT_WR)
            while True:
                statuses.append(connection.response(head=data.startswith(b"HEAD") and not statuses).status)
        except (Closed, OSError):
            return statuses


REFUSED = {400, 408, 411, 413, 414, 431, 501, 505}


@pytest.mark.parametrize("peer", ["h11", "httptools"])
def test_we_take_nothing_that_another_refuses(server, peer):
    read = {"h11": read_by_h11, "httptools": read_by_httptools}[peer]
    lenient = []
    for name, data in CASES.items():
        count, refused = read(data)
        if not refused:
            continue
        taken = [status for status in answers(server.port, data) if status not in REFUSED]
        if len(taken) > count:
            lenient.append((name, count, taken))
    # 9112 2.2: a server SHOULD ignore an empty line before a request; h11 does not
    assert [name for name, *_ in lenient] == (["leading CRLF"] if peer == "h11" else []), lenient


@pytest.mark.parametrize("peer", ["h11", "httptools"])
def test_random_framings_are_read_as_others_do(server, peer):
    """Nobody is answered more requests than the other reader saw."""
    read = {"h11": read_by_h11, "httptools": read_by_httptools}[peer]
    lenient, whole = [], 0
    for name, data in RANDOM.items():
        count, refused = read(data)
        if not refused:
            count = max(count, 1)  # it waits for the rest, and we may answer before that, as the connection ends
        taken = [status for status in answers_until_the_end(server.port, data) if status not in REFUSED]
        whole += len(taken)
        if len(taken) > count:
            lenient.append((name, data, count, taken))
    assert not lenient and whole > COUNT / 20


PROXIES = {
    "haproxy": """
        defaults
            mode http
            timeout connect 5s
            timeout client 20s
            timeout server 20s
        frontend f
            bind 127.0.0.1:{port}
            default_backend b
        backend b
            http-reuse always
            http-request set-header X-Request-Id of-the-proxy-%[req.hdr(X-Mark)]
            server s 127.0.0.1:{upstream}
        """,
    "nginx": """
        daemon off; pid {folder}/pid; error_log /dev/null; worker_processes 1;
        events {{ worker_connections 64; }}
        http {{
            access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            upstream u {{ server 127.0.0.1:{upstream}; keepalive 4; }}
            server {{
                listen 127.0.0.1:{port};
                location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";
                              proxy_set_header X-Request-Id of-the-proxy-$http_x_mark; }}
            }}
        }}
        """,
}


@contextlib.contextmanager
def proxied(proxy, upstream, folder):
    """The port of a proxy before that of a server: it names each request that it passes on, whatever the client said."""
    if shutil.which(proxy) is None:
        pytest.skip(f"needs {proxy}")
    port, file = free_port(), folder / "conf"
    file.write_text(PROXIES[proxy].format(port=port, upstream=upstream, folder=folder).strip() + "\n")
    command = ["haproxy", "-db", "-f", file] if proxy == "haproxy" else ["nginx", "-c", file, "-e", "/dev/null"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def marked(port, word):
    try:
        with Connection(port) as connection:
            connection.send(request(path="/livez", headers=[("X-Mark", word)]))
            response = connection.response()
            return response.status == 200 and response.get("X-Request-Id") == f"of-the-proxy-{word}"
    except (OSError, Closed):
        return False


@pytest.mark.parametrize("proxy", PROXIES)
def test_what_a_proxy_passes_on_is_read_as_it_meant_it(make_server, tmp_path, proxy):
    """On connections that the proxy keeps to us: nobody gets another's answer, and nothing is answered that it did not name."""
    server = make_server("--hosts", "*", "--log-rate", 0, "--log-level", "debug", *PATIENT)
    with proxied(proxy, server.port, tmp_path) as port:
        until(lambda: marked(port, "up"))
        for i, (name, data) in enumerate([*CASES.items(), *list(RANDOM.items())[:COUNT // 2]]):
            with Connection(port) as connection:
                connection.send(data)
                connection.socket.settimeout(0.05)
                try:
                    connection.socket.recv(65536)
                except (TimeoutError, ConnectionResetError):
                    pass
            assert marked(port, f"mark-{i}"), (name, data)
    ids = [json.loads(line).get("request_id") for line in list(server.lines) if line.startswith("{")]
    assert ids.count("hidden") == 0 and len([one for one in ids if one and one.startswith("of-the-proxy")]) > len(CASES)
