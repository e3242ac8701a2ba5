"""The Matcher's gRPC service: index reports in, findings out. The work is ``matching``'s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

import msgspec
from grpclib.server import Stream

import redoubt
from redoubt.definitions.snapshot import Snapshot
from redoubt.errors import UnreadableInput, UsageError
from redoubt.matcher.apart import Subject
from redoubt.matcher.asked import Answers, decode, encode
from redoubt.model import Detection, IndexReport
from redoubt.scanner.following import Follower
from redoubt.scanner.indexer import JSON
from redoubt.scanner.matching import Matching
from redoubt.wire import calls, chunks
from redoubt.wire.channel import Channel
from redoubt.wire.failures import Changed
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import indexer_pb2
from redoubt.wire.proto.redoubt.v1 import matcher_pb2 as pb
from redoubt.wire.proto.redoubt.v1.indexer_grpc import IndexerStub
from redoubt.wire.proto.redoubt.v1.matcher_grpc import MatcherBase

MatchStream = Stream[pb.MatchRequest, pb.MatchReply]
PackagesStream = Stream[pb.MatchPackagesRequest, pb.MatchPackagesReply]
MetadataStream = Stream[pb.GetMetadataRequest, pb.Metadata]

_reports = msgspec.json.Decoder(IndexReport)


class MatcherService(MatcherBase):
    """``redoubt.v1.Matcher`` over ``matching``, whose definitions ``follower`` keeps current."""

    def __init__(self, matching: Matching, follower: Follower, indexer: Channel | None) -> None:
        self._matching = matching
        self._follower = follower
        self._indexer = indexer

    @calls.allow(Service.CENTRAL, Service.SENSOR)
    async def Match(self, stream: MatchStream) -> None:
        """See ``matcher.proto``."""
        begin = (await calls.request(stream)).begin
        data = await self._fetched(begin.hash_id) if begin.hash_id else await _sent(stream, begin)
        report = await asyncio.to_thread(_decoded, data)
        try:
            detection = Detection(begin.detection or Detection.PRECISE)
        except ValueError:
            raise UsageError(f"{begin.detection[:40]!r} is no way of detecting") from None
        found = await self._matching.match(report, detection)
        answer = await asyncio.to_thread(msgspec.json.encode, found)
        begun = pb.MatchBegun(definitions=found.definitions.digest, size=len(answer), media_type=JSON)
        await stream.send_message(pb.MatchReply(begun=begun))
        for chunk in chunks.cut(answer):
            await stream.send_message(pb.MatchReply(chunk=chunk))

    @calls.allow(Service.CENTRAL, Service.SENSOR)
    async def MatchPackages(self, stream: PackagesStream) -> None:
        """See ``matcher.proto``."""
        with self._matching.definitions() as snapshot:
            answers = await asyncio.to_thread(Answers, snapshot)
            async for request in stream:
                if request.definitions and request.definitions != snapshot.info.digest:
                    raise Changed("the Matcher has other definitions now; begin again")
                data = await self._matching.work(partial(_answered, request, snapshot, answers))
                pieces = list(chunks.cut(data))
                for number, piece in enumerate(pieces, 1):
                    await stream.send_message(
                        pb.MatchPackagesReply(
                            definitions=snapshot.info.digest, answered=piece, more=number < len(pieces)
                        )
                    )

    @calls.allow(Service.CENTRAL, Service.SENSOR)
    async def GetMetadata(self, stream: MetadataStream) -> None:
        """See ``matcher.proto``."""
        await calls.request(stream)
        info = self._matching.info
        said = pb.Metadata(
            ready=info is not None, matcher_version=redoubt.__version__, pending=self._follower.problem
        )
        if info is not None:
            said.definitions, said.channel, said.version = info.digest, info.channel, info.version
            said.built = info.created
            said.activated = datetime.fromtimestamp(self._matching.since, UTC).isoformat(timespec="seconds")
            for source in info.sources:
                said.sources.add(name=source.name, newest=source.newest, advisories=source.records)
        await stream.send_message(said)

    async def _fetched(self, hash_id: str) -> bytes:
        if self._indexer is None:
            raise UsageError("this Matcher knows no Indexer; send the index report itself")
        stub = IndexerStub(self._indexer)
        with self._indexer.told():
            async with stub.GetIndexReport.open() as call:
                await call.send_message(indexer_pb2.GetIndexReportRequest(hash_id=hash_id), end=True)
                first = await call.recv_message()
                if first is None:
                    raise UnreadableInput("the Indexer sent no report")

                async def rest() -> AsyncIterator[bytes]:
                    async for part in call:
                        yield part.chunk

                return await chunks.join(rest(), first.begun.size)


async def _sent(stream: MatchStream, begin: pb.MatchBegin) -> bytes:
    async def rest() -> AsyncIterator[bytes]:
        async for request in stream:
            yield request.chunk

    return await chunks.join(rest(), begin.size)


def _answered(request: pb.MatchPackagesRequest, snapshot: Snapshot, answers: Answers) -> bytes:
    """In a thread: what is asked, packed."""
    match request.question:
        case pb.MatchPackagesRequest.INFO:
            return encode([snapshot.info])
        case pb.MatchPackagesRequest.JUDGE:
            return encode(answers.judge(decode(request.asked, list[Subject])))
        case pb.MatchPackagesRequest.MARKS:
            return encode(answers.marks(decode(request.asked, list[Subject])))
        case pb.MatchPackagesRequest.SCORES:
            return encode(answers.scores(decode(request.asked, list[str])))
        case pb.MatchPackagesRequest.ENDS_OF_LIFE:
            return encode(answers.ends_of_life(decode(request.asked, list[str])))
    raise UsageError("the Matcher does not know this question; is it older than Central?")


def _decoded(data: bytes) -> IndexReport:
    try:
        return _reports.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise UnreadableInput(f"this is no index report ({error})") from None
