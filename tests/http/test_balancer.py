"""Two replicas behind the balancer that is shipped: they behave as one towards whoever made an estimate or a job."""
import json
import shutil
import subprocess
import time

import pytest

from conftest import PATIENT, ROOT, free_port, until
from wire import Connection, request

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs haproxy")


@pytest.fixture(scope="module")
def replicas(make_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    return [make_server("--state-dir", folder / str(i), "--proxies", "127.0.0.1", "--log-rate", 0, *PATIENT) for i in range(2)]


@pytest.fixture(scope="module")
def balancer(replicas, tmp_path_factory):
    """A function that asks it.  The shipped file, but for names that only a network of containers has."""
    port = free_port()
    text = (ROOT / "docker" / "haproxy.cfg").read_text()
    text = text.replace("bind :8080", f"bind 127.0.0.1:{port}")
    text = text[:text.index("resolvers compose")] + text[text.index("frontend web"):]
    text = text.replace(" resolvers compose", "").replace(
        "server-template replica 8 infomask:8080",
        "\n    ".join(f"server replica{i} 127.0.0.1:{server.port}" for i, server in enumerate(replicas)))
    file = tmp_path_factory.mktemp("haproxy") / "haproxy.cfg"
    file.write_text(text)
    process = subprocess.Popen(["haproxy", "-db", "-f", file], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def ask(method, path, body=None, headers=(), source=""):
        with Connection(port, source=source) as connection:
            connection.send(request(method, path, body, headers))
            return connection.response()

    def both_are_up():
        try:
            return ask("GET", "/livez").status == 200
        except OSError:
            return False

    try:
        until(both_are_up)
        time.sleep(3)  # until both have passed their checks
        yield ask
    finally:
        process.terminate()
        process.wait()


def test_estimates_stay_where_they_were_made(balancer, png):
    made = [json.loads(balancer("POST", "/v1/estimates", b"{}").text)["id"] for _ in range(6)]
    for estimate in made:
        assert balancer("POST", f"/v1/estimates/{estimate}/samples?label=1", png).status == 201
        for _ in range(4):
            response = balancer("GET", f"/v1/estimates/{estimate}")
            assert response.status == 200 and json.loads(response.text)["samples"] == 1
    assert balancer("DELETE", f"/v1/estimates/{made[0]}").status == 204


def test_jobs_stay_where_they_were_made(balancer, png):
    made = [json.loads(balancer("POST", "/v1/filter", png, [("Prefer", "respond-async")]).text)["id"] for _ in range(6)]
    for job in made:
        for _ in range(4):
            assert balancer("GET", f"/v1/jobs/{job}").status == 200
        until(lambda: balancer("GET", f"/v1/jobs/{job}/result").status == 200)


def test_both_are_used(balancer, replicas, png):
    for _ in range(8):
        assert balancer("POST", "/v1/classify", png).status == 200
    assert all(server.metric_reaches("infomask_images_total", 1) for server in replicas)


def test_it_says_who_asks(balancer, replicas):
    balancer("GET", "/v1/models", headers=[("X-Request-Id", "visitor"), ("X-Forwarded-For", "203.0.113.9")], source="127.0.0.7")
    line = until(lambda: next((line for server in replicas for line in list(server.lines) if '"visitor"' in line), None))
    assert json.loads(line)["client"] == "127.0.0.7"
