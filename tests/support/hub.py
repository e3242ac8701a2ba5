"""A small stand-in for Central's end of the Sensors' stream: it keeps in memory what a Sensor says. Not Central.

It does what ``sensors.proto`` asks of Central, and nothing else: config, policies, baselines and what it knows, in this order,
then acknowledgements. Objects are kept by kind and UID as long as the stand-in lives, so that a Sensor that comes back finds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from redoubt.model.cluster import BaselineSync, ClusterConfig
from redoubt.model.scannedimage import ScannedImage
from redoubt.policies.alerts import Alert
from redoubt.policies.policy import Policy
from redoubt.wire import calls, chunks
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.indexer_pb2 import Registry
from redoubt.wire.proto.redoubt.v1.sensors_grpc import SensorsBase
from redoubt.wire.server import OnePort
from support.wire import Certificates

T = TypeVar("T")
CLUSTER = "aaaaaaaa-0000-4000-8000-000000000001"


class StandIn(SensorsBase):
    """Central's end. ``acknowledging`` off: it takes everything and says nothing, as one that cannot store."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
        self.hellos: list[pb.Hello] = []
        self.synced: list[pb.Synced] = []
        self.alerts: list[tuple[int, str, list[Alert]]] = []
        self.records: list[pb.Records] = []
        self.health: list[dict[str, Any]] = []
        self.answers: dict[str, pb.Answer] = {}
        self.pull_secrets: list[dict[str, Any]] = []
        self.numbers: dict[str, int] = {}
        self.twice = 0
        self.sent_objects = 0
        self.acknowledging = True
        self.policies: Sequence[Policy] = ()
        self.revision = 1
        self.config = ClusterConfig(cluster_id=CLUSTER, cluster_name="test")
        self.images: dict[str, ScannedImage] = {}
        self.asked_images: list[pb.GetScannedImageRequest] = []
        self.reports: list[tuple[str, bytes]] = []
        #: What is lent for an image's name.
        self.registries: dict[str, list[Registry]] = {}
        self._streams: list[Stream[pb.FromSensor, pb.ToSensor]] = []

    @calls.allow(Service.SENSOR)
    async def Communicate(self, stream: Stream[pb.FromSensor, pb.ToSensor]) -> None:
        hello = (await calls.request(stream)).hello
        self.hellos.append(hello)
        last = self.numbers.setdefault(hello.spool, 0)
        welcome = pb.Welcome(cluster_id=CLUSTER, cluster_name="test", acknowledged=last)
        await stream.send_message(pb.ToSensor(welcome=welcome))
        await stream.send_message(self._config())
        await stream.send_message(self._policies())
        whole = msgspec.json.encode(BaselineSync(whole=True))
        await stream.send_message(pb.ToSensor(baselines=pb.Baselines(baselines=whole)))
        known = pb.Known(whole=True)
        for (kind, identifier), (hash_, _) in self.objects.items():
            known.objects.add(kind=kind, id=identifier, hash=hash_)
        await stream.send_message(pb.ToSensor(known=known))
        self._streams.append(stream)
        try:
            here: set[tuple[str, str]] = set()
            async for message in stream:
                await self._take(hello.spool, message, here, stream)
        finally:
            self._streams.remove(stream)

    async def _take(
        self,
        spool: str,
        message: pb.FromSensor,
        here: set[tuple[str, str]],
        stream: Stream[pb.FromSensor, pb.ToSensor],
    ) -> None:
        if message.number:
            if message.number <= self.numbers[spool]:
                self.twice += 1
                return
            self.numbers[spool] = message.number
            if self.acknowledging:
                await stream.send_message(pb.ToSensor(acknowledged=message.number))
        match message.WhichOneof("message"):
            case "object":
                self._object(message.object, here)
            case "synced":
                self._reconcile(message.synced, here)
            case "alerts":
                found = msgspec.json.decode(message.alerts.alerts, type=list[Alert], strict=False)
                self.alerts.append((message.alerts.stage, message.alerts.deployment_id, found))
            case "records":
                self.records.append(message.records)
            case "health":
                self.health.append(msgspec.json.decode(message.health.health))
            case "answer":
                self.answers[message.answer.request_id] = message.answer
            case "pull_secrets":
                self.pull_secrets = msgspec.json.decode(message.pull_secrets.secrets)

    def _object(self, event: pb.ObjectEvent, here: set[tuple[str, str]]) -> None:
        self.sent_objects += 1
        key = event.kind, event.id
        if event.action == pb.ObjectEvent.REMOVE:
            self.objects.pop(key, None)
            here.discard(key)
        else:
            self.objects[key] = event.hash, msgspec.json.decode(event.object)
            here.add(key)

    def _reconcile(self, synced: pb.Synced, here: set[tuple[str, str]]) -> None:
        there = here | {(each.kind, one) for each in synced.unchanged for one in each.ids}
        self.objects = {key: found for key, found in self.objects.items() if key in there}
        self.synced.append(synced)

    def _config(self) -> pb.ToSensor:
        return pb.ToSensor(config=pb.Config(config=msgspec.json.encode(self.config)))

    def _policies(self) -> pb.ToSensor:
        content = msgspec.json.encode(list(self.policies))
        return pb.ToSensor(policies=pb.Policies(revision=self.revision, policies=content))

    async def say(self, message: pb.ToSensor) -> None:
        """To every Sensor that is connected."""
        for stream in self._streams:
            await stream.send_message(message)

    async def say_policies(self, policies: Sequence[Policy]) -> None:
        """Others than before."""
        self.policies, self.revision = policies, self.revision + 1
        await self.say(self._policies())

    @calls.allow(Service.SENSOR, Service.ADMISSION_CONTROL)
    async def GetScannedImage(self, stream: Stream[pb.GetScannedImageRequest, pb.ScannedImagePart]) -> None:
        request = await calls.request(stream)
        self.asked_images.append(request)
        found = self.images.get(request.image_name)
        if found is None:
            raise GRPCError(Status.NOT_FOUND, "no such image")
        content = msgspec.json.encode(found)
        await stream.send_message(pb.ScannedImagePart(size=len(content)))
        for chunk in chunks.cut(content):
            await stream.send_message(pb.ScannedImagePart(chunk=chunk))

    @calls.allow(Service.SENSOR)
    async def GetRegistryAccess(self, stream: Stream[pb.RegistryAccessRequest, pb.RegistryAccess]) -> None:
        request = await calls.request(stream)
        await stream.send_message(pb.RegistryAccess(registries=self.registries.get(request.image_name, ())))

    @calls.allow(Service.SENSOR)
    async def EnrichIndexReport(
        self, stream: Stream[pb.EnrichIndexReportRequest, pb.ScannedImagePart]
    ) -> None:
        request = await calls.request(stream)
        content = b"".join([part.chunk async for part in stream])
        self.reports.append((request.image_name, content))
        found = msgspec.json.encode(ScannedImage())
        await stream.send_message(pb.ScannedImagePart(size=len(found)))
        await stream.send_message(pb.ScannedImagePart(chunk=found))

    # What tests ask

    def of(self, kind: str, name: str = "", namespace: str = "") -> list[dict[str, Any]]:
        """Objects of a kind."""
        return [
            found
            for (one, _), (_, found) in self.objects.items()
            if one == kind and name in ("", found.get("name")) and namespace in ("", found.get("namespace"))
        ]

    async def until(self, what: str, happened: Callable[[], T], within: float = 30.0) -> T:
        """What ``happened`` gives once it is true."""
        end = asyncio.get_running_loop().time() + within
        while not (found := happened()):
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"{what} did not come within {within:.0f} s")
            await asyncio.sleep(0.02)
        return found


@asynccontextmanager
async def listening(made: StandIn, certificates: Certificates, port: int = 0) -> AsyncIterator[OnePort]:
    """The stand-in on a port of loopback, with Central's certificate."""
    server = OnePort(tls=certificates.material(Service.CENTRAL), services=[made])
    await server.start("127.0.0.1", port)
    try:
        yield server
    finally:
        await server.stop(0.2)
