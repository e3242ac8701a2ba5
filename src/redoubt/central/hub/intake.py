"""What Sensors tell becomes what Central keeps: many messages a transaction, each one's effects once and with its acknowledgement.

Messages are taken in their order. One that cannot be read, or that the database does not take, is counted and dropped, and
holds nothing else up.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import asyncpg
import msgspec
import structlog

from redoubt.central.hub.answers import Answered, Answers
from redoubt.central.hub.measuring import Measures
from redoubt.central.hub.objects import Identifier, Objects, identified
from redoubt.central.hub.receiving import ClusterRef, Receiver, Spoilt
from redoubt.central.refusals import Exhausted
from redoubt.central.store import Connection, Pool
from redoubt.central.store import hub as store
from redoubt.errors import RedoubtError
from redoubt.model.cluster import Health
from redoubt.postgres import pool as pools
from redoubt.wire import clocks
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: Objects of a cluster that are told of before it is said that these are all.
_MOST_SEEN = 1_000_000

#: What PostgreSQL says of content that it never takes, as it is not of content that it does not take now.
_NOT_TAKEN = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)

_log = structlog.get_logger("hub")
_healths = msgspec.json.Decoder(Health, strict=False)


class Link:
    """A connection, as far as what it tells is concerned. ``seen`` is what was told of before ``synced``."""

    def __init__(self, cluster: ClusterRef, holder: store.NewSession, acknowledged: int) -> None:
        self.cluster = cluster
        self.holder = holder.holder
        self.spool = holder.spool
        self.acknowledged = acknowledged
        self.seen: set[Identifier] = set()
        self.synced = False

    def clock(self, theirs: int) -> None:
        """The Sensor said what its clock shows; 0: it did not."""
        if not theirs:
            return
        ahead = clocks.ahead(theirs)
        if bool(ahead) != bool(self.cluster.ahead):
            _log.warning(
                "a Sensor's clock differs from ours" if ahead else "a Sensor's clock is right again",
                cluster=self.cluster.name,
                its_clock_is=clocks.told(ahead) if ahead else None,
            )
        self.cluster = msgspec.structs.replace(self.cluster, ahead=ahead)


class _Unstorable(Exception):
    """Something among the messages is not taken by whoever keeps it."""


class _Batch:
    """What a transaction comes to, beside what it wrote."""

    def __init__(self, link: Link) -> None:
        self.seen: set[Identifier] = set()
        self.synced = link.synced
        self.number = link.acknowledged
        self.spoilt = 0
        self.dropped = 0
        self.answers: list[pb.Answer] = []

    def see(self, event: pb.ObjectEvent) -> None:
        """Remember that an object was told of, until all were."""
        if not self.synced and (key := identified(event)) is not None:
            self.seen.add(key)


class HealthReceiver:
    """How a cluster's services are."""

    async def take(self, connection: Connection, cluster: ClusterRef, message: pb.FromSensor) -> None:
        """See ``Receiver``."""
        try:
            health = _healths.decode(message.health.health)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Spoilt(f"health: {error}") from None
        await store.healthy(connection, cluster.id, msgspec.json.encode(health).decode())


