"""``Collectors``: the cluster's Collectors, a stream each."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable

import msgspec
import structlog
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from redoubt import tasks
from redoubt.model.noderecords import CollectorHealth
from redoubt.sensor.identity.peers import Peers
from redoubt.sensor.runtime.detection import Runtime, Session
from redoubt.sensor.serving.probes import Probes
from redoubt.wire import calls, chunks
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1.secured_grpc import CollectorsBase
from redoubt.wire.proto.redoubt.v1.secured_pb2 import (
    CollectorConfig,
    FromCollector,
    GetProbeRequest,
    ProbePart,
    ToCollector,
)

_log = structlog.get_logger("sensor.collectors")

#: A node's name has at most 253 characters.
_LONGEST = 253


class CollectorService(CollectorsBase):
    """``configured`` gives what collectors are told; ``changed`` is to be called when that is something else."""

    def __init__(
        self, runtime: Runtime, configured: Callable[[], CollectorConfig], probes: Probes, peers: Peers
    ) -> None:
        self._runtime = runtime
        self._probes = probes
        self._peers = peers
        self._configured = configured
        self._sensor = secrets.token_hex(16)
        self._streams: set[asyncio.Event] = set()

    def changed(self) -> None:
        """Tell all what is configured now."""
        for each in self._streams:
            each.set()

    @calls.allow(Service.COLLECTOR)
    async def Communicate(self, stream: Stream[FromCollector, ToCollector]) -> None:
        """See the protocol."""
        first = await calls.request(stream)
        hello = first.hello
        if not 0 < len(hello.hostname) <= _LONGEST or not 0 < len(hello.instance) <= _LONGEST:
            raise GRPCError(Status.INVALID_ARGUMENT, "a collector says first which node it is on")
        session = self._runtime.session(hello.hostname, hello.instance)
        session.version = hello.version
        session.clock(first.clock)
        more = asyncio.Event()
        tell = more.set
        session.tell = tell
        changed = asyncio.Event()
        changed.set()
        self._streams.add(changed)
        _log.info("a collector", node=hello.hostname, version=hello.version, kernel=hello.kernel)
        answering = [
            asyncio.create_task(self._acknowledge(stream, session, more)),
            asyncio.create_task(self._configure(stream, session, changed)),
        ]
        try:
            with self._peers.there(stream):
                async for message in stream:
                    await self._take(session, message)
        finally:
            self._streams.discard(changed)
            if session.tell is tell:
                self._runtime.away(session)
            await tasks.end(*answering)

    async def _take(self, session: Session, message: FromCollector) -> None:
        if message.HasField("events"):
            await self._runtime.take(session, message.number, message.events)
        elif message.HasField("health"):
            session.clock(message.clock)
            try:
                session.health = msgspec.json.decode(message.health, type=CollectorHealth)
            except msgspec.MsgspecError as error:
                raise GRPCError(Status.INVALID_ARGUMENT, f"health that cannot be read: {error}") from None

    async def _acknowledge(
        self, stream: Stream[FromCollector, ToCollector], session: Session, more: asyncio.Event
    ) -> None:
        told = 0
        while True:
            if session.acknowledged > told:
                told = session.acknowledged
                await stream.send_message(ToCollector(acknowledged=told))
            await more.wait()
            more.clear()

    async def _configure(
        self, stream: Stream[FromCollector, ToCollector], session: Session, changed: asyncio.Event
    ) -> None:
        while True:
            await changed.wait()
            changed.clear()
            config = CollectorConfig()
            config.CopyFrom(self._configured())
            config.sensor = f"{self._sensor}.{session.again}"
            await stream.send_message(ToCollector(config=config))

    @calls.allow(Service.COLLECTOR)
    async def GetProbe(self, stream: Stream[GetProbeRequest, ProbePart]) -> None:
        """See the protocol."""
        asked = await calls.request(stream)
        data = await self._probes.get(asked.kernel, asked.version)
        first = ProbePart(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        await stream.send_message(first)
        for chunk in chunks.cut(data):
            await stream.send_message(ProbePart(chunk=chunk))
