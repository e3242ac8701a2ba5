"""``roxctl sensor generate k8s``, and what comes of its manifests on a real API server: the services run with those rights alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from redoubt.wire import ports
from support.kube import Cluster, Object, kube
from support.secured import Central, Process, workload
from support.up import PASSWORD, Up

__all__ = ["kube"]

_OWN = "stackrox"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path, environment={"ROX_ADMIN_PASSWORD": PASSWORD}) as running:
        yield running


@pytest.fixture
def applied(up: Up, kube: Cluster, tmp_path: Path) -> Iterator[list[Object]]:
    """What was generated and is on the API server, which was as strict as it can be."""
    folder = tmp_path / "sensor-ward"
    words = ("sensor", "generate", "k8s", "--name", "ward", "--central", up.endpoint)
    done = up.roxctl(*words, "--image", "registry.example/redoubt:1.0", "--output-dir", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"kubectl apply -f {folder}/\n"
    given = [each for file in sorted(folder.iterdir()) for each in yaml.safe_load_all(file.read_text())]
    made: list[Object] = []
    try:
        for each in given:
            taken = kube.admin.create(each, query="fieldValidation=Strict")
            made.append(each)
            # Kubernetes before 1.25 drops what it does not know without a word.
            _kept({key: value for key, value in each.items() if key != "stringData"}, taken)
        yield given
    finally:
        for each in (*reversed(made), _registration()):
            kube.admin.delete(each)


def _kept(given: Any, taken: Any) -> None:
    """Whatever was given is in what was taken."""
    if isinstance(given, dict):
        for key, value in given.items():
            assert key in taken, f"{key} is not known to the API server"
            _kept(value, taken[key])
    elif isinstance(given, list):
        assert len(given) <= len(taken)
        for one, other in zip(given, taken, strict=False):
            _kept(one, other)


def _registration() -> Object:
    api = "admissionregistration.k8s.io/v1"
    return {"apiVersion": api, "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "stackrox"}}


def _container(applied: list[Object], name: str) -> tuple[Object, Object]:
    (found,) = [each for each in applied if (each["kind"], each["metadata"]["name"]) == ("Deployment", name)]
    pod: Object = found["spec"]["template"]["spec"]
    return pod, pod["containers"][0]


def _secret(kube: Cluster, name: str) -> Object:
    """What a Secret holds; nothing where there is none."""
    status, told = kube.admin.call("GET", f"/api/v1/namespaces/{_OWN}/secrets/{name}")
    data: Object = told["data"] if status == 200 else {}
    return data


def _service(kube: Cluster, applied: list[Object], name: str, folder: Path, **settings: str) -> Process:
    """A service of the manifests as a process: its account's token, its Secret's files, its variables."""
    pod, container = _container(applied, name)
    folder.mkdir()
    (volume,) = [each["projected"] for each in pod["volumes"] if each["name"] == "tls"]
    # As a kubelet does: what is not there is left out, and the later one counts.
    for source in volume["sources"]:
        data = _secret(kube, source["secret"]["name"])
        items = source["secret"].get("items", [{"key": key, "path": key} for key in data])
        for item in items if data else ():
            (folder / item["path"]).write_bytes(base64.b64decode(data[item["key"]]))
    asked = f"/api/v1/namespaces/{_OWN}/serviceaccounts/{pod['serviceAccountName']}/token"
    token = kube.admin.ask(
        "POST", asked, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    )
    config = json.loads(kube.kubeconfig("plain").read_text())
    config["users"][0]["user"] = {"token": token["status"]["token"]}
    (folder / "kubeconfig").write_text(json.dumps(config))
    said = {each["name"]: each.get("value", _OWN) for each in container["env"]}
    prefix = "REDOUBT_SENSOR_" if name == "sensor" else "REDOUBT_ADMISSION_"
    said |= {"KUBECONFIG": str(folder / "kubeconfig"), f"{prefix}CERTIFICATES": str(folder)}
    said |= {
        f"{prefix}DATA": str(folder / "data"),
        f"{prefix}HEALTH_PORT": "0",
        f"{prefix}PORT": str(ports.free(1)[0]),
    }
    said |= {f"{prefix}{key}": value for key, value in settings.items()}
    words = container["command"]
    assert words[0] == "redoubt"
    return Process(name, folder, said, *words[1:])


def test_services_run_with_what_was_generated_and_no_other_rights(
    up: Up, kube: Cluster, applied: list[Object], tmp_path: Path
) -> None:
    central = Central(up)
    sensor = _service(kube, applied, "sensor", tmp_path / "sensor", HEALTH_INTERVAL="1")
    admission: Process | None = None
    namespace = kube.namespace()
    kube.admin.create(workload(namespace, "shop", "registry.example/shop:1.4"))

    def cluster() -> dict[str, Any]:
        (found,) = central.get("/v1/clusters")["clusters"]
        return dict(found)

    def deployments() -> set[str]:
        return {each["name"] for each in central.get("/v1/deployments")["deployments"]}

    def registered() -> Object:
        status, told = kube.admin.call(
            "GET", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/stackrox"
        )
        return told if status == 200 else {}

    names = ("tls-cert-sensor", "tls-cert-admission-control", "tls-cert-collector")
    try:
        sensor.start()
        kube.until(
            "deployments", lambda: {"shop", "sensor", "admission-control", "collector"} <= deployments()
        )
        kube.until("health", lambda: (cluster()["healthStatus"] or {}).get("sensorHealthStatus") == "HEALTHY")
        assert cluster()["name"] == "ward"
        # By then its own certificates are there.
        kube.until("certificates of the cluster", lambda: all(_secret(kube, name) for name in names))
        admission = _service(
            kube,
            applied,
            "admission-control",
            tmp_path / "admission",
            KUBECONFIG=str(tmp_path / "admission/kubeconfig"),
        )
        certificate = x509.load_pem_x509_certificate((tmp_path / "admission/cert.pem").read_bytes())
        assert cluster()["id"] in certificate.subject.rfc4514_string()
        admission.start()
        found = kube.until("the webhooks", registered)
        where = [each["clientConfig"]["service"] for each in found["webhooks"]]
        assert {(each["namespace"], each["name"]) for each in where} == {(_OWN, "admission-control")}
        for each in (sensor, admission):
            assert "forbidden" not in each.said().lower(), "a right is missing"
    finally:
        sensor.kill()
        if admission is not None:
            admission.kill()
        for name in names:
            kube.admin.delete(
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": _OWN}}
            )
