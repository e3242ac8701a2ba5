"""A Sensor in this process, against an API server and a stand-in for Central; and objects for it to see."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from redoubt.children import bound
from redoubt.cli.roxctl import generating
from redoubt.sensor.config import Settings
from redoubt.sensor.service import sensor
from redoubt.wire.identity import Service
from redoubt.wire.server import OnePort
from support.hub import CLUSTER
from support.kube import Cluster as KubeCluster
from support.wire import Certificates


def deployment(namespace: str, name: str = "shop", kind: str = "Deployment", **pod: Any) -> dict[str, Any]:
    """A workload with one container; ``pod`` goes into the pod's spec."""
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "registry.example/shop:1.4"}], **pod},
        },
    }
    if kind != "DaemonSet":
        spec["replicas"] = 1
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec,
    }


class Configured(Protocol):
    """An API server."""

    def kubeconfig(self) -> Path:
        """What clients read."""


class Plain:
    """A cluster as its user without rights sees it."""

    def __init__(self, cluster: KubeCluster) -> None:
        self._cluster = cluster

    def kubeconfig(self) -> Path:
        """See ``Configured``."""
        return self._cluster.kubeconfig("plain")


def generated(namespace: str) -> list[dict[str, Any]]:
    """What generated manifests have a Sensor do in a cluster, bound to the user ``plain``."""
    roles = [each for each in generating.template() if each["kind"] in ("ClusterRole", "Role")]
    found = [each for each in roles if each["metadata"]["name"].startswith("redoubt-sensor")]
    for each in found:
        if "namespace" in each["metadata"]:
            each["metadata"]["namespace"] = namespace
        subject = {"kind": "User", "name": "plain", "apiGroup": "rbac.authorization.k8s.io"}
        role = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": each["kind"],
            "name": each["metadata"]["name"],
        }
        binding = {**each, "kind": f"{each['kind']}Binding", "subjects": [subject], "roleRef": role}
        del binding["rules"]
        found = [*found, binding]
    return found


@asynccontextmanager
async def sensing(
    cluster: Configured, folder: Path, certificates: Certificates, central: int, **more: Any
) -> AsyncIterator[OnePort]:
    """A Sensor with its data in ``folder``, and short pauses."""
    files = certificates.files(Service.SENSOR, "sensor", identifier=CLUSTER)
    given: dict[str, Any] = {
        "data": folder / "data",
        "host": "127.0.0.1",
        "port": 0,
        "health_port": 0,
        "certificates": files.certificate.parent,
        "central": f"127.0.0.1:{central}",
        "kubeconfig": cluster.kubeconfig(),
        "namespace": "default",
        "backoff_first": 0.1,
        "backoff_longest": 1.0,
        "relist_jitter": 0.2,
        **more,
    }
    async with sensor(Settings(**given)) as port:
        yield port


class Process:
    """``redoubt sensor`` as a process of its own, that can be killed. Its log is in ``folder``."""

    def __init__(self, cluster: Configured, folder: Path, certificates: Certificates, central: int) -> None:
        files = certificates.files(Service.SENSOR, "sensor", identifier=CLUSTER)
        self.folder = folder
        self.data = folder / "data"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("REDOUBT_", "ROX_"))
        }
        given = {
            "data": self.data,
            "host": "127.0.0.1",
            "port": 0,
            "health_port": 0,
            "certificates": files.certificate.parent,
            "central": f"127.0.0.1:{central}",
            "kubeconfig": cluster.kubeconfig(),
            "namespace": "default",
            "backoff_first": 0.1,
            "backoff_longest": 1.0,
            "relist_jitter": 0.2,
        }
        self._environment = kept | {
            f"REDOUBT_SENSOR_{name.upper()}": str(value) for name, value in given.items()
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Process:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; whether it is ready is for Central to see."""
        with (self.folder / "sensor.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "redoubt", "sensor"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=bound(signal.SIGKILL),
            )

    def kill(self) -> None:
        """By SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        assert self._process is not None
        found = Path(f"/proc/{self._process.pid}/statm").read_text().split()
        return int(found[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def log(self) -> str:
        """What it said."""
        return (self.folder / "sensor.log").read_text(errors="replace")
