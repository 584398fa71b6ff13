"""Clients that others wrote, unchanged: Triton's and KServe's for Python, schemathesis over /openapi.json, promtool.

Run by `make clients` in a venv of its own.
"""
import asyncio
import os
import subprocess
import sys

import numpy as np
import pytest

from conftest import CLASSIFY, PATIENCE, ROOT

MODEL = "efficientnet-lite0"
PHOTO = (ROOT / "tests/data/photos/coffee.png").read_bytes()
LOGITS = np.fromfile(ROOT / "tests/data/golden/coffee.logits.f32", np.float32)
TENSOR = np.fromfile(ROOT / "tests/data/golden/coffee.input.f32", np.float32).reshape(1, 3, 224, 224)
BIN = os.path.dirname(sys.executable)


# ---- Triton ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def triton(server):
    http = pytest.importorskip("tritonclient.http")
    client = http.InferenceServerClient(f"127.0.0.1:{server.port}", connection_timeout=PATIENCE, network_timeout=PATIENCE)
    yield client
    client.close()


def test_triton_health_and_metadata(triton):
    assert triton.is_server_live() and triton.is_server_ready() and triton.is_model_ready(MODEL)
    assert triton.is_model_ready(MODEL, "1") and not triton.is_model_ready("none")
    assert triton.get_server_metadata()["name"] == "infomask"
    metadata = triton.get_model_metadata(MODEL)
    assert metadata["inputs"][0]["name"] == "input" and metadata["outputs"]


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_triton_infers(triton, sent, asked):
    import tritonclient.http as http

    x = http.InferInput("input", list(TENSOR.shape), "FP32")
    x.set_data_from_numpy(TENSOR, binary_data=sent)
    outputs = [http.InferRequestedOutput(name, binary_data=asked) for name in ("logits", "probabilities", "pmi")]
    result = triton.infer(MODEL, [x], outputs=outputs, request_id="a-1", timeout=60000000)
    assert result.get_response()["id"] == "a-1"
    assert np.abs(result.as_numpy("logits")[0] - LOGITS).max() < 1e-4
    assert abs(result.as_numpy("probabilities").sum() - 1) < 1e-5


def test_triton_sends_a_photo(triton):
    import tritonclient.http as http

    x = http.InferInput("image", [1], "BYTES")
    x.set_data_from_numpy(np.array([PHOTO], dtype=np.object_))
    result = triton.infer(MODEL, [x], outputs=[http.InferRequestedOutput("probabilities", class_count=3)])
    rows = [row.decode() for row in result.as_numpy("probabilities").ravel()]
    assert len(rows) == 3 and rows[0].split(":")[1] == "967" and "espresso" in rows[0]


def test_triton_in_parallel(triton, server):
    import tritonclient.http as http

    with http.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4, connection_timeout=PATIENCE,
                                    network_timeout=PATIENCE) as client:
        x = http.InferInput("input", list(TENSOR.shape), "FP32")
        x.set_data_from_numpy(TENSOR)
        for waiting in [client.async_infer(MODEL, [x]) for _ in range(12)]:
            assert np.abs(waiting.get_result().as_numpy("logits")[0] - LOGITS).max() < 1e-4


def test_triton_statistics_and_errors(triton):
    import tritonclient.http as http
    from tritonclient.utils import InferenceServerException

    found = triton.get_inference_statistics(MODEL)["model_stats"][0]
    assert found["name"] == MODEL and found["inference_stats"]["success"]["count"] > 0
    x = http.InferInput("input", [1, 3, 8, 8], "FP32")
    x.set_data_from_numpy(np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(InferenceServerException, match="224"):
        triton.infer(MODEL, [x])
    with pytest.raises(InferenceServerException, match="none"):
        triton.get_model_metadata("none")
    with pytest.raises(InferenceServerException, match="admin"):
        triton.get_model_repository_index()


# ---- KServe ----------------------------------------------------------------------------------------------------------


def test_kserve_infers(server):
    kserve = pytest.importorskip("kserve")

    async def ask():
        config = kserve.RESTConfig(protocol="v2", timeout=PATIENCE, retries=0)
        client = kserve.InferenceRESTClient(config)
        base = f"http://127.0.0.1:{server.port}"
        assert await client.is_server_live(base) and await client.is_server_ready(base)
        assert await client.is_model_ready(base, MODEL)
        for binary in (False, True):
            x = kserve.InferInput("input", list(TENSOR.shape), "FP32")
            x.set_data_from_numpy(TENSOR, binary_data=binary)
            wanted = [kserve.protocol.infer_type.RequestedOutput("logits", {"binary_data": binary})]
            request = kserve.InferRequest(MODEL, [x], request_id="a-1", request_outputs=wanted)
            reply = await client.infer(base, request, model_name=MODEL)
            assert reply.model_name == MODEL and reply.id == "a-1"
            found = reply.outputs[0].as_numpy()
            assert np.abs(found.ravel() - LOGITS).max() < 1e-4
        await client.close()

    asyncio.run(ask())


# ---- Prometheus ------------------------------------------------------------------------------------------------------


def test_promtool_has_no_complaint(server):
    promtool = ROOT / "build/prometheus/usr/bin/promtool"
    if not promtool.exists():
        pytest.skip("promtool is not here")
    assert server.ask("POST", CLASSIFY, PHOTO).status == 200
    done = subprocess.run([promtool, "check", "metrics"], input=server.ask(path="/metrics").body, capture_output=True)
    assert done.returncode == 0 and not done.stdout + done.stderr, (done.stdout + done.stderr).decode()


# ---- Schemathesis ----------------------------------------------------------------------------------------------------


def test_schemathesis_finds_nothing(make_server, tmp_path):
    """Requests made from the description, sound and broken: every answer is one that the description knows.
    (One worker: its threads upset the parser of Python 3.11.)"""
    server = make_server("--state-dir", tmp_path, "--model", "digits", "--log-level", "error")
    done = subprocess.run([f"{BIN}/schemathesis", "run", f"{server.url}/openapi.json", "--max-examples",
                           os.environ.get("EXAMPLES", "15"), "--seed", "1", "--workers", "1", "--request-timeout", "60",
                           "--continue-on-failure", "--no-color", "--exclude-checks", "positive_data_acceptance",
                           "--suppress-health-check", "all"],
                          capture_output=True, text=True, cwd=tmp_path,
                          env={**os.environ, "SCHEMATHESIS_HOOKS": "clients_hooks", "PYTHONPATH": str(ROOT / "tests/http")})
    (ROOT / "build/schemathesis.log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert server.ask("POST", CLASSIFY, PHOTO).status == 200
