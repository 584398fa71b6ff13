"""Behind somebody else's proxy: whom `proxies` believes, and the proxies of docs/tutorials/deploy.md with the lines it has."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest
from PIL import Image

from conftest import BINARY, CLASSIFY, ENVIRONMENT, PATIENCE, PATIENT, ROOT, encode, free_port, until
from test_tutorials import TUTORIALS
from wire import Response, request

FILTER = "/v1/filter"
ASYNC = ("Prefer", "respond-async")


def forwarded(*addresses):
    return [("X-Forwarded-For", address) for address in addresses]


# ---- Whom it believes ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def believing(make_server):
    return make_server("--proxies", "127.0.0.1, 10.0.0.0/8", "--rate", 0.001, "--rate-burst", 2, "--log-rate", 0, *PATIENT)


def statuses(server, count, *addresses):
    return [server.ask(path="/v1/models", headers=forwarded(*addresses)).status for _ in range(count)]


def test_each_client_behind_a_proxy_has_its_own_rate(believing):
    assert statuses(believing, 3, "203.0.113.1") == [200, 200, 429]
    assert statuses(believing, 3, "203.0.113.2") == [200, 200, 429]
    assert statuses(believing, 2, "2001:db8:0:1::7") == [200, 200]
    assert statuses(believing, 1, "2001:db8:0:1::8") == [429]  # of the same /64
    assert statuses(believing, 1, "[2001:db8:0:2::8]:4711") == [200]


def test_what_a_client_says_itself_does_not_count(believing):
    assert statuses(believing, 2, "198.51.100.1, 203.0.113.3", "10.1.2.3") == [200, 200]
    assert statuses(believing, 1, "198.51.100.2, 203.0.113.3", "10.1.2.4") == [429]
    assert statuses(believing, 1, "198.51.100.2", "203.0.113.3:80") == [429]


def test_who_is_named_is_logged(believing):
    believing.ask(path="/v1/models", headers=[("X-Request-Id", "whose"), *forwarded("192.0.2.77")])
    assert json.loads(believing.logged('"whose"'))["client"] == "192.0.2.77"
    believing.ask(path="/v1/models", headers=[("X-Request-Id", "nobodys"), *forwarded("192.0.2.77, unknown")])
    assert json.loads(believing.logged('"nobodys"'))["client"] == "127.0.0.1"


def test_others_are_not_believed(make_server):
    server = make_server("--proxies", "10.0.0.0/8", "--rate", 0.001, "--rate-burst", 2)
    assert statuses(server, 2, "203.0.113.1") + statuses(server, 1, "203.0.113.2") == [200, 200, 429]


def test_a_proxy_has_no_limit_of_connections_and_closes_first(make_server):
    """An idle connection outlives header_timeout; a request that has begun does not, be it with a byte of its line."""
    server = make_server("--proxies", "127.0.0.1", "--max-connections-per-address", 2, "--header-timeout", 1)
    kept = [server.connect() for _ in range(8)]
    begun, used = kept[:5], kept[2:]
    for connection in used:
        connection.send(request())
        assert connection.response().status == 200
    time.sleep(2.5)  # longer than anybody else may be idle
    begun[0].send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
    begun[1].send(b"G")
    begun[2].send(b"GET /livez HT")
    begun[3].send(request() + b"GET /li")
    begun[4].send(b"\r\n" + request() + b"\r\nPOST ")
    assert [connection.response().status for connection in begun[3:]] == [200, 200]
    for connection in kept[5:]:
        connection.send(request())
        assert connection.response().status == 200
    assert [connection.response().status for connection in begun] == 5 * [408]
    assert server.metric('infomask_connections_cut_total{reason="slow_headers"}') == 5
    for connection in kept:
        connection.socket.close()


@pytest.fixture(scope="module")
def behind(make_server):
    return make_server("--proxies", "127.0.0.1", "--hosts", "*", "--log-rate", 0, *PATIENT)


@pytest.mark.parametrize("given, prefix", [
    ("/im", "/im"), ("/im/", "/im"), ("/a/b-c", "/a/b-c"), ("im", ""), ("//evil.example", ""), ("/im//x", ""), ("/", ""),
    ("https://evil.example", ""), ("/a, /b", ""), ("/a%0d", ""), ("/" + 200 * "x", ""), ("", "")])
def test_paths_are_told_below_the_prefix(behind, png, given, prefix):
    headers = [("X-Forwarded-Prefix", given)]
    job = behind.ask("POST", FILTER, png, [ASYNC, *headers]).get("Location")
    assert re.fullmatch(re.escape(prefix) + "/v1/jobs/[0-9a-f]+", job)
    path = job[len(prefix):]
    assert until(lambda: behind.ask(path=path).json["status"] == "done")
    assert behind.ask(path=path, headers=headers).json["result"]["href"] == job + "/result"
    made = behind.ask("POST", "/v1/estimates", b"{}", headers).get("Location")
    assert re.fullmatch(re.escape(prefix) + "/v1/estimates/[0-9a-f]+", made)


def test_prefixes_of_nobody_in_particular_are_passed_over(server, png):
    assert server.ask("POST", FILTER, png, [ASYNC, ("X-Forwarded-Prefix", "/im")]).get("Location").startswith("/v1/jobs/")


@pytest.mark.parametrize("listed", ["proxy.example", "10.0.0.0/33", "*"])
def test_bad_lists_are_named(listed):
    done = subprocess.run([BINARY, "serve", "--port", "0", "--proxies", f"10.0.0.1, {listed}"], capture_output=True, cwd=ROOT,
                          env=ENVIRONMENT, timeout=PATIENCE, check=False)
    assert done.returncode == 1 and f'"{listed}" is none' in done.stderr.decode()


@pytest.mark.parametrize("path, kept", [
    ("/v1/estimates", False), ("/v1/models/digits/information", False), ("/metrics", False), ("/v2/health/ready", False), ("/readyz", False),
    ("/v2/models/digits/stats", False), ("/v1/jobs/0", False), ("/nothing", False), ("/", True), ("/v1/models", True), ("/openapi.json", True)])
def test_caches_are_told(server, path, kept):
    """A cache that keeps what says nothing would show one key's estimates to another, and yesterday's readiness."""
    for method in ("GET", "HEAD"):
        answer = server.ask(method, path)
        assert answer.get("Cache-Control") == ("no-cache" if kept else "no-store") and (answer.get("ETag") is not None) == kept


# ---- The proxies of the tutorial -----------------------------------------------------------------------------------------------

MODULES = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http")
TEMPORARY = "".join(f"{kind}_temp_path {{folder}}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
AROUND = {  # what stands around the tutorial's lines, and how the program is started
    "nginx": ("daemon off; pid {folder}/pid; error_log stderr; worker_processes 1; events {{ worker_connections 64; }} http {{ access_log off; "
              + TEMPORARY + "server {{ listen 127.0.0.1:{port}; {lines} }} }}\n", "nginx -c {file} -e /dev/null"),
    "Caddy": ("{{\nadmin off\nauto_https off\n}}\n{lines}\n", "caddy run --adapter caddyfile --config {file}"),
    "Apache": ("ServerRoot {folder}\nPidFile {folder}/pid\nServerName localhost\nListen 127.0.0.1:{port}\nErrorLog {folder}/errors\n"
               + "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in MODULES) + "{lines}",
               "apache2 -D FOREGROUND -f {file}"),
    "HAProxy": ("defaults\nmode http\ntimeout connect 9s\ntimeout client 99s\ntimeout server 99s\n"
                "frontend web\nbind 127.0.0.1:{port}\ndefault_backend infomask\n{lines}", "haproxy -db -f {file}"),
    "lighttpd": ('server.modules = ( "mod_proxy" )\nserver.document-root = "{folder}"\nserver.port = {port}\nserver.bind = "127.0.0.1"\n'
                 'server.upload-dirs = ( "{folder}" )\n{lines}', "lighttpd -D -f {file}"),
    "Envoy": ("""static_resources:
  listeners:
    - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: web
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
{lines}
  clusters:
    - name: infomask
      load_assignment:
        cluster_name: infomask
        endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}}}]}}]
