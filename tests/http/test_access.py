"""Who may ask: keys and scopes, rates, other origins, TLS, and the sockets that are listened on."""
import hashlib
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import BINARY, CLASSIFY, ENVIRONMENT, PATIENCE, PATIENT, ROOT, until
from wire import Closed, Connection, request


def write_keys(path, **keys):
    """name="scopes": the key of a name is KEY-name."""
    lines = [f"{name} {scopes} {hashlib.sha256(b'KEY-' + name.encode()).hexdigest()}" for name, scopes in keys.items()]
    path.write_text("# name scopes sha256\n\n" + "\n".join(lines) + "\n")


def bearer(name):
    return [("Authorization", f"Bearer KEY-{name}")]


@pytest.fixture(scope="module")
def keyed(make_server, tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys"
    write_keys(path, alice="infer", bob="estimates", root="admin", eve="infer,estimates")
    server = make_server("--keys", path)
    server.keys = path
    return server


def test_without_keys_admin_is_closed(server):
    response = server.ask("POST", "/v1/models/reload", b"")
    assert response.status == 403 and response.code == "forbidden"


@pytest.mark.parametrize("headers", [
    [], [("Authorization", "Bearer nope")], [("Authorization", "Bearer ")], [("Authorization", "Basic S0VZLWFsaWNl")],
    [("X-Api-Key", "nope")], [("X-Api-Key", "")], [("Authorization", "KEY-alice")], [("Authorization", "Bearer KEY-alice x")],
    [("Authorization", "Bearer " + hashlib.sha256(b"KEY-alice").hexdigest())],
])
def test_unknown_keys(keyed, png, headers):
    response = keyed.ask("POST", CLASSIFY, png, headers)
    assert (response.status, response.code) == (401, "unauthorized") and response.get("WWW-Authenticate").startswith("Bearer")
    assert "KEY-alice" not in response.text


def test_scopes(keyed, png):
    def status(name, method, path, body=None):
        return keyed.ask(method, path, body, bearer(name)).status

    assert status("alice", "POST", CLASSIFY, png) == 200
    assert status("bob", "POST", CLASSIFY, png) == 403
    assert status("eve", "POST", CLASSIFY, png) == 200
    assert status("root", "POST", CLASSIFY, png) == 200
    assert status("alice", "GET", "/v1/models") == 200
    assert status("alice", "GET", "/v1/estimates") == 403
    assert status("bob", "GET", "/v1/estimates") != 403
    assert status("alice", "POST", "/v1/models/reload", b"") == 403
    assert status("root", "POST", "/v1/models/reload", b"") == 200
    assert keyed.ask("POST", CLASSIFY, png, [("X-Api-Key", "KEY-alice")]).status == 200
    assert keyed.ask("POST", CLASSIFY, png, [("Authorization", "bearer KEY-alice")]).status == 200


def test_open_routes_need_no_key(keyed):
    for path in ["/livez", "/readyz", "/openapi.json", "/"]:
        assert keyed.ask(path=path).status == 200


def test_metrics_need_a_key_where_there_are_keys(keyed, server):
    assert keyed.ask(path="/metrics").status == 401
    for name in ["alice", "bob", "root"]:
        assert "infomask_requests_total" in keyed.ask(path="/metrics", headers=bearer(name)).text
    assert server.ask(path="/metrics").status == 200


def test_key_names_are_logged_and_keys_are_not(keyed, png):
    keyed.ask("POST", CLASSIFY, png, [*bearer("alice"), ("X-Request-Id", "who-was-it")])
    assert json.loads(keyed.logged("who-was-it"))["key"] == "alice"
    assert not any("KEY-" in line for line in list(keyed.lines))


def test_keys_are_read_again(make_server, png, tmp_path):
    path = tmp_path / "keys"
    write_keys(path, alice="infer")
    server = make_server("--keys", path)
    write_keys(path, carol="infer")

    def hang_up(word):
        server.lines.clear()
        server.signal(signal.SIGHUP)
        server.logged(word)

    assert server.ask("POST", CLASSIFY, png, bearer("alice")).status == 200
    hang_up("keys read again")
    assert server.ask("POST", CLASSIFY, png, bearer("alice")).status == 401
    assert server.ask("POST", CLASSIFY, png, bearer("carol")).status == 200
    path.write_text("broken\n")
    hang_up("not read again")
    assert server.ask("POST", CLASSIFY, png, bearer("carol")).status == 200


@pytest.mark.parametrize("text,named", [("x", "line 1"), ("\na infer 1234", "line 2"), ("a cook " + "0" * 64, "scope"),
                                        ("a infer " + "0" * 64 + " more", "line 1"), ("a infer " + "A" * 64, "lower-case")])
def test_bad_files_of_keys(tmp_path, text, named):
    path = tmp_path / "keys"
    path.write_text(text)
    done = subprocess.run([BINARY, "serve", "--port", "0", "--keys", path], capture_output=True, cwd=ROOT, env=ENVIRONMENT,
                          timeout=PATIENCE)
    assert done.returncode == 1 and named in done.stderr.decode()


def test_rates(make_server, png):
    server = make_server("--rate", 0.1, "--rate-burst", 3)  # a token every 10 s
    statuses = [server.ask("GET", "/v1/models").status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    response = server.ask("POST", CLASSIFY, png)
    assert response.code == "rate_limited" and int(response.get("Retry-After")) >= 1 and "0.1" in response.json["detail"]
    assert server.ask(path="/livez").status == 200
    assert until(lambda: server.ask("POST", CLASSIFY, png).status == 200)


def test_guessed_keys_count(make_server, tmp_path):
    write_keys(tmp_path / "keys", alice="infer")
    server = make_server("--keys", tmp_path / "keys", "--rate", 0.01, "--rate-burst", 3)
    statuses = [server.ask(path="/v1/models", headers=[("X-Api-Key", f"guess-{i}")]).status for i in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert server.ask(path="/v1/models", headers=bearer("alice")).status == 200


# ---- whose page asks, and by what name ---------------------------------------------------------------------------------


def named(server, host, method="GET", path="/livez", headers=(), body=b""):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return server.raw(("\r\n".join(lines) + "\r\n\r\n").encode() + body)


def test_names_on_loopback_without_keys(server, png):
    """A page that lets its own name point at 127.0.0.1 gets nothing (DNS rebinding)."""
    for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", f"127.0.0.1:{server.port}", "127.9.9.9:1", "[::1]:80", "a.localhost", "localhost."]:
        assert named(server, host).status == 200, host
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "xlocalhost",
                 "0x7f000001", "127.1"]:
        for method, path in [("GET", "/livez"), ("GET", "/"), ("GET", "/metrics"), ("POST", CLASSIFY), ("DELETE", "/v1/estimates/x")]:
            response = named(server, host, method, path, body=png if path == CLASSIFY else b"")
            assert (response.status, response.code) == (421, "wrong_host"), (host, path)
    assert server.raw(b"GET /livez HTTP/1.0\r\n\r\n").status == 200


def test_limits_are_judged_before_the_name(server):
    assert named(server, "evil.example", path="/nope").status == 404
    assert named(server, "evil.example", "POST", CLASSIFY, [("Content-Encoding", "gzip")]).status == 415
    assert server.raw(b"POST /v1/classify HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 99999999999\r\n\r\n").status == 413
    assert named(server, "evil.example", path="/livez?" + "a&" * 300).status == 400


def test_names_that_are_served(make_server, keyed):
    server = make_server("--hosts", "Info.example, photos.example:8443")
    for host, status in [("info.example", 200), ("info.example:444", 200), ("PHOTOS.example", 200), ("localhost", 200), ("evil.example", 421)]:
        assert named(server, host).status == status, host
    assert named(keyed, "evil.example").status == 200  # without its key the page gets nothing
    assert named(make_server("--hosts", "*"), "evil.example").status == 200


def test_pages_of_other_sites(make_server, png):
    server = make_server("--cors-origins", "https://friend.example", "--hosts", "mask.example")

    def ask(*headers, method="POST", path=CLASSIFY, host="mask.example"):
        return named(server, host, method, path, headers, png if method == "POST" else b"").status

    cross, same = ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-origin")
    assert ask() == ask(same) == ask(("Sec-Fetch-Site", "none")) == ask(("Sec-Fetch-Site", "same-site")) == 200
    assert ask(cross) == ask(cross, ("Origin", "https://evil.example")) == 403
    assert ask(cross, ("Origin", "https://friend.example")) == 200
    assert ask(same, ("Origin", "https://proxy.example")) == 200  # a proxy made another Host of it
    for origin, status in [("https://mask.example", 200), ("http://mask.example:8080", 200), ("http://localhost:1", 403), ("null", 403),
                           ("https://evil.example", 403), ("https://mask.example.evil.example", 403), ("", 403)]:
        assert ask(("Origin", origin)) == status, origin
    assert ask(("Origin", "https://mask.example"), host="localhost:8080") == 200  # named in hosts
    assert ask(cross, method="GET", path="/v1/models") == 200  # nothing is changed, and nothing shown to the page
    response = named(server, "localhost", "POST", "/v1/estimates", [cross, ("Content-Type", "text/plain")], b"{}")
    assert (response.status, response.code) == (403, "cross_site")
    assert named(server, "localhost", "DELETE", "/v1/estimates/x", [cross]).status == 403


def test_other_origins(make_server, png):
    server = make_server("--cors-origins", "https://a.example, https://b.example")
    preflight = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST"),
                 ("Access-Control-Request-Headers", "content-type")]
    response = server.ask("OPTIONS", CLASSIFY, headers=preflight)
    assert response.status == 204 and response.get("Access-Control-Allow-Origin") == "https://a.example"
    assert "POST" in response.get("Access-Control-Allow-Methods") and response.get("Vary") == "Origin"
    response = server.ask("POST", CLASSIFY, png, [("Origin", "https://b.example")])
    assert response.get("Access-Control-Allow-Origin") == "https://b.example"
    assert "Infomask-Pmi" in response.get("Access-Control-Expose-Headers")
    for origin in ["https://c.example", "https://a.example.evil", "null", "https://a.exampl", "http://a.example"]:
        response = server.ask("POST", CLASSIFY, png, [("Origin", origin)])
        assert response.status == 403 and response.get("Access-Control-Allow-Origin") is None
    assert server.ask("POST", CLASSIFY, b"x", [("Origin", "https://a.example")]).get("Access-Control-Allow-Origin")


def test_no_other_origins_by_default(server, png):
    response = server.ask("POST", CLASSIFY, png, [("Origin", "https://a.example")])
    assert response.status == 403 and response.get("Access-Control-Allow-Origin") is None


def test_page_is_confined(server):
    response = server.ask(path="/")
    assert "default-src 'none'" in response.get("Content-Security-Policy")
    assert response.get("X-Content-Type-Options") == "nosniff"


# ---- sockets -------------------------------------------------------------------------------------------------------------


def certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)


