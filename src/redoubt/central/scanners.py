"""The Indexer and the Matcher as Central calls them: structs in and out, over the wire's channels.

Whatever fails is one of Redoubt's errors: ``wire.failures.Unavailable`` where the service is not reached, and what the
service itself refused with as it was. Knows neither images that are kept nor integrations.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.model import IndexReport, VulnerabilityReport
from redoubt.wire import chunks
from redoubt.wire.channel import Channel
from redoubt.wire.failures import NotFound, Unavailable
from redoubt.wire.proto.redoubt.v1 import indexer_pb2, matcher_pb2
from redoubt.wire.proto.redoubt.v1.indexer_grpc import IndexerStub
from redoubt.wire.proto.redoubt.v1.matcher_grpc import MatcherStub

_JSON = "application/json"

R = TypeVar("R")
Replies: TypeAlias = AsyncIterable[indexer_pb2.CreateIndexReportReply]
Part: TypeAlias = indexer_pb2.ReportPart | matcher_pb2.MatchReply


class Call(Protocol):
    """A call of grpclib's that is under way."""

    async def recv_trailing_metadata(self) -> None: ...


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How a registry is reached. ``ca`` is PEM. ``hosts`` are the only ones that count where ``offline``.

    ``name`` and ``integration`` say where this was found: an integration's name and id, or nothing.
    """

    username: str = ""
    password: str = ""
    #: An identity token (OAuth2 refresh token) in place of a user name and password.
    token: str = ""
    ca: str = ""
    insecure: bool = False
    offline: bool = False
    hosts: frozenset[str] = frozenset()
    name: str = ""
    integration: str = ""

    def __repr__(self) -> str:
        return f"Access({self.name!r})"

    @property
    def known(self) -> bool:
        """Whether it has credentials."""
        return bool(self.username or self.token)


class Progress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far an Indexer is."""

    layers: int = 0
    layers_done: int = 0
    bytes_read: int = 0


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a Matcher says of itself. ``definitions`` is empty where it has none."""

    ready: bool
    definitions: str = ""
    version: str = ""
    pending: str = ""


class Indexer:
    """``redoubt.v1.Indexer`` at the other end of ``channel``."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stub = IndexerStub(channel)

    async def index(
        self,
        reference: str,
        access: Access,
        *,
        platform: str = "",
        force: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> IndexReport:
        """The report of an image. ``platform`` is ``os/architecture[/variant]``; empty: the Indexer's own.

        Raises as ``redoubt.scanner.indexing.Indexing.create``, and ``Unavailable``.
        """
        request = indexer_pb2.CreateIndexReportRequest(
            reference=reference,
            platform=platform,
            again=force,
            registry=indexer_pb2.Registry(
                username=access.username,
                password=access.password,
                token=access.token,
                ca=access.ca.encode(),
                insecure=access.insecure,
                hosts=sorted(access.hosts),
                offline=access.offline,
            ),
        )

        async def parts(replies: Replies) -> AsyncIterator[Part]:
            async for reply in replies:
                if reply.WhichOneof("step") == "part":
                    yield reply.part
                elif progress is not None:
                    said = reply.progress
                    progress(
                        Progress(layers=said.layers, layers_done=said.layers_done, bytes_read=said.bytes_read)
                    )

        with self._channel.told():
            async with self._stub.CreateIndexReport.open() as call:
                await call.send_message(request, end=True)
                return await _joined(call, parts(call), self._channel.address, IndexReport)

    async def get(self, digest: str) -> IndexReport | None:
        """The report that the Indexer keeps of a digest, or None."""

        try:
            with self._channel.told():
                async with self._stub.GetIndexReport.open() as call:
                    await call.send_message(indexer_pb2.GetIndexReportRequest(hash_id=digest), end=True)
                    return await _joined(call, aiter(call), self._channel.address, IndexReport)
        except NotFound:
            return None


class Matcher:
    """``redoubt.v1.Matcher`` at the other end of ``channel``."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stub = MatcherStub(channel)

    async def match(self, report: IndexReport) -> VulnerabilityReport:
        """What the Matcher's definitions say of ``report``. Raises ``DefinitionsMissing``, ``Unavailable``."""
        data = await asyncio.to_thread(msgspec.json.encode, report)
        begin = matcher_pb2.MatchBegin(size=len(data), media_type=_JSON)
        with self._channel.told():
            async with self._stub.Match.open() as call:
                await call.send_message(matcher_pb2.MatchRequest(begin=begin))
                for chunk in chunks.cut(data):
                    await call.send_message(matcher_pb2.MatchRequest(chunk=chunk))
                await call.end()
                return await _joined(call, aiter(call), self._channel.address, VulnerabilityReport)

    async def metadata(self) -> Metadata:
        """Which definitions it has."""
        with self._channel.told():
            said = await self._stub.GetMetadata(matcher_pb2.GetMetadataRequest())
        return Metadata(
            ready=said.ready,
            definitions=said.definitions,
            version=said.matcher_version,
            pending=said.pending,
        )


async def _joined(call: Call, parts: AsyncIterator[Part], where: str, kind: type[R]) -> R:
    """The report out of a ``begun`` and its chunks, read off the loop: large ones take a while."""

    async def rest() -> AsyncIterator[bytes]:
        async for part in parts:
            yield part.chunk

    try:
        first = await anext(parts, None)
        if first is None or first.WhichOneof("part") != "begun":
            raise UnreadableInput("no report came")
        data = await chunks.join(rest(), first.begun.size)
    except LimitExceeded:
        raise
    except UnreadableInput as error:
        # A call that ended early says why in its trailers; reading them raises it.
        await call.recv_trailing_metadata()
        raise Unavailable(f"{where}: {error}") from None
    try:
        return await asyncio.to_thread(msgspec.json.decode, data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unavailable(
            f"{where}: sent a report that cannot be read ({error}); are both of one version?"
        ) from None
