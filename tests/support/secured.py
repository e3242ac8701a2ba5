"""A secured cluster for tests: a real ``redoubt up``, a real API server, and the cluster's services as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from redoubt.children import bound
from redoubt.wire import ports
from redoubt.wire.authority import Authority
from redoubt.wire.identity import Service
from support.kube import Cluster, Refused
from support.up import PASSWORD, Up

T = TypeVar("T")
#: Who a service is whose cluster Central does not know yet.
UNKNOWN = "00000000-0000-0000-0000-000000000000"
NAME = "ward"
#: An image that nobody can fetch.
IMAGE = "registry.invalid/shop:1.4"
#: A policy that refuses privileged containers of workloads with the label ``app=forbidden``.
FORBIDDEN = {
    "name": "No privileged container",
    "severity": "HIGH_SEVERITY",
    "categories": ["Privileges"],
    "lifecycleStages": ["DEPLOY"],
    "eventSource": "NOT_APPLICABLE",
    "enforcementActions": ["FAIL_DEPLOYMENT_CREATE_ENFORCEMENT"],
    "scope": [{"label": {"key": "app", "value": "forbidden"}}],
    "policyVersion": "1.1",
    "policySections": [
        {"policyGroups": [{"fieldName": "Privileged Container", "values": [{"value": "true"}]}]}
    ],
}


class Central:
    """Calls to Central's REST API as its administrator."""

    def __init__(self, up: Up) -> None:
        self._up = up
        self._tls = ssl.create_default_context(cafile=str(up.config / "ca.pem"))

    def trust(self, authorities: bytes) -> None:
        """Trust these CAs as well."""
        self._tls.load_verify_locations(cadata=authorities.decode())

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body."""
        word = b64encode(f"admin:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {word}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"https://{self._up.endpoint}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60, context=self._tls) as answer:
                status, told = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, told = error.code, error.read()
        return status, json.loads(told) if told else None

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The body of a call that is to succeed."""
        status, told = self.call(method, path, body)
        assert status < 300, f"{method} {path}: {status} {told}"
        return told

    def get(self, path: str) -> Any:
        """The body of a GET."""
        return self.ask("GET", path)


