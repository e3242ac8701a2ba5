"""A secured cluster whose services are killed: Central, Sensor, Admission controller and Collector, in one order and another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from support.kube import Cluster, kube
from support.secured import FORBIDDEN, Secured, refusal, running, workload

__all__ = ["kube"]

IMAGE = "registry.invalid/shop:1.4"
SERVICES = ("central", "sensor", "admission", "collector")
#: Each comes first once, and last once.
ORDERS = [
    ("central", "sensor", "admission", "collector"),
    ("sensor", "admission", "collector", "central"),
    ("admission", "central", "sensor", "collector"),
    ("collector", "sensor", "central", "admission"),
]
assert set(ORDERS) <= set(itertools.permutations(SERVICES))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kube: Cluster) -> Iterator[Secured]:
    with running(tmp_path_factory.mktemp("secured"), kube) as cluster:
        cluster.central.ask("POST", "/v1/policies", FORBIDDEN)
        cluster.admission.start()
        cluster.collector.start()
        forbidden = workload("default", "forbidden", IMAGE, securityContext={"privileged": True})
        cluster.until("the API server to refuse", lambda: refusal(cluster, forbidden))
        yield cluster


def kill(secured: Secured, name: str) -> None:
    secured.up.kill() if name == "central" else getattr(secured, name).kill()


def start(secured: Secured, name: str) -> None:
    secured.up.start() if name == "central" else getattr(secured, name).start()


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_all_are_killed_and_come_back_in_any_order(secured: Secured, order: tuple[str, ...]) -> None:
    namespace = secured.kube.namespace()
    admin = secured.kube.admin
    admin.create(workload(namespace, "before", IMAGE))
    admin.create(workload(namespace, "leaving", IMAGE))
    secured.until("what was there before", lambda: len(secured.deployments(namespace)) == 2)
    for name in order:
        kill(secured, name)
    admin.create(workload(namespace, "meanwhile", IMAGE, securityContext={"privileged": True}))
    admin.delete(workload(namespace, "leaving", IMAGE))
    for name in order:
        start(secured, name)
    expected = {"before", "meanwhile"}
    secured.until("what is there now", lambda: set(secured.deployments(namespace)) == expected)
    secured.until(
        "the alert of what came meanwhile",
        lambda: "Privileged Container" in secured.alerts(namespace, "Violation State:ACTIVE"),
    )
    forbidden = workload(namespace, "forbidden", IMAGE, securityContext={"privileged": True})
    secured.until("the API server to refuse again", lambda: refusal(secured, forbidden))


def test_with_central_and_sensor_gone_the_admission_controller_starts_and_refuses(secured: Secured) -> None:
    namespace = secured.kube.namespace()
    forbidden = workload(namespace, "forbidden", IMAGE, securityContext={"privileged": True})
    try:
        for name in ("central", "sensor", "admission"):
            kill(secured, name)
        secured.admission.start()
        said = secured.until("a refusal out of what is on disk", lambda: refusal(secured, forbidden))
        assert "No privileged container" in said
    finally:
        start(secured, "central")
        start(secured, "sensor")


def test_the_api_server_is_killed_and_comes_back(secured: Secured) -> None:
    namespace = secured.kube.namespace()
    secured.kube.stop_server()
    secured.kube.start_server()
    secured.kube.admin.create(workload(namespace, "after", IMAGE))
    secured.until("what was made afterwards", lambda: "after" in secured.deployments(namespace))
