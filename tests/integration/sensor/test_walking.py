"""A Sensor against a real API server, and a stand-in for Central."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from redoubt.sensor.config import Settings
from redoubt.sensor.service import sensor
from redoubt.wire.identity import Service
from support.hub import CLUSTER, StandIn, listening
from support.kube import Cluster, kube  # noqa: F401  (a fixture)
from support.wire import Certificates, run

pytestmark = pytest.mark.xdist_group("kube")


def _deployment(namespace: str, name: str = "shop", **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "registry.example/shop:1.4"}], **spec},
            },
        },
    }


@asynccontextmanager
async def _sensing(
    cluster: Cluster, folder: Path, certificates: Certificates, central: int, **more: Any
) -> AsyncIterator[None]:
    files = certificates.files(Service.SENSOR, "sensor", identifier=CLUSTER)
    settings = Settings(
        data=folder / "data",
        host="127.0.0.1",
        port=0,
        health_port=0,
        certificates=files.certificate.parent,
        central=f"127.0.0.1:{central}",
        kubeconfig=cluster.kubeconfig(),
        backoff_first=0.1,
        backoff_longest=1.0,
        relist_jitter=0.2,
        **more,
    )
    async with sensor(settings):
        yield


def test_a_deployment_that_is_made_is_told_to_central(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    namespace = kube.namespace({"team": "shop"})

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        async with (
            listening(central, certificates) as port,
            _sensing(kube, tmp_path, certificates, port.port),
        ):
            await central.until("a sync", lambda: central.synced)
            assert central.of("namespace", namespace)[0]["labels"]["team"] == "shop"
            kube.admin.create(_deployment(namespace))
            found = await central.until("the deployment", lambda: central.of("deployment", "shop", namespace))
            assert found[0]["clusterId"] == CLUSTER
            assert found[0]["containers"][0]["image"]["name"]["fullName"] == "registry.example/shop:1.4"
            pods = await central.until(
                "its pod",
                lambda: [p for p in central.of("pod", namespace=namespace) if p.get("deploymentId")],
            )
            assert pods[0]["deploymentId"] == found[0]["id"]
            kube.admin.delete(_deployment(namespace))
            await central.until(
                "the deployment's end", lambda: not central.of("deployment", "shop", namespace)
            )

    run(work(), within=90)
