"""Runtime detection over the Sensor's real inventory: whose a container and an address are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from redoubt import tasks
from redoubt.sensor.cluster.changes import Change
from redoubt.sensor.conversion import objects, workloads
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.runtime.cluster import Cluster, Spooled
from redoubt.sensor.stream.spool import Spool
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import FromSensor, Records

RUNS, ENDED = "a" * 64, "b" * 64


def change(kind: str, given: dict[str, Any], found: Any) -> Change:
    return Change(kind, given["metadata"]["uid"], found)


def inventory(*, containers: int = 1, told: bool = True, others: dict[str, Any] | None = None) -> Inventory:
    made = Inventory("stackrox")
    names = [f"c{number}" for number in range(containers)]
    spec = {
        "containers": [
            {"name": name, "image": "x", "ports": [{"name": "web", "containerPort": 8080}]} for name in names
        ]
    }
    labels = {"app": "shop"}
    deployment = {
        "kind": "Deployment",
        "metadata": {"uid": "d1", "name": "shop", "namespace": "team"},
        "spec": {"replicas": 1, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
    made.apply(change("Deployment", deployment, workloads.workload(deployment)))
    pod = {
        "kind": "Pod",
        "metadata": {
            "uid": "p1",
            "name": "shop-1",
            "namespace": "team",
            "labels": labels,
            "ownerReferences": [{"kind": "Deployment", "name": "shop", "uid": "d1", "controller": True}],
        },
        "spec": spec | (others or {}),
        "status": {
            "podIP": "10.0.0.9",
            "podIPs": [{"ip": "10.0.0.9"}],
            "containerStatuses": [
                {
                    "name": "c0",
                    "containerID": f"containerd://{RUNS}",
                    "state": {"running": {"startedAt": "2099-01-01T00:00:00Z"}},
                    "lastState": {"terminated": {"containerID": f"containerd://{ENDED}", "exitCode": 1}},
                }
            ]
            if told
            else [],
        },
    }
    made.apply(change("Pod", pod, workloads.pod(pod)))
    service = {
        "kind": "Service",
        "metadata": {"uid": "s1", "name": "shop", "namespace": "team"},
        "spec": {
            "clusterIP": "10.1.0.1",
            "selector": labels,
            "ports": [{"port": 80, "targetPort": "web"}, {"port": 81, "targetPort": 9000}, {"port": 82}],
        },
    }
    made.apply(change("Service", service, objects.service(service)))
    return made


def test_a_container_is_found_while_it_runs_and_after_it_ended() -> None:
    cluster = Cluster(inventory())
    running = cluster.container(RUNS)
    assert running is not None
    assert (running.pod, running.pod_uid, running.container_name) == ("shop-1", "p1", "c0")
    assert running.deployment_id == "d1"
    assert cluster.container(RUNS, "p1") == running
    ended = cluster.container(ENDED, "p1")
    assert ended is not None
    assert ended.container_name == "c0"
    assert cluster.container("c" * 64) is None
    assert cluster.container("c" * 64, "p1") is None


def test_a_pod_says_which_container_it_is_only_where_it_has_one() -> None:
    one, two = (Cluster(inventory(containers=count, told=False)).pod("p1") for count in (1, 2))
    assert one is not None
    assert two is not None
    assert (one.container_name, one.guessed, two.container_name) == ("c0", True, "")
    assert Cluster(inventory()).pod("p2") is None


@pytest.mark.parametrize("field", ["containers", "initContainers", "ephemeralContainers"])
def test_what_was_put_into_a_pod_is_not_taken_for_its_container(field: str) -> None:
    others = [{"name": "debugger", "image": "y"}]
    if field == "containers":
        others.append({"name": "c0", "image": "x"})
    for late in (False, True):
        found = Cluster(inventory(told=False, others={field: others})).pod("p1", late=late)
        assert found is not None
        assert found.container_name == ""


def test_a_container_that_the_status_does_not_name_is_the_only_one_at_the_last() -> None:
    cluster = Cluster(inventory())
    early, late = cluster.pod("p1"), cluster.pod("p1", late=True)
    assert early is not None
    assert late is not None
    assert (early.container_name, late.container_name) == ("", "c0")


def test_addresses_are_pods_and_services_with_the_pods_own_ports() -> None:
    cluster = Cluster(inventory())
    assert cluster.addressed("10.0.0.9", 5) == [("d1", 5)]
    assert cluster.addressed("10.1.0.1", 80) == [("d1", 8080)]
    assert cluster.addressed("10.1.0.1", 81) == [("d1", 9000)]
    assert cluster.addressed("10.1.0.1", 82) == [("d1", 82)]
    assert cluster.addressed("10.9.9.9", 80) == []


def test_what_is_too_large_for_central_is_counted_and_keeps_nothing_back(tmp_path: Path) -> None:
    async def work() -> list[bytes]:
        spool = Spool(tmp_path, 1 << 24)
        spool.open()
        writing = asyncio.create_task(spool.run())
        try:
            told = [
                FromSensor(records=Records(kind=Records.FLOWS, records=data))
                for data in (b"a", bytes(4 << 20), b"b")
            ]
            await asyncio.wait_for(Spooled(spool).put(*told), 20)
            assert spool.dropped == {"flows": 1}
            return [FromSensor.FromString(data).records.records for _, data in await spool.reader(0).next()]
        finally:
            await tasks.end(writing)
            spool.close()

    assert asyncio.run(work()) == [b"a", b"b"]
