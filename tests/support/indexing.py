"""A stand-in for a cluster's Indexer: it finds the same in every image that a test lets it have. Not an Indexer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from grpclib.server import Stream

from redoubt.errors import RedoubtError
from redoubt.wire import calls, failures
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import indexer_pb2
from redoubt.wire.proto.redoubt.v1.indexer_grpc import IndexerBase
from redoubt.wire.server import OnePort
from support.wire import Certificates

REPORT = b"report"
Asked = indexer_pb2.CreateIndexReportRequest


class Indexer(IndexerBase):
    """``refuses``: why a request is not answered with the report; None where it is."""

    def __init__(self, refuses: Callable[[Asked], RedoubtError | None] = lambda _: None) -> None:
        self.asked: list[Asked] = []
        self.refuses = refuses
        #: Nobody is answered before.
        self.ready = asyncio.Event()
        self.ready.set()

    @property
    def tried(self) -> list[tuple[str, str]]:
        """References, and users."""
        return [(each.reference, each.registry.username) for each in self.asked]

    @calls.allow(Service.SENSOR)
    async def CreateIndexReport(self, stream: Stream[Asked, indexer_pb2.CreateIndexReportReply]) -> None:
        asked = await calls.request(stream)
        self.asked.append(asked)
        await self.ready.wait()
        if (error := self.refuses(asked)) is not None:
            raise failures.status(error)
        step = indexer_pb2.Progress(stage=indexer_pb2.Progress.LAYERS)
        await stream.send_message(indexer_pb2.CreateIndexReportReply(progress=step))
        begun = indexer_pb2.ReportPart(begun=indexer_pb2.Begun(size=len(REPORT)))
        await stream.send_message(indexer_pb2.CreateIndexReportReply(part=begun))
        for chunk in (REPORT[:3], REPORT[3:]):
            part = indexer_pb2.ReportPart(chunk=chunk)
            await stream.send_message(indexer_pb2.CreateIndexReportReply(part=part))

    @calls.allow(Service.SENSOR)
    async def GetIndexReport(self, stream: Any) -> None:
        raise NotImplementedError

    @calls.allow(Service.SENSOR)
    async def HasIndexReport(self, stream: Any) -> None:
        await calls.request(stream)
        await stream.send_message(indexer_pb2.HasIndexReportReply(indexer_version="9"))


@asynccontextmanager
async def indexing(made: Indexer, certificates: Certificates) -> AsyncIterator[str]:
    """The stand-in on a port of loopback; where it is."""
    server = OnePort(tls=certificates.material(Service.SCANNER_V4_INDEXER), services=[made])
    await server.start("127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.stop(0.1)
