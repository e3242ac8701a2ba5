"""Who is asked what definitions say of packages: a Matcher, or a snapshot in this process.

All that one ``Judge`` says is of one snapshot, which ``info`` names. Verdicts hold no EPSS (``matcher.apart``); it is
asked for apart, since it changes daily and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from grpclib.exceptions import ProtocolError

from redoubt.definitions.snapshot import Snapshot
from redoubt.errors import UnreadableInput
from redoubt.matcher.apart import Subject, Verdict
from redoubt.matcher.asked import Answers, decode, encode
from redoubt.model import DefinitionsInfo, Epss
from redoubt.wire.channel import Channel
from redoubt.wire.chunks import LARGEST
from redoubt.wire.proto.redoubt.v1 import matcher_pb2 as pb
from redoubt.wire.proto.redoubt.v1.matcher_grpc import MatcherStub

if TYPE_CHECKING:
    from redoubt.wire.channel import ClientStream

    Call: TypeAlias = ClientStream[pb.MatchPackagesRequest, pb.MatchPackagesReply]
    Question: TypeAlias = pb.MatchPackagesRequest.Question.ValueType

T = TypeVar("T")


class Judge(Protocol):
    """Definitions, asked about many packages at a time. Raises ``RedoubtError`` where it cannot be reached."""

    @property
    def info(self) -> DefinitionsInfo:
        """Which definitions these are."""

    async def judge(self, subjects: Sequence[Subject]) -> list[Verdict]:
        """A verdict for each, in order."""

    async def marks(self, questions: Sequence[Subject]) -> list[bytes]:
        """For each question a digest of what is said about it: the same digest, the same verdicts."""

    async def scores(self, cves: Sequence[str]) -> list[Epss | None]:
        """The EPSS of each."""

    async def ends_of_life(self, releases: Sequence[str]) -> list[str]:
        """From when each release (``namespaces.lifecycle``) is no longer looked after; empty if not known."""


class LocalJudge:
    """An open snapshot, asked in threads."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._answers = Answers(snapshot)

    @property
    def info(self) -> DefinitionsInfo:
        return self._snapshot.info

    async def judge(self, subjects: Sequence[Subject]) -> list[Verdict]:
        return await asyncio.to_thread(self._answers.judge, subjects)

    async def marks(self, questions: Sequence[Subject]) -> list[bytes]:
        return await asyncio.to_thread(self._answers.marks, questions)

    async def scores(self, cves: Sequence[str]) -> list[Epss | None]:
        return await asyncio.to_thread(self._answers.scores, cves)

    async def ends_of_life(self, releases: Sequence[str]) -> list[str]:
        return await asyncio.to_thread(self._answers.ends_of_life, releases)


class WireJudge:
    """A Matcher. Its definitions are those that it had when it was first asked; made by ``of_matcher``."""

    def __init__(self, channel: Channel, info: DefinitionsInfo, call: Call) -> None:
        self._channel = channel
        self._info = info
        self._call = call
        self._one = asyncio.Lock()

    @property
    def info(self) -> DefinitionsInfo:
        return self._info

    async def judge(self, subjects: Sequence[Subject]) -> list[Verdict]:
        # Each batch in a call of its own, so that several are judged at a time.
        async with _call(self._channel) as call:
            return await _ask(call, pb.MatchPackagesRequest.JUDGE, subjects, list[Verdict], self._info.digest)

    async def marks(self, questions: Sequence[Subject]) -> list[bytes]:
        return await self._again(pb.MatchPackagesRequest.MARKS, questions, list[bytes])

    async def scores(self, cves: Sequence[str]) -> list[Epss | None]:
        return await self._again(pb.MatchPackagesRequest.SCORES, cves, list[Epss | None])

    async def ends_of_life(self, releases: Sequence[str]) -> list[str]:
        return await self._again(pb.MatchPackagesRequest.ENDS_OF_LIFE, releases, list[str])

    async def _again(self, question: Question, asked: Sequence[object], kind: type[T]) -> T:
        """In the one call that stays: what the Matcher remembers of a run is kept for as long."""
        async with self._one:
            with self._channel.told():
                return await _ask(self._call, question, asked, kind, self._info.digest)


@asynccontextmanager
async def of_matcher(channel: Channel) -> AsyncIterator[Judge]:
    """A judge for as long as the body runs, of the definitions that the Matcher has now. Raises ``RedoubtError``."""
    async with _call(channel) as call:
        (info,) = await _ask(call, pb.MatchPackagesRequest.INFO, [], list[DefinitionsInfo], "")
        yield WireJudge(channel, info, call)


@asynccontextmanager
async def _call(channel: Channel) -> AsyncIterator[Call]:
    """A call that is ended in good order, so that the Matcher does not take us for one who only breaks off."""
    with channel.told():
        async with MatcherStub(channel).MatchPackages.open() as call:
            try:
                yield call
            except BaseException:
                with suppress(ProtocolError):
                    await call.cancel()
                raise
            await call.end()
            await call.recv_message()


async def _ask(call: Call, question: Question, asked: Sequence[object], kind: type[T], definitions: str) -> T:
    await call.send_message(
        pb.MatchPackagesRequest(question=question, asked=encode(asked), definitions=definitions)
    )
    pieces, more = bytearray(), True
    while more:
        reply = await call.recv_message()
        if reply is None:
            await call.recv_trailing_metadata()  # raises what the Matcher refused with
            raise UnreadableInput("the Matcher ended its answer early")
        pieces += reply.answered
        more = reply.more
        if len(pieces) > LARGEST:
            raise UnreadableInput("the Matcher answers too much")
    return await asyncio.to_thread(decode, bytes(pieces), kind)
