"""Central away for longer than the Sensor's disk holds: what was dropped is counted one by one, and shown at Central."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.central.activity import parts as activity_parts
from redoubt.central.hub.wire import SensorService
from redoubt.central.services import Services
from redoubt.model.noderecords import Process
from redoubt.sensor.config import Settings
from redoubt.sensor.service import sensor
from redoubt.wire import ports
from redoubt.wire.channel import channel
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1.secured_grpc import CollectorsStub
from redoubt.wire.proto.redoubt.v1.secured_pb2 import CollectorHello, FromCollector
from redoubt.wire.server import OnePort
from support.apiserver import ApiServer, serving
from support.sensing import deployment
from support.sensors import Watched
from support.wire import run

pytestmark = pytest.mark.usefixtures("cheap_passwords")

CONTAINER = "c" * 64


class Kept(Watched):
    """One that keeps processes."""

    async def equip(self, services: Services) -> None:
        await super().equip(services)
        activity_parts.equip(services)


#: Each has 1,400 characters of arguments that no compression makes much smaller: 4 MB, for a spool of one.
PROGRAMS = 3000


def cluster(folder: Path) -> ApiServer:
    """A pod with one container."""
    made = ApiServer(folder, "apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io")
    made.resources = {
        "/api/v1": [
            "pods", "namespaces", "nodes", "serviceaccounts", "services", "secrets", "configmaps", "replicationcontrollers"
        ],
        "/apis/apps/v1": ["deployments", "daemonsets", "statefulsets", "replicasets"],
        "/apis/batch/v1": ["jobs", "cronjobs"],
        "/apis/networking.k8s.io/v1": ["networkpolicies", "ingresses"],
        "/apis/rbac.authorization.k8s.io/v1": ["roles", "rolebindings", "clusterroles", "clusterrolebindings"],
    }  # fmt: skip
    pod = deployment("shop", "web")["spec"]["template"]
    pod["metadata"] = {"name": "web", "namespace": "shop", "uid": "uid-web", "resourceVersion": "1"}
    pod["status"] = {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "main",
                "containerID": f"containerd://{CONTAINER}",
                "state": {"running": {"startedAt": "2099-01-02T03:04:05Z"}},
            }
        ],
    }
    made.objects["/api/v1/pods"] = [pod]
    return made


def programs(numbers: range) -> bytes:
    """As a Collector tells them."""
    return msgspec.msgpack.encode(
        [
            Process(
                time=1,
                container=CONTAINER,
                pid=each,
                parent=1,
                uid=0,
                gid=0,
                name="x",
                path="/bin/x",
                arguments=(
                    "x",
                    "".join(hashlib.sha512(b"%d.%d" % (each, at)).hexdigest() for at in range(11)),
                ),
            )
            for each in numbers
        ]
    )


async def tell(port: int, tls: Any) -> None:
    """All of them, until the Sensor has them on its disk, or dropped them."""
    dialled = channel(f"127.0.0.1:{port}", tls, [Service.SENSOR])
    try:
        async with CollectorsStub(dialled).Communicate.open() as stream:
            await stream.send_message(FromCollector(hello=CollectorHello(hostname="n", instance="i")))
            for number in range(PROGRAMS // 100):
                events = programs(range(number * 100, number * 100 + 100))
                await stream.send_message(FromCollector(number=number + 1, events=events))
            async for message in stream:
                if message.acknowledged == PROGRAMS // 100:
                    await stream.cancel()
                    return
    finally:
        dialled.close()


def test_what_was_dropped_is_counted_and_shown(migrated: Callable[[str], str], tmp_path: Path) -> None:
    url = migrated("redoubt.central.migrations")

    async def work() -> None:
        async with Kept(url, tmp_path) as central, serving(cluster(tmp_path)) as api:
            identifier = await central.cluster("north")
            await central.server.stop(0)
            away = ports.free(1)[0]
            files = central.certificates.files(Service.SENSOR, "sensor", identifier=identifier)
            settings = Settings(
                data=tmp_path / "data",
                host="127.0.0.1",
                port=0,
                health_port=0,
                certificates=files.certificate.parent,
                central=f"127.0.0.1:{away}",
                kubeconfig=api.kubeconfig(),
                backoff_first=0.1,
                backoff_longest=0.2,
                health_interval=0.1,
                container_grace=5.0,
                spool_bytes=1 << 20,
            )
            async with sensor(settings) as port:
                tls = central.certificates.material(Service.COLLECTOR, identifier=identifier)
                await asyncio.wait_for(tell(port.port, tls), 60)
                tls = central.certificates.material(Service.CENTRAL, "central-again")
                central.server = OnePort(tls=tls, app=central.app, services=[SensorService(central.services)])
                await central.server.start("127.0.0.1", away)
                async with asyncio.timeout(60):
                    while True:
                        health = (await central.get(f"/v1/clusters/{identifier}"))["cluster"]["healthStatus"]
                        if health["dropped"] and health["connected"] and not health["spooled"]:
                            break
                        await asyncio.sleep(0.1)
                there = await central.pool.fetchval("SELECT count(*) FROM processes")
        # Which are gone is known to one; the others are there.
        assert health["dropped"] == {"processes": PROGRAMS - there}
        assert 0 < there < PROGRAMS

    run(work(), 240)
