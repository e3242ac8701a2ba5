"""The Indexer's gRPC service: images in, index reports out. The work is ``indexing``'s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from grpclib.server import Stream

import redoubt
from redoubt.errors import UsageError
from redoubt.model import IndexReport, Platform
from redoubt.scanner.indexing import Asked, Indexing
from redoubt.wire import calls, chunks
from redoubt.wire.failures import NotFound
from redoubt.wire.identity import MATCHERS, Service
from redoubt.wire.proto.redoubt.v1 import indexer_pb2 as pb
from redoubt.wire.proto.redoubt.v1.indexer_grpc import IndexerBase

JSON = "application/json"
#: Seconds between two words about progress.
_TELL = 0.25

CreateStream = Stream[pb.CreateIndexReportRequest, pb.CreateIndexReportReply]
GetStream = Stream[pb.GetIndexReportRequest, pb.ReportPart]
HasStream = Stream[pb.HasIndexReportRequest, pb.HasIndexReportReply]


class IndexerService(IndexerBase):
    """``redoubt.v1.Indexer`` over ``indexing``. ``offline``: as if every request said so."""

    def __init__(self, indexing: Indexing, *, offline: bool = False) -> None:
        self._indexing = indexing
        self._offline = offline

    @calls.allow(Service.CENTRAL, Service.SENSOR)
    async def CreateIndexReport(self, stream: CreateStream) -> None:
        """See ``indexer.proto``."""
        asked = _asked(await calls.request(stream), offline=self._offline)
        told = _Told()
        work = asyncio.create_task(self._indexing.create(asked, told.layer))
        try:
            last: pb.Progress | None = None
            while not work.done():
                await asyncio.wait({work}, timeout=_TELL)
                if not work.done() and (now := told.progress()) != last:
                    last = now
                    await stream.send_message(pb.CreateIndexReportReply(progress=now))
            async for part in self._parts(await work):
                await stream.send_message(pb.CreateIndexReportReply(part=part))
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    @calls.allow(Service.CENTRAL, Service.SENSOR, *MATCHERS)
    async def GetIndexReport(self, stream: GetStream) -> None:
        """See ``indexer.proto``."""
        hash_id = (await calls.request(stream)).hash_id
        report = await self._indexing.get(hash_id)
        if report is None:
            raise NotFound(f"the Indexer has no report of {hash_id[:80]}; have the image scanned")
        async for part in self._parts(report):
            await stream.send_message(part)

    @calls.allow(Service.CENTRAL, Service.SENSOR, *MATCHERS)
    async def HasIndexReport(self, stream: HasStream) -> None:
        """See ``indexer.proto``."""
        hash_id = (await calls.request(stream)).hash_id
        await stream.send_message(
            pb.HasIndexReportReply(exists=await self._indexing.has(hash_id), indexer_version=self._version)
        )

    @property
    def _version(self) -> str:
        return f"{redoubt.__version__}+{self._indexing.mark}"

    async def _parts(self, report: IndexReport) -> AsyncIterator[pb.ReportPart]:
        data = await asyncio.to_thread(msgspec.json.encode, report)
        begun = pb.Begun(
            hash_id=report.image.digest, size=len(data), media_type=JSON, indexer_version=self._version
        )
        yield pb.ReportPart(begun=begun)
        for chunk in chunks.cut(data):
            yield pb.ReportPart(chunk=chunk)


class _Told:
    """How far the layers are, as threads tell it."""

    def __init__(self) -> None:
        self._layers: dict[int, tuple[int, int]] = {}

    def layer(self, layer: int, done: int, total: int) -> None:
        """See ``indexing.Progress``."""
        self._layers[layer] = (done, total)

    def progress(self) -> pb.Progress:
        """The sum."""
        layers = list(self._layers.values())
        return pb.Progress(
            stage=pb.Progress.LAYERS if layers else pb.Progress.RESOLVING,
            layers=len(layers),
            layers_done=sum(done == total for done, total in layers),
            bytes_read=sum(done for done, _ in layers),
        )


def _asked(request: pb.CreateIndexReportRequest, *, offline: bool) -> Asked:
    registry = request.registry
    if not request.reference:
        raise UsageError("the request names no image")
    try:
        ca = registry.ca.decode("ascii")
    except UnicodeDecodeError:
        raise UsageError("the registry's CA is not in PEM form") from None
    return Asked(
        reference=request.reference,
        username=registry.username or ("<token>" if registry.token else ""),
        password=registry.password or registry.token,
        ca=ca,
        insecure=registry.insecure,
        platform=_platform(request.platform),
        offline=registry.offline or offline,
        hosts=frozenset(host.lower() for host in registry.hosts),
        force=request.again,
    )


def _platform(text: str) -> Platform | None:
    if not text:
        return None
    parts = text.split("/")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise UsageError(f"{text[:80]!r} is not a platform; write os/architecture")
    return Platform(*parts)
