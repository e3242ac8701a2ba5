"""A connection to a Sensor: what comes is kept in batches and acknowledged, what there is to tell is told in order.

Both directions are bounded. A Sensor that sends faster than Central keeps is not read from; one that does not read is
disconnected, and gets all that it decides by when it is back.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress

from grpclib.server import Stream

from redoubt import tasks
from redoubt.central.auth.authenticate import Trusted
from redoubt.central.clusters.issuing import Issuer
from redoubt.central.hub.intake import Intake, Link
from redoubt.central.hub.told import Told
from redoubt.central.refusals import Exhausted, Unauthenticated, Unavailable
from redoubt.central.store.hub import HubStore, Lost
from redoubt.wire import calls
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

Communication = Stream[pb.FromSensor, pb.ToSensor]

#: What may wait to be kept, and what is kept in one transaction.
_WAITING_BYTES, _WAITING = 8 << 20, 2000
_BATCH_BYTES, _BATCH = 4 << 20, 500
#: What may wait to be told.
_OUTGOING_BYTES, _OUTGOING = 32 << 20, 20_000
#: Seconds between two looks for what changed.
_LOOK = 2.0
#: Seconds in which what came last is kept, after the Sensor said that it is done.
_LAST = 30.0
#: Requests for certificates that are answered within so many seconds.
_REQUESTS, _WITHIN = 10, 60.0


class Inbox:
    """Messages that wait to be kept; who puts waits for room."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, pb.FromSensor]] = deque()
        self._size = 0
        self._changed = asyncio.Condition()
        self._closed = False

    async def put(self, message: pb.FromSensor) -> None:
        """Wait until there is room."""
        size = message.ByteSize()
        async with self._changed:
            await self._changed.wait_for(
                lambda: not self._waiting or (self._size < _WAITING_BYTES and len(self._waiting) < _WAITING)
            )
            self._waiting.append((size, message))
            self._size += size
            self._changed.notify_all()

    async def take(self) -> list[pb.FromSensor]:
        """As many as a transaction takes; none where no more will come."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
            batch: list[pb.FromSensor] = []
            taken = 0
            while self._waiting and len(batch) < _BATCH and taken < _BATCH_BYTES:
                size, message = self._waiting.popleft()
                taken += size
                batch.append(message)
            self._size -= taken
            self._changed.notify_all()
            return batch

    async def close(self) -> None:
        """No more will come."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()


class Session:
    """One connection; an ``Outlet`` of the pusher's."""

    def __init__(
        self,
        stream: Communication,
        link: Link,
        intake: Intake,
        store: HubStore,
        told: Told,
        trusted: Trusted,
        issuer: Issuer,
        leaving: asyncio.Event,
    ) -> None:
        self._stream = stream
        self._link = link
        self._intake = intake
        self._store = store
        self._told = told
        self._trusted = trusted
        self._issuer = issuer
        self._authorities = b""
        self._asked: deque[float] = deque(maxlen=_REQUESTS)
        self._leaving = leaving
        self._inbox = Inbox()
        self._outgoing: deque[pb.ToSensor] = deque()
        self._outgoing_size = 0
        self._wake = asyncio.Event()
        self._look_now = asyncio.Event()
        self._confirmed = link.acknowledged

    def tell(self, message: pb.ToSensor) -> None:
        """See ``Outlet``."""
        self._outgoing.append(message)
        self._outgoing_size += message.ByteSize()
        self._wake.set()

    def look(self) -> None:
        """Something may lie here for the Sensor."""
        self._look_now.set()

    async def run(self) -> None:
        """Until the Sensor ends the call. Raises ``Lost``, and what the call is to be ended with."""
        writer = asyncio.create_task(self._write(), name="hub-write")
        reader = asyncio.create_task(self._read(), name="hub-read")
        keeper = asyncio.create_task(self._keep(), name="hub-keep")
        watcher = asyncio.create_task(self._watch(), name="hub-watch")
        leaver = asyncio.create_task(self._leave(), name="hub-leave")
        work = [writer, reader, keeper, watcher, leaver]
        try:
            ended, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
            # The Sensor is done: what it sent before is kept, and it hears of it.
            await asyncio.wait([keeper], timeout=_LAST)
            if keeper.done():
                keeper.result()
                await self._confirm()
        finally:
            await tasks.end(*work)

    # What comes

    async def _read(self) -> None:
        while (message := await self._stream.recv_message()) is not None:
            self._link.clock(message.clock)
            if message.HasField("certificates"):
                self.tell(pb.ToSensor(certificates=await self._issue(message.certificates)))
            else:
                await self._inbox.put(message)
        await self._inbox.close()

    async def _issue(self, asked: pb.CertificateRequests) -> pb.Certificates:
        now = time.monotonic()
        if len(self._asked) == _REQUESTS and now - self._asked[0] < _WITHIN:
            return pb.Certificates(
                id=asked.id[:100], failure=f"{_REQUESTS} requests in {_WITHIN:.0f} s are enough"
            )
        self._asked.append(now)
        return await self._issuer.issue(self._link.cluster.id, asked)

    async def _keep(self) -> None:
        while batch := await self._inbox.take():
            await self._intake.take(self._link, batch)
            self._wake.set()

    # What there is to tell

    async def _write(self) -> None:
        async for message in self._told.first():
            await self._stream.send_message(message)
        while True:
            await self._wake.wait()
            self._wake.clear()
            if len(self._outgoing) > _OUTGOING or self._outgoing_size > _OUTGOING_BYTES:
                raise Exhausted("the Sensor does not read what it is told")
            while self._outgoing:
                message = self._outgoing.popleft()
                self._outgoing_size -= message.ByteSize()
                await self._stream.send_message(message)
            await self._confirm()

    async def _confirm(self) -> None:
        if self._link.acknowledged > self._confirmed:
            self._confirmed = self._link.acknowledged
            await self._stream.send_message(pb.ToSensor(acknowledged=self._confirmed))

    async def _leave(self) -> None:
        await self._leaving.wait()
        raise Unavailable("Central is stopping; connect again")

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), _LOOK)
            self._look_now.clear()
            identity = calls.peer(self._stream)
            if identity is None:
                raise Unauthenticated("the certificate has ended; connect with a new one")
            await self._trusted.check(identity.bundle_id)
            look = await self._store.look(self._link.cluster.id, self._link.holder)
            if look is None:
                raise Lost
            for message in await self._told.changed(look):
                self.tell(message)
            authorities = await self._issuer.authorities()
            if authorities and authorities != self._authorities:
                self._authorities = authorities
                self.tell(pb.ToSensor(authorities=authorities))
            if look.pushes:
                for data in await self._store.pushed(self._link.cluster.id):
                    self.tell(pb.ToSensor.FromString(data))
            if len(self._outgoing) > _OUTGOING or self._outgoing_size > _OUTGOING_BYTES:
                raise Exhausted("the Sensor does not read what it is told")
