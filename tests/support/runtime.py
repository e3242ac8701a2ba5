"""A stand-in for the Sensor's store and its way to Central, and a real server for collectors in front of runtime detection."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from redoubt.errors import NetworkError
from redoubt.model import IndexReport, happening
from redoubt.model.cluster import EndpointRecord, Enforcement, FlowRecord
from redoubt.model.workload import Container, Deployment, Surroundings
from redoubt.policies import ImagePart, Policy, PolicySet
from redoubt.policies.alerts import Alert
from redoubt.sensor.identity.peers import Peers
from redoubt.sensor.runtime.audit import Auditing
from redoubt.sensor.runtime.detection import Runtime
from redoubt.sensor.runtime.surroundings import Place
from redoubt.sensor.serving.collectors import CollectorService
from redoubt.sensor.serving.nodes import NodeService
from redoubt.sensor.serving.probes import Probes
from redoubt.wire.failures import NotFound
from redoubt.wire.material import Material
from redoubt.wire.proto.redoubt.v1.secured_pb2 import CollectorConfig
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import FromSensor, Records
from redoubt.wire.server import OnePort


class Store:
    """What the Sensor knows of its cluster: a stand-in, filled by the test. It is judging and enforcing, too."""

    def __init__(self, policies: Sequence[Policy] = ()) -> None:
        self.containers: dict[str, Place] = {}
        self.pods: dict[str, Place] = {}
        self.addresses: dict[str, list[str]] = {}
        #: Ports of services, and the pods' that they lead to.
        self.ports: dict[int, int] = {}
        self.deployments: dict[str, Deployment] = {}
        self.policies = PolicySet(policies)
        self.cluster = ("11111111-2222-4333-8444-555555555555", "remote")
        self.enforced: list[Enforcement] = []

    def add(self, name: str, container: str = "", pod: str = "", addresses: Sequence[str] = ()) -> Deployment:
        """A deployment with one pod and one container."""
        made = Deployment(
            id=f"id-{name}",
            name=name,
            namespace="shop",
            type="Deployment",
            containers=(Container(name="main"),),
        )
        self.deployments[made.id] = made
        place = Place(
            deployment_id=made.id,
            namespace="shop",
            pod=f"{name}-1",
            pod_uid=pod or f"uid-{name}",
            container_name="main",
            image_id="sha256:" + "0" * 64,
        )
        if container:
            self.containers[container] = place
        if pod:
            self.pods[pod] = place
        for each in addresses:
            self.addresses[each] = [made.id]
        return made

    def container(self, container_id: str, pod_uid: str = "") -> Place | None:
        return self.containers.get(container_id)

    def pod(self, uid: str, *, late: bool = False) -> Place | None:
        return self.pods.get(uid)

    def addressed(self, address: str, port: int) -> Sequence[tuple[str, int]]:
        return [(each, self.ports.get(port, port)) for each in self.addresses.get(address, ())]

    def deployment(self, identifier: str) -> Deployment | None:
        return self.deployments.get(identifier)

    def parts(self, deployment: Deployment) -> Sequence[ImagePart | None]:
        return [None] * len(deployment.containers)

    def around(self, deployment: Deployment) -> Surroundings:
        return Surroundings()

    def in_namespace(self, namespace: str) -> Surroundings:
        return Surroundings()

    def enforce(self, asked: Enforcement) -> None:
        self.enforced.append(asked)


class Sent:
    """What would go to Central. ``failing``: there is no room on the disk."""

    def __init__(self) -> None:
        self.messages: list[FromSensor] = []
        self.failing = False

    async def put(self, *messages: FromSensor) -> None:
        if self.failing:
            raise NetworkError("no space left on device")
        self.messages += messages

    @property
    def processes(self) -> list[happening.Process]:
        return self._of(Records.PROCESSES, happening.Process)

    @property
    def flows(self) -> list[FlowRecord]:
        return self._of(Records.FLOWS, FlowRecord)

    @property
    def endpoints(self) -> list[EndpointRecord]:
        return self._of(Records.ENDPOINTS, EndpointRecord)

    @property
    def alerts(self) -> list[Alert]:
        return [
            alert
            for each in self.messages
            if each.HasField("alerts")
            for alert in msgspec.json.decode(each.alerts.alerts, type=list[Alert])
        ]

    @property
    def dropped(self) -> int:
        return sum(each.records.dropped for each in self.messages)

    @property
    def reports(self) -> list[IndexReport]:
        return [
            msgspec.json.decode(zlib.decompress(each.node.report), type=IndexReport)
            for each in self.messages
            if each.HasField("node")
        ]

    def _of(self, kind: int, struct: type) -> list:  # type: ignore[type-arg]
        return [
            record
            for each in self.messages
            if each.HasField("records") and each.records.kind == kind
            for record in msgspec.msgpack.decode(each.records.records, type=list[struct])  # type: ignore[valid-type]
        ]


class Sensor:
    """Runtime detection behind a real port, over stand-ins."""

    def __init__(self, store: Store, tls: Material, sent: Sent | None = None, **options: object) -> None:
        self.store = store
        self.sent = sent or Sent()
        self.runtime = Runtime(store, store, store, self.sent, **{"interval": 0.05} | options)  # type: ignore[arg-type]
        self.config = CollectorConfig()
        #: What Central has of probes: stands in for it.
        self.packages: dict[str, bytes] = {}
        self.collectors = CollectorService(self.runtime, lambda: self.config, Probes(self._package), Peers())
        self.auditing = Auditing(store)
        self.one = OnePort(tls=tls, services=[self.collectors, NodeService(self.auditing, self.sent)])

    @property
    def port(self) -> int:
        return self.one.port

    async def _package(self, path: str) -> bytes:
        if path not in self.packages:
            raise NotFound(f"no probe {path}")
        return self.packages[path]


@asynccontextmanager
async def sensor(store: Store, tls: Material, port: int = 0, **options: object) -> AsyncIterator[Sensor]:
    """Running."""
    made = Sensor(store, tls, **options)
    await made.one.start("127.0.0.1", port)
    running = asyncio.create_task(made.runtime.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])
        await made.one.stop(0)
