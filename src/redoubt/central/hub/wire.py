"""``redoubt.v1.Sensors``: each cluster's stream, and what a cluster asks of images."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import structlog
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

import redoubt
from redoubt import tasks
from redoubt.central.clusters.issuing import requested
from redoubt.central.hub.admitting import identification, wanted_name
from redoubt.central.hub.images import LARGEST, Images
from redoubt.central.hub.intake import Link
from redoubt.central.hub.parts import Hub
from redoubt.central.hub.registering import register
from redoubt.central.hub.session import Communication, Session
from redoubt.central.hub.told import Told
from redoubt.central.refusals import AlreadyExists, FailedPrecondition, InvalidArgument, Refused
from redoubt.central.services import Services
from redoubt.central.store.hub import Lost, NewSession
from redoubt.errors import RedoubtError
from redoubt.wire import calls, chunks, clocks, failures
from redoubt.wire.identity import Identity, Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.indexer_pb2 import Registry
from redoubt.wire.proto.redoubt.v1.sensors_grpc import SensorsBase

ImageStream = Stream[pb.GetScannedImageRequest, pb.ScannedImagePart]
EnrichStream = Stream[pb.EnrichIndexReportRequest, pb.ScannedImagePart]

#: Seconds in which a Sensor says who it is.
_HELLO = 30.0
#: And in which the Sensor that was connected before must be gone.
_PATIENCE = 2.0
#: Characters of what a Sensor says of itself.
_LONGEST = 2000

_log = structlog.get_logger("hub")


class SensorService(SensorsBase):
    """See ``sensors.proto``."""

    def __init__(self, services: Services) -> None:
        self._hub = services.hub
        self._images = None if services.hub is None else Images(services, services.hub.delegation)

    @calls.allow(Service.SENSOR, Service.REGISTRANT)
    async def Communicate(self, stream: Communication) -> None:
        """See ``sensors.proto``."""
        hub, _ = self._available()
        with told():
            try:
                async with asyncio.timeout(_HELLO):
                    first = await calls.request(stream)
            except TimeoutError:
                raise InvalidArgument(f"no Hello came within {_HELLO:.0f} seconds") from None
            if first.WhichOneof("message") != "hello":
                raise InvalidArgument("a Sensor says Hello first")
            await _communicate(hub, stream, first.hello, first.clock)

    @calls.allow(Service.SENSOR, Service.ADMISSION_CONTROL)
    async def GetScannedImage(self, stream: ImageStream) -> None:
        """See ``sensors.proto``."""
        hub, images = self._available()
        with told():
            asked = await calls.request(stream)
            cluster = await hub.caller(stream)
            data = await images.get(
                asked.image_name[:_LONGEST], cluster, cached=asked.cached, namespace=asked.namespace[:253]
            )
            await _send(stream, data)

    @calls.allow(Service.SENSOR)
    async def GetRegistryAccess(self, stream: Stream[pb.RegistryAccessRequest, pb.RegistryAccess]) -> None:
        """See ``sensors.proto``."""
        hub, images = self._available()
        with told():
            asked = await calls.request(stream)
            cluster = await hub.caller(stream)
            if cluster is None:
                raise FailedPrecondition("it is not known which cluster this is; connect first")
            found = await images.registries(asked.image_name[:_LONGEST], cluster)
            lent = (
                Registry(
                    username=each.username,
                    password=each.password,
                    token=each.token,
                    ca=each.ca.encode(),
                    insecure=each.insecure,
                )
                for each in found
            )
            await stream.send_message(pb.RegistryAccess(registries=lent))

    @calls.allow(Service.SENSOR)
    async def EnrichIndexReport(self, stream: EnrichStream) -> None:
        """See ``sensors.proto``."""
        hub, images = self._available()
        with told():
            first = await calls.request(stream)
            cluster = await hub.caller(stream)
            if cluster is None:
                raise FailedPrecondition("it is not known which cluster this is; connect first")

            async def parts() -> AsyncIterator[bytes]:
                async for message in stream:
                    yield message.chunk

            async with images.reading:
                data = await chunks.join(parts(), first.size, LARGEST)
                found = await images.brought(first.image_name[:_LONGEST], data, cluster)
            await _send(stream, found)

    def _available(self) -> tuple[Hub, Images]:
        if self._hub is None or self._images is None:
            raise GRPCError(Status.UNIMPLEMENTED, "this Central looks after no clusters")
        return self._hub, self._images


async def _communicate(hub: Hub, stream: Communication, hello: pb.Hello, clock: int) -> None:
    identity = calls.peer(stream)
    assert identity is not None  # asked before
    if identity.service is Service.REGISTRANT:
        await _register(hub, stream, identity, hello)
        return
    await hub.trusted.check(identity.bundle_id)
    if not 0 < len(hello.spool) <= 100 or not hello.spool.isprintable():
        raise InvalidArgument("spool has 1 to 100 printable characters")
    said = identification(hello)
    cluster = await hub.admission.cluster(identity, hello)
    new = NewSession(
        cluster=cluster.id,
        holder=uuid4(),
        spool=hello.spool,
        version=_clean(hello.version, 100),
        capabilities=_clean(hello.capabilities),
        bundle=identity.bundle_id,
        identification=msgspec.json.encode(said).decode(),
        certificate_ends=datetime.fromtimestamp(identity.expires, UTC) if identity.expires else None,
        certificate_begins=datetime.fromtimestamp(identity.begins, UTC) if identity.begins else None,
    )
    if not await _begun(hub, new):
        _log.warning("a second Sensor of a cluster was refused", cluster=cluster.name)
        raise AlreadyExists(f"another Sensor of the cluster {cluster.name!r} is connected")
    try:
        if not identity.bundle_id and await hub.registrations.complete(cluster.id):
            _log.info("a registration secret is used up", cluster=cluster.name)
        acknowledged = await hub.store.acknowledged(cluster.id, new.spool)
        welcome = pb.Welcome(
            cluster_id=str(cluster.id),
            cluster_name=cluster.name,
            central_version=redoubt.__version__,
            acknowledged=acknowledged,
            clock=clocks.now(),
        )
        link = Link(cluster, new, acknowledged)
        link.clock(clock)
        told = Told(hub.pool, hub.baselines, cluster.id, new.holder, welcome)
        session = Session(stream, link, hub.intake, hub.store, told, hub.trusted, hub.issuer, hub.leaving)
        _log.info("a Sensor is connected", cluster=cluster.name, version=new.version, again=hello.reconnect)
        hub.pusher.connected(cluster.id, session)
        try:
            await session.run()
        except Lost:
            if await hub.exists(cluster.id):
                raise AlreadyExists("the cluster's Sensor has connected again elsewhere") from None
            raise FailedPrecondition("the cluster was deleted at Central") from None
        finally:
            hub.pusher.disconnected(cluster.id, session)
            _log.info("a Sensor is gone", cluster=cluster.name)
    finally:
        await tasks.to_the_end(hub.store.end(cluster.id, new.holder))


async def _begun(hub: Hub, new: NewSession) -> bool:
    """Have the cluster's stream. A Sensor that has just hung up may not be known to be gone yet."""
    until = asyncio.get_running_loop().time() + _PATIENCE
    while not (begun := await hub.store.begin(new)) and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(0.1)
    return begun