class Intake:
    """Takes messages. ``receivers`` are by the name of the message's field; objects have their own."""

    def __init__(self, pool: Pool, answers: Answers) -> None:
        self.objects = Objects()
        self.receivers: dict[str, Receiver] = {"health": HealthReceiver()}
        #: Set where somebody asks for metrics.
        self.measures: Measures | None = None
        self._pool = pool
        self._answers = answers

    async def take(self, link: Link, messages: Sequence[pb.FromSensor]) -> None:
        """Keep what several messages come to; ``link.acknowledged`` is then the last number that is kept.

        Raises ``Lost`` where the connection has lost its stream, ``DatabaseUnavailable`` where nothing can be kept now.
        """
        try:
            await self._keep(link, messages)
        except _Unstorable as error:
            if len(messages) > 1:
                # Somewhere among them; the others are kept.
                for one in messages:
                    await self.take(link, [one])
                return
            kind, cause = messages[0].WhichOneof("message"), error.__cause__
            ours = None if isinstance(cause, asyncpg.PostgresError) else cause
            reason = f"{type(cause).__name__}: {cause}"[:300]
            _log.error(
                "a Sensor's message is not kept",
                cluster=link.cluster.name,
                kind=kind,
                reason=reason,
                exc_info=ours,
            )
            await self._keep(link, messages, none=True)

    async def _keep(self, link: Link, messages: Sequence[pb.FromSensor], *, none: bool = False) -> None:
        began = time.perf_counter()
        batch = await pools.again(partial(self._transaction, link, messages, none=none))
        if (measures := self.measures) is not None:
            measures.seconds.observe(time.perf_counter() - began)
            measures.taken(each.WhichOneof("message") or "" for each in messages)
            measures.spoilt.inc(batch.spoilt)
            measures.dropped.inc(batch.dropped)
        link.acknowledged = batch.number
        link.synced = batch.synced
        if link.synced:
            link.seen.clear()
        else:
            link.seen |= batch.seen
        if len(link.seen) > _MOST_SEEN:
            raise Exhausted(f"more than {_MOST_SEEN} objects, and no word that these are all")
        for answer in batch.answers:
            identifier = answer.request_id[:100].replace("\x00", "")
            failure = answer.failure.replace("\x00", "")
            await self._answers.came(link.cluster.id, identifier, Answered(failure, answer.result))

    async def _transaction(self, link: Link, messages: Sequence[pb.FromSensor], *, none: bool) -> _Batch:
        batch = _Batch(link)
        async with self._pool.acquire() as connection, connection.transaction():
            # What is done again, since the answer to its COMMIT was lost, may be here already.
            kept = await store.hold(connection, link.cluster.id, link.holder, link.spool)
            batch.number = max(batch.number, kept)
            try:
                await self._all(connection, link, messages, batch, none=none)
            except _NOT_TAKEN as error:
                raise _Unstorable from error
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, RedoubtError):
                raise
            except Exception as error:
                raise _Unstorable from error
            if batch.number > kept:
                await store.arrived(connection, link.cluster.id, link.spool, batch.number)
            await store.counted(connection, link.cluster.id, batch.spoilt, batch.dropped)
        return batch

    async def _all(
        self,
        connection: Connection,
        link: Link,
        messages: Sequence[pb.FromSensor],
        batch: _Batch,
        *,
        none: bool,
    ) -> None:
        # What is here since a try whose COMMIT had no answer is not gone, whatever comes before it.
        for message in messages:
            if link.acknowledged < message.number <= batch.number and message.HasField("object"):
                batch.see(message.object)
        events: list[pb.ObjectEvent] = []
        for message in messages:
            kind = message.WhichOneof("message") or ""
            if message.number:
                if message.number <= batch.number:
                    continue  # it is here already
                batch.number = message.number
            if none:
                batch.spoilt += 1
            elif kind == "object":
                events.append(message.object)
                batch.see(message.object)
            else:
                # Objects first: what is told after them may be about them.
                batch.spoilt += await self.objects.take(connection, link.cluster, events)
                events = []
                await self._one(connection, link, kind, message, batch)
        batch.spoilt += await self.objects.take(connection, link.cluster, events)

    async def _one(
        self, connection: Connection, link: Link, kind: str, message: pb.FromSensor, batch: _Batch
    ) -> None:
        if kind == "synced":
            if not batch.synced and not message.number:
                await self._reconcile(connection, link, message.synced, batch)
            return
        if kind == "answer":
            batch.answers.append(message.answer)
            return
        if kind == "records":
            batch.dropped += min(message.records.dropped, 1 << 40)
        receiver = self.receivers.get(kind)
        if receiver is None:
            batch.spoilt += 1
            return
        try:
            await receiver.take(connection, link.cluster, message)
        except Spoilt as error:
            _log.debug("a Sensor's message cannot be read", cluster=link.cluster.name, reason=str(error))
            batch.spoilt += 1

    async def _reconcile(self, connection: Connection, link: Link, synced: pb.Synced, batch: _Batch) -> None:
        seen = link.seen | batch.seen
        for unchanged in synced.unchanged:
            seen.update((unchanged.kind, identifier) for identifier in unchanged.ids)
        gone = await self.objects.reconcile(connection, link.cluster, seen)
        await store.synced(connection, link.cluster.id, gone)
        batch.synced = True
        _log.info("synced", cluster=link.cluster.name, seen=len(seen), removed=gone)