""", "envoy -c {file} --disable-hot-restart --log-level off"),
    "Varnish": ("{lines}", "varnishd -F -f {file} -a 127.0.0.1:{port} -s malloc,64m -n {folder}/varnish -T none"),
}


def lines_of(name, upstream, port):
    page = (TUTORIALS / "deploy.md").read_text()
    block = re.search(rf"^## {name}\n.*?^```\n(.*?)^```$", page, re.M | re.S)[1]
    assert "8080" in block
    if name == "Envoy":
        block = block.replace("\n", "\n" + 16 * " ").join((16 * " ", ""))
    return block.replace("8080", str(upstream)).replace("photos.example {", f"http://localhost:{port} {{\nbind 127.0.0.1")


@contextlib.contextmanager
def proxy(name, upstream, folder):
    """The port of that proxy, as the tutorial has it."""
    around, command = AROUND[name]
    paths = os.environ["PATH"] + ":/usr/sbin:/sbin"
    if shutil.which(command.split()[0], path=paths) is None:
        pytest.skip(f"needs {command.split()[0]}")
    folder.chmod(0o777)  # some become another user
    port, file = free_port(), folder / "conf.yaml"  # Envoy goes by the ending
    fields = {"folder": folder, "port": port, "file": file, "upstream": upstream}
    file.write_text(around.format(lines=lines_of(name, upstream, port), **fields))
    process = subprocess.Popen(command.format(**fields).split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
                               env={**os.environ, "PATH": paths, "HOME": str(folder), "XDG_DATA_HOME": str(folder)})
    try:
        until(lambda: passes_on(port))
        yield port
    finally:
        process.terminate()
        process.wait()


def asked(port, method="GET", path="/im/livez", body=None, headers=()):
    """By a client that takes what proxies make of an answer: chunks, and a connection closed over what it still sends."""
    connection = http.client.HTTPConnection("localhost", port, timeout=PATIENCE)
    try:
        connection.connect()
        with contextlib.suppress(ConnectionError):
            connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return Response(answer.version, answer.status, answer.reason, answer.getheaders(), answer.read())
    finally:
        connection.close()


def passes_on(port):
    try:
        return asked(port).status == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize("name", AROUND)
def test_proxies_of_the_tutorial(behind, png, name):
    with tempfile.TemporaryDirectory() as folder, proxy(name, behind.port, pathlib.Path(folder)) as port:
        page = asked(port, path="/im/")
        assert page.status == 200 and b"web/app.js" in page.body
        assert asked(port, "HEAD", "/im/v1/models").status == 200
        assert "POST" in asked(port, "OPTIONS", "/im" + CLASSIFY).get("Allow")
        assert asked(port, "POST", "/im" + CLASSIFY + "?target=tiger%20cat", png).json["target"]["label"] == "tiger cat"
        large = encode(Image.effect_noise((1500, 1000), 60).convert("RGB"), compress_level=0)  # 4.5 MB
        assert asked(port, "POST", "/im" + CLASSIFY, large).json["image"]["width"] == 1500
        follows_a_job(port, png)
        says_what_the_service_says(port, png)
        tag = asked(port, path="/im/openapi.json").get("ETag")
        assert asked(port, path="/im/openapi.json", headers=[("If-None-Match", tag)]).status == 304
        asked(port, path="/im/v1/models", headers=[("X-Request-Id", f"by-{name}"), *forwarded("203.0.113.5")])
        # whoever asks from here is believed as a proxy would be; Caddy, which was not told so, drops what its client says, and
        # Envoy puts the machine's address in the place of a loopback one
        client = json.loads(behind.logged(f'"by-{name}"'))["client"]
        assert client != "203.0.113.5" if name == "Envoy" else client == ("127.0.0.1" if name == "Caddy" else "203.0.113.5")


def follows_a_job(port, png):
    accepted = asked(port, "POST", "/im" + FILTER, png, [ASYNC])
    where = accepted.get("Location")
    assert accepted.status == 202 and re.search(r"^(http://[^/]+)?/im/v1/jobs/", where)
    path = re.sub(r"^http://[^/]+", "", where)
    assert until(lambda: asked(port, path=path).json["status"] == "done")
    result = asked(port, path=path).json["result"]["href"]
    assert asked(port, path=result if result.startswith("/im/") else path + "/result").body[:4] == b"\x89PNG"
    assert asked(port, "DELETE", path).status == 204 and asked(port, path=path).code == "no_such_job"


def says_what_the_service_says(port, png):
    large = asked(port, "POST", "/im" + CLASSIFY, bytes(34 << 20), [("Expect", "100-continue")])
    assert large.status == 413 and large.code == "body_too_large"
    late = asked(port, "POST", "/im" + FILTER, png, [("X-Request-Timeout", "0.001")])
    assert late.status == 504 and late.code == "deadline_exceeded"
    pages = [("Sec-Fetch-Site", "same-origin"), ("Origin", f"http://localhost:{port}")]
    assert asked(port, "POST", "/im" + CLASSIFY, png, pages).status == 200
    assert asked(port, "POST", "/im" + CLASSIFY, png, [("Sec-Fetch-Site", "cross-site")]).code == "cross_site"