async def _register(hub: Hub, stream: Communication, identity: Identity, hello: pb.Hello) -> None:
    """The answer to a registrant, and the end of the stream."""
    # What could not be given anything takes no place.
    await asyncio.to_thread(hub.issuer.authority)
    await asyncio.to_thread(requested, hello.certificates, "")
    name = wanted_name(hello.cluster_name)
    cluster = await register(hub.pool, hub.settings, identity.bundle_id, name, identification(hello))
    certificates = await hub.issuer.issue(cluster.id, hello.certificates)
    if certificates.failure:
        raise InvalidArgument(certificates.failure)
    welcome = pb.Welcome(
        cluster_id=str(cluster.id),
        cluster_name=cluster.name,
        central_version=redoubt.__version__,
        certificates=certificates,
    )
    await stream.send_message(pb.ToSensor(welcome=welcome))


async def _send(stream: ImageStream | EnrichStream, data: bytes) -> None:
    await stream.send_message(pb.ScannedImagePart(size=len(data)))
    for chunk in chunks.cut(data):
        await stream.send_message(pb.ScannedImagePart(chunk=chunk))


@contextmanager
def told() -> Iterator[None]:
    """Failures as gRPC's statuses, with Central's own codes."""
    try:
        yield
    except FailedPrecondition as error:
        raise failures.status(error, Status.FAILED_PRECONDITION) from error  # alone it would mean definitions
    except Refused as error:
        raise GRPCError(Status(error.code.value), str(error)) from error
    except RedoubtError as error:
        raise failures.status(error) from error


def _clean(text: str, longest: int = _LONGEST) -> str:
    return text[:longest].replace("\x00", "")