class Tls(Connection):
    def __init__(self, port, timeout=PATIENCE):
        super().__init__(port, timeout)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def name(self):
        der = self.socket.getpeercert(binary_form=True)
        return re.search(rb"[ab]\.example", der).group().decode()


def test_tls(make_server, png, tmp_path):
    certificate(tmp_path, "a.example")
    server = make_server("--tls-certificate", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    assert server.url.startswith("https://")
    with Tls(server.port) as connection:
        connection.send(request("POST", CLASSIFY, png))
        assert connection.response().status == 200 and connection.name() == "a.example"
        certificate(tmp_path, "b.example")
        server.signal(signal.SIGHUP)
        server.logged("certificate read again")
    with Tls(server.port) as connection:
        connection.send(request("POST", CLASSIFY, png))
        assert connection.response().status == 200 and connection.name() == "b.example"
    assert server.stop() == 0


def test_a_new_certificate_costs_no_request(make_server, tmp_path):
    """Who connected before is answered, and told to come anew; nobody is left without an answer."""
    certificate(tmp_path, "a.example")
    server = make_server("--tls-certificate", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem", *PATIENT)
    early, waiting, lost, asked, enough = Tls(server.port), Tls(server.port), [], [], threading.Event()

    def ask():
        while not enough.is_set():
            try:
                with Tls(server.port) as connection:
                    connection.send(request())
                    asked.append(connection.response().status)
            except (Closed, OSError) as error:
                lost.append(error)

    early.send(request())
    assert not early.response().closes
    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    for times in range(1, 6):
        seen = len(asked)
        server.signal(signal.SIGHUP)
        until(lambda: sum("certificate read again" in line for line in list(server.lines)) == times and len(asked) > seen + 8)
        for connection in (early, waiting) if times == 1 else ():
            connection.send(request())
            response = connection.response()
            assert response.status == 200 and response.closes
            connection.socket.close()
    enough.set()
    for client in clients:
        client.join()
    assert lost == [] and set(asked) == {200}


def test_a_certificate_that_follows_soon_is_read(make_server, tmp_path):
    """While clients of the one before are still there; they have header_timeout to ask or go."""
    certificate(tmp_path, "a.example")
    server = make_server("--tls-certificate", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem", "--header-timeout", 2)
    with Tls(server.port) as held:
        certificate(tmp_path, "b.example")
        server.signal(signal.SIGHUP)
        server.logged("certificate read again")
        certificate(tmp_path, "a.example")
        server.signal(signal.SIGHUP)
        assert until(lambda: name_of_the_next(server) == "a.example")
        assert held.closed()


def name_of_the_next(server):
    with Tls(server.port) as connection:
        return connection.name()


def test_versions_and_ciphers_of_tls(make_server, tmp_path):
    """What a probe of a server's TLS asks, with openssl's client: which versions and ciphers it can be made to speak."""
    certificate(tmp_path, "a.example")
    pair = ("--tls-certificate", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    server, narrow = make_server(*pair), make_server(*pair, "--tls-ciphers", "NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305:+VERS-TLS1.0")

    def speaks(server, *options):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *options]
        done = subprocess.run(command, input=b"", capture_output=True, timeout=PATIENCE)
        return done.returncode == 0 and b"Cipher is (NONE)" not in done.stdout

    def accepts(server, *options):
        return speaks(server, "-cipher", "ALL:@SECLEVEL=0", *options)

    assert accepts(server, "-tls1_2") and accepts(server, "-tls1_3")
    for server_ in (server, narrow):
        assert not accepts(server_, "-tls1") and not accepts(server_, "-tls1_1")
    for cipher in ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "NULL", "aNULL", "3DES"]:
        assert not speaks(server, "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0"), cipher
    assert speaks(server, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert not speaks(narrow, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert speaks(narrow, "-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305")
    with Tls(server.port) as connection:
        connection.send(b"GET /livez HTTP/1.1\nHost: localhost\n\n")
        assert connection.response().status == 400 and connection.closed()  # what TLS carries is looked at too


def test_tls_needs_a_pair(tmp_path):
    certificate(tmp_path, "a.example")
    for arguments in (["--tls-certificate", "/nope", "--tls-key", tmp_path / "key.pem"],
                      ["--tls-certificate", tmp_path / "cert.pem"], ["--tls-key", tmp_path / "key.pem"],
                      ["--tls-certificate", tmp_path / "key.pem", "--tls-key", tmp_path / "cert.pem"],
                      ["--tls-certificate", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem", "--tls-ciphers", "NOSUCH"]):
        done = subprocess.run([BINARY, "serve", "--port", "0", *arguments], capture_output=True, cwd=ROOT, env=ENVIRONMENT,
                              timeout=PATIENCE)
        assert done.returncode == 1 and done.stderr


def test_several_sockets(make_server, png, tmp_path):
    path = tmp_path / "infomask.sock"
    server = make_server("--listen", f"127.0.0.1,127.0.0.2:0,[::1]:0,unix:{path}")
    found = until(lambda: len(lines := [line for line in list(server.lines) if "listening on" in line]) == 4 and lines)
    assert any("unix:" in line for line in found) and any("[::1]" in line for line in found)
    port = int(re.search(r"\[::1\]:(\d+)", "\n".join(found)).group(1))
    with Connection(port, host="::1") as connection:
        connection.send(request("POST", CLASSIFY, png))
        assert connection.response().status == 200
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(path))
        raw.settimeout(PATIENCE)
        raw.sendall(request("POST", CLASSIFY, png, [("Connection", "close")]))
        data = b""
        while piece := raw.recv(65536):
            data += piece
        assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.stop() == 0 and not path.exists()


def test_local_socket_in_use(make_server, tmp_path):
    """One that answers is not taken over; one that a killed process left behind is."""
    path = tmp_path / "infomask.sock"
    server = make_server("--listen", f"127.0.0.1 unix:{path}")
    done = subprocess.run([BINARY, "serve", "--listen", f"unix:{path}"], capture_output=True, cwd=ROOT, env=ENVIRONMENT,
                          timeout=PATIENCE)
    assert done.returncode == 1 and "in use" in done.stderr.decode() and path.exists()
    server.process.kill()
    server.process.wait()
    make_server("--listen", f"127.0.0.1 unix:{path}")
    assert path.exists()


@pytest.mark.parametrize("listen", ["", "nonsense.invalid", "127.0.0.1:99999", "[::1", "127.0.0.1:", "127.0.0.1:x", "unix:"])
def test_bad_addresses(listen):
    done = subprocess.run([BINARY, "serve", "--port", "0", "--listen", listen], capture_output=True, cwd=ROOT, env=ENVIRONMENT,
                          timeout=PATIENCE)
    assert done.returncode in (1, 2) and done.stderr
