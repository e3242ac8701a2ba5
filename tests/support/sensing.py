"""A Sensor in this process, against an API server and a stand-in for Central; and objects for it to see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redoubt.sensor.config import Settings
from redoubt.sensor.service import sensor
from redoubt.wire.identity import Service
from redoubt.wire.server import OnePort
from support.hub import CLUSTER
from support.kube import Cluster
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


@asynccontextmanager
async def sensing(
    cluster: Cluster, folder: Path, certificates: Certificates, central: int, **more: Any
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
