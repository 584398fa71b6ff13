"""The manifests of docker/ against the schemas of Kubernetes, as kustomize and helm render them where those are there.

KUSTOMIZE and HELM name the two programs; `make test-manifests` builds them with go where it can.
"""
import ipaddress
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
        is_patch = "overlays" in path.parts and path.name in ("autoscaler.yaml", "keys.yaml", "postgres.yaml", "proxies.yaml")
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


def rendered_by_helm(folder, values):
    """What helm makes of a file of values, checked."""
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    run = subprocess.run([program("helm"), "template", "photos", DOCKER / "helm/infomask", "-f", folder / "values.yaml"],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    listed = documents(run.stdout)
    for document in listed:
        check(document)
    return {document["kind"]: document for document in listed}


def test_settings_come_as_the_service_reads_them(tmp_path):
    """Helm reads the numbers of a file as floating point, of which a large one prints as 2.097152e+07."""
    found = rendered_by_helm(tmp_path, {"settings": {"max_body": 20971520, "rate": 0.5, "state_relaxed": True, "port": 9090,
                                                     "drain_timeout": 60, "tls_certificate": "/etc/tls/tls.crt"}})
    pod = found["Deployment"]["spec"]["template"]["spec"]
    told = {row["name"]: row.get("value") for row in pod["containers"][0]["env"]}
    assert told["INFOMASK_MAX_BODY"] == "20971520" and told["INFOMASK_RATE"] == "0.5"
    assert told["INFOMASK_STATE_RELAXED"] == "true" and told["INFOMASK_PORT"] == "9090"
    assert pod["containers"][0]["ports"][0]["containerPort"] == 9090
    assert found["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == 9090
    assert pod["terminationGracePeriodSeconds"] > 65
    assert all(pod["containers"][0][probe]["httpGet"]["scheme"] == "HTTPS"
               for probe in ("startupProbe", "readinessProbe", "livenessProbe"))


def test_a_pod_takes_what_a_cluster_asks_of_it(tmp_path):
    found = rendered_by_helm(tmp_path, {
        "replicas": 1, "autoscaling": {"enabled": False}, "resources": None, "podAnnotations": {"a": "b"},
        "imagePullSecrets": [{"name": "registry"}], "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}}, "env": [{"name": "TZ", "value": "UTC"}],
        "volumes": [{"name": "models", "emptyDir": {}}], "volumeMounts": [{"name": "models", "mountPath": "/models"}],
        "stateSecret": "state", "networkPolicy": {"statePort": 6432},
        "ingress": {"enabled": True, "className": "nginx", "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "20m"},
                    "tls": [{"secretName": "tls", "hosts": ["a.example"]}]}})
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert {"name": "TZ", "value": "UTC"} in pod["containers"][0]["env"] and "resources" not in pod["containers"][0]
    assert pod["nodeSelector"] == {"disk": "ssd"} and pod["imagePullSecrets"] == [{"name": "registry"}]
    assert {"state", "state-server", "models"} == {volume["name"] for volume in pod["volumes"]}
    assert found["NetworkPolicy"]["spec"]["egress"][1]["ports"][0]["port"] == 6432
    assert found["Ingress"]["spec"]["tls"][0]["secretName"] == "tls" and found["Ingress"]["metadata"]["annotations"]
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1  # or a node with the only replica is never drained


@pytest.mark.parametrize("value, told", [("autoscaling.enable=false", "enable is not allowed"), ("replica=2", "replica is not allowed"),
                                         ("resources.requests.cpu=null", "resources.requests.cpu, which is not set"),
                                         ("autoscaling.minReplicas=20", "more than autoscaling.maxReplicas"),
                                         ("image.tag=20260101", "image.tag"), ("ingress.path=photos", "ingress.path")])
def test_helm_refuses(value, told):
    run = subprocess.run([program("helm"), "template", "photos", DOCKER / "helm/infomask", "--set", value], capture_output=True, text=True)
    assert run.returncode != 0 and told in run.stderr, run.stderr


def test_the_chart_and_the_base_run_the_same_container():
    run = subprocess.run([program("helm"), "template", "photos", DOCKER / "helm/infomask"], capture_output=True, text=True)
    chart = next(d for d in documents(run.stdout) if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    base = documents((DOCKER / "kubernetes/base/deployment.yaml").read_text())[0]["spec"]["template"]["spec"]
    for field in ("securityContext", "readinessProbe", "livenessProbe", "startupProbe", "ports", "resources"):
        assert chart["containers"][0][field] == base["containers"][0][field]
    assert chart["securityContext"] == base["securityContext"]


def test_the_balancer_of_compose_is_the_proxy_that_is_believed():
    composed = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    net = composed["networks"]["default"]["ipam"]["config"][0]
    address = composed["services"]["balancer"]["networks"]["default"]["ipv4_address"]
    assert composed["services"]["infomask"]["environment"]["INFOMASK_PROXIES"] == address
    assert ipaddress.ip_address(address) in ipaddress.ip_network(net["subnet"])
    assert ipaddress.ip_network(net["ip_range"]).subnet_of(ipaddress.ip_network(net["subnet"]))
    assert ipaddress.ip_address(address) not in ipaddress.ip_network(net["ip_range"])  # or another container may have it first


def told_to_a_pod(listed):
    container = next(d for d in listed if d["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return {row["name"]: row.get("value") for row in container["env"]}


def test_an_ingress_is_no_single_client():
    """Its connections are not counted as one address', and what names it is where it is set."""
    base = told_to_a_pod(documents((DOCKER / "kubernetes/base/deployment.yaml").read_text()))
    chart = yaml.safe_load((DOCKER / "helm/infomask/values.yaml").read_text())["settings"]
    assert base["INFOMASK_MAX_CONNECTIONS_PER_ADDRESS"] == chart["max_connections_per_address"] == "0"
    assert base["INFOMASK_REFUSAL_RATE"] == chart["refusal_rate"] == "0" and base["INFOMASK_PROXIES"] == chart["proxies"] == ""
    patch = documents((DOCKER / "kubernetes/overlays/ingress/proxies.yaml").read_text())
    assert told_to_a_pod(patch) == {"INFOMASK_PROXIES": "10.244.0.0/16"}


def test_an_ingress_is_told_to_the_pods(tmp_path):
    base = told_to_a_pod(documents((DOCKER / "kubernetes/base/deployment.yaml").read_text()))
    run = subprocess.run([program("kustomize"), "build", DOCKER / "kubernetes/overlays/ingress"], capture_output=True, text=True)
    overlay = told_to_a_pod(documents(run.stdout))
    assert overlay == {**base, "INFOMASK_PROXIES": "10.244.0.0/16"}
    assert told_to_a_pod([rendered_by_helm(tmp_path, {"settings": {"proxies": "10.42.0.0/16"}})["Deployment"]])[
        "INFOMASK_PROXIES"] == "10.42.0.0/16"
