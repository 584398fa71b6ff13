"""The manifests of docker/ against the schemas of Kubernetes, as kustomize and helm render them where those are there.

KUSTOMIZE and HELM name the two programs; `make test-manifests` builds them with go where it can.
"""
import os
import pathlib
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

DOCKER = pathlib.Path(__file__).resolve().parents[2] / "docker"
VERSIONS = ["1.29", "1.33", "1.37"]
# kinds of operators, whose schemas are not Kubernetes's own
OTHERS = {"ServiceMonitor", "PrometheusRule", "InferenceService", "ServingRuntime", "Workflow", "Kustomization"}


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def check(document):
    assert document.get("apiVersion") and document.get("kind") and document["metadata"].get("name")
    if document["kind"] in OTHERS:
        return
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)


def program(name):
    found = os.environ.get(name.upper()) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not here")
    return found


def plain_files():
    for path in sorted((DOCKER / "kubernetes").rglob("*.yaml")):
        text = path.read_text()
        is_patch = "overlays" in path.parts and path.name in ("autoscaler.yaml", "keys.yaml", "postgres.yaml")
        if path.name != "kustomization.yaml" and not is_patch:
            yield pytest.param(text, id=str(path.relative_to(DOCKER)))


@pytest.mark.parametrize("text", list(plain_files()))
def test_each_manifest_fits_its_schema(text):
    listed = documents(text)
    assert listed
    for document in listed:
        check(document)


def test_a_misspelt_field_is_found():
    text = (DOCKER / "kubernetes/base/deployment.yaml").read_text().replace("readinessProbe", "readynessProbe")
    with pytest.raises(kubernetes_validate.ValidationError):
        for document in documents(text):
            check(document)


@pytest.mark.parametrize("folder", sorted((DOCKER / "kubernetes").rglob("kustomization.yaml")),
                         ids=lambda path: str(path.parent.relative_to(DOCKER)))
def test_kustomize_renders_it(folder):
    run = subprocess.run([program("kustomize"), "build", folder.parent], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    kinds = set()
    for document in documents(run.stdout):
        check(document)
        kinds.add(document["kind"])
    assert {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"} <= kinds


@pytest.mark.parametrize("values", [[], ["autoscaling.enabled=false", "replicas=3"], ["ingress.enabled=true"],
                                    ["stateSecret=infomask-state"],
                                    ["keysSecret=infomask-keys", "monitor.enabled=true", "networkPolicy.enabled=false"]],
                         ids=str)
def test_helm_renders_it(values):
    arguments = [part for value in values for part in ("--set", value)]
    run = subprocess.run([program("helm"), "template", "photos", DOCKER / "helm/infomask", *arguments],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    rendered = documents(run.stdout)
    for document in rendered:
        check(document)
    deployment = next(d for d in rendered if d["kind"] == "Deployment")
    assert deployment["spec"].get("replicas") == (3 if "replicas=3" in values else None)
    assert any(d["kind"] == "Ingress" for d in rendered) == ("ingress.enabled=true" in values)


def test_the_chart_and_the_base_run_the_same_container():
    run = subprocess.run([program("helm"), "template", "photos", DOCKER / "helm/infomask"], capture_output=True, text=True)
    chart = next(d for d in documents(run.stdout) if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    base = documents((DOCKER / "kubernetes/base/deployment.yaml").read_text())[0]["spec"]["template"]["spec"]
    for field in ("securityContext", "readinessProbe", "livenessProbe", "startupProbe", "ports", "resources"):
        assert chart["containers"][0][field] == base["containers"][0][field]
    assert chart["securityContext"] == base["securityContext"]
