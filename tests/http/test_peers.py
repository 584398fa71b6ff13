"""The cases of test_conformance.py beside two other readers of HTTP/1.1, h11 and httptools (llhttp): what either refuses we do
not answer as if it were good.  And through HAProxy and nginx: what comes out of them is read as they meant it."""
import shutil
import subprocess

import h11
import httptools
import pytest

import test_conformance
from conftest import PATIENT, free_port, until
from wire import Closed, Connection, request

CASES = {case.id: case.values[0] for case in test_conformance.CASES}


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
                location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; }}
            }}
        }}
        """,
}


@pytest.mark.parametrize("proxy", PROXIES)
def test_what_a_proxy_passes_on_is_read_as_it_meant_it(make_server, tmp_path, proxy):
    """On connections that the proxy keeps to us: nobody gets another's answer, and nothing is answered that was not asked."""
    if shutil.which(proxy) is None:
        pytest.skip(f"needs {proxy}")
    server, port = make_server("--hosts", "*", *PATIENT), free_port()
    file = tmp_path / "conf"
    file.write_text(PROXIES[proxy].format(port=port, upstream=server.port, folder=tmp_path).strip() + "\n")
    command = ["haproxy", "-db", "-f", file] if proxy == "haproxy" else ["nginx", "-c", file, "-e", "/dev/null"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def marked(word):
        with Connection(port) as connection:
            connection.send(request(path="/livez", headers=[("X-Request-Id", word)]))
            return connection.response()

    def is_up():
        try:
            return marked("up").status == 200
        except (OSError, Closed):
            return False

    try:
        until(is_up)
        for i, data in enumerate(CASES.values()):
            with Connection(port) as connection:
                connection.send(data)
                connection.socket.settimeout(0.05)
                try:
                    connection.socket.recv(65536)
                except (TimeoutError, ConnectionResetError):
                    pass
            response = marked(f"mark-{i}")
            assert response.status == 200 and response.get("X-Request-Id") == f"mark-{i}", list(CASES)[i]
    finally:
        process.terminate()
        process.wait()