class Process:
    """A service of the cluster: ``redoubt NAME`` with these variables. Started, killed and started again."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str], *words: str) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        left_out = ("REDOUBT_", "ROX_", "KUBECONFIG")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
        self._environment = {**kept, "HOME": str(folder), **environment}
        self._words = words or (name,)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait for nothing."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "redoubt", *self._words],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=bound(signal.SIGKILL),
            )

    def kill(self) -> None:
        """SIGKILL, until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.kill()

    def said(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""


class Secured:
    """Central and a cluster with its services, below ``folder``; ``certificates`` are of Central's own CA."""

    def __init__(
        self,
        up: Up,
        kube: Cluster,
        folder: Path,
        environments: Mapping[str, dict[str, str]] | None = None,
        issued: datetime | None = None,
    ) -> None:
        self.up, self.kube, self.folder = up, kube, folder
        self._environments = environments or {}
        #: When certificates are issued; None: now.
        self._issued = issued
        self.central = Central(up)
        self._authority = Authority.load(up.data / "ca")
        self.sensor_port, self.admission_port = ports.free(2)
        kubeconfig = str(kube.kubeconfig())
        self.sensor = self._process(
            Service.SENSOR,
            "SENSOR",
            CENTRAL=up.endpoint,
            CLUSTER_NAME=NAME,
            KUBECONFIG=kubeconfig,
            PORT=str(self.sensor_port),
            HEALTH_PORT="0",
            BACKOFF_FIRST="0.2",
            BACKOFF_LONGEST="1",
            HEALTH_INTERVAL="1",
            RELIST_JITTER="1",
        )
        self.admission = self._process(
            Service.ADMISSION_CONTROL,
            "ADMISSION",
            name="admission",
            SENSOR=f"127.0.0.1:{self.sensor_port}",
            CENTRAL=up.endpoint,
            # The CA is in it, and not only its file's name.
            KUBECONFIG=str(kube.kubeconfig(whole=True)),
            HOST="127.0.0.1",
            PORT=str(self.admission_port),
            HEALTH_PORT="0",
            WEBHOOK_URL=f"https://127.0.0.1:{self.admission_port}",
        )
        self.collector = self._process(
            Service.COLLECTOR,
            "COLLECTOR",
            SENSOR=f"127.0.0.1:{self.sensor_port}",
            HOSTNAME="node-1",
            HEALTH_INTERVAL="1",
        )

    def _process(self, service: Service, prefix: str, *, name: str = "", **settings: str) -> Process:
        name = name or service.host
        folder = self.folder / name
        leaf = self._authority.issue(service, UNKNOWN, hosts=["127.0.0.1", "localhost"], now=self._issued)
        leaf.write(folder / "certificates")
        told = {"CERTIFICATES": str(folder / "certificates"), **settings}
        if service is not Service.COLLECTOR:
            told["DATA"] = str(folder)
        settings = {f"REDOUBT_{prefix}_{key}": value for key, value in told.items()}
        return Process(name, folder, settings | self._environments.get(name, {}))

    def is_known(self) -> bool:
        """Whether Central has heard of the cluster."""
        return any(each["name"] == NAME for each in self.central.get("/v1/clusters")["clusters"])

    def deployments(self, namespace: str) -> dict[str, dict[str, Any]]:
        """Deployments as Central lists them, by name."""
        query = quote(f"Namespace:{namespace}")
        found = self.central.get(f"/v1/deployments?query={query}")["deployments"]
        return {each["name"]: each for each in found}

    def alerts(self, namespace: str, query: str) -> list[str]:
        """Names of the policies of alerts, by a search."""
        asked = quote(f"Namespace:{namespace}+{query}")
        return [each["policy"]["name"] for each in self.central.get(f"/v1/alerts?query={asked}")["alerts"]]

    def stop(self) -> None:
        """End the cluster's services."""
        for each in (self.collector, self.admission, self.sensor):
            each.kill()

    def until(self, what: str, happened: Callable[[], T], within: float = 60.0) -> T:
        """What ``happened`` gives once it is true. Raises ``AssertionError`` with what the services said."""
        end = time.monotonic() + within
        while True:
            if found := happened():
                return found
            if time.monotonic() > end:
                said = "\n".join(
                    f"-- {each.name}:\n{each.said()[-3000:]}"
                    for each in (self.sensor, self.admission, self.collector)
                )
                raise AssertionError(f"{what} did not come within {within:.0f} s\n{said}")
            time.sleep(0.1)


@contextmanager
def running(
    folder: Path,
    kube: Cluster,
    environments: Mapping[str, dict[str, str]] | None = None,
    issued: datetime | None = None,
) -> Iterator[Secured]:
    """A Central, and a Sensor that it knows; the other services are the test's to start.

    ``environments``: variables that services have beside their own, by service. ``issued``: when their certificates are.
    """
    environments = environments or {}
    with Up(folder, environment={"ROX_ADMIN_PASSWORD": PASSWORD} | environments.get("central", {})) as up:
        kube.admin.ensure({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stackrox"}})
        cluster = Secured(up, kube, folder, environments, issued)
        try:
            cluster.sensor.start()
            cluster.until("a cluster that Central knows", cluster.is_known)
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def refusing(folder: Path, kube: Cluster) -> Iterator[Secured]:
    """The same with an admission controller that the API server asks, and the policy ``FORBIDDEN``."""
    with running(folder, kube) as cluster:
        cluster.central.ask("POST", "/v1/policies", FORBIDDEN)
        cluster.admission.start()
        forbidden = workload("default", "forbidden", IMAGE, securityContext={"privileged": True})
        cluster.until("the API server to refuse", lambda: refusal(cluster, forbidden))
        yield cluster


def workload(namespace: str, name: str, image: str, **container: Any) -> dict[str, Any]:
    """A Deployment with one container, ``main``, and the label ``app`` of its name."""
    labels = {"app": name}
    spec = {"containers": [{"name": "main", "image": image, **container}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def refusal(secured: Secured, given: dict[str, Any]) -> str:
    """Why the API server does not take an object; empty where it would."""
    try:
        secured.kube.admin.create(given, query="dryRun=All")
    except Refused as error:
        return error.message
    return ""


def pod_of(secured: Secured, namespace: str, name: str) -> dict[str, Any]:
    """The pod that controllers made for a deployment."""

    def found() -> dict[str, Any]:
        items = secured.kube.admin.ask("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        return next((each for each in items if each["metadata"]["labels"].get("app") == name), {})

    return secured.until("the pod of the deployment", found)


def runs(secured: Secured, pod: dict[str, Any], container: str) -> None:
    """Say what a kubelet would: the pod has started, with this container."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    state = {
        "name": "main",
        "image": pod["spec"]["containers"][0]["image"],
        "imageID": "",
        "containerID": f"containerd://{container}",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }
    status = {"phase": "Running", "podIP": "10.9.8.7", "startTime": now, "containerStatuses": [state]}
    named = {"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]}
    secured.kube.admin.patch(named, {"status": status}, "status")
