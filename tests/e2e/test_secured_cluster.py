"""A secured cluster, whole: a real Central, API server, registry, kernel and container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.kube import Cluster, kube  # noqa: F401
from support.secured import Secured
from support.up import PASSWORD, Up

DEADLINE = 60.0


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kube: Cluster) -> Iterator[Secured]:  # noqa: F811
    folder = tmp_path_factory.mktemp("secured")
    with Up(folder, environment={"ROX_ADMIN_PASSWORD": PASSWORD}) as up:
        cluster = Secured(up, kube, folder)
        try:
            cluster.sensor.start()
            cluster.until("a cluster that is healthy", lambda: _healthy(cluster))
            yield cluster
        finally:
            cluster.stop()


def _healthy(secured: Secured) -> bool:
    clusters = secured.central.get("/v1/clusters")["clusters"]
    return any(each["name"] == "ward" for each in clusters)


def workload(namespace: str, name: str, **container: Any) -> dict[str, Any]:
    labels = {"app": name}
    spec = {"containers": [{"name": "main", "image": "registry.invalid/shop:1.4", **container}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def test_a_deployment_appears_in_central(secured: Secured) -> None:
    namespace = secured.kube.namespace()
    secured.kube.admin.create(workload(namespace, "shop"))

    def listed() -> dict[str, Any]:
        found = secured.central.get("/v1/deployments")["deployments"]
        return next((each for each in found if each["namespace"] == namespace), {})

    assert secured.until("the deployment at Central", listed)["name"] == "shop"
