"""The stream to Central: begun, kept up, and begun again; what is told on it and in which order.

On each connection: Hello; what Central says to decide by; then, once all that the cluster has was looked at, every object that Central
does not have in this form, and ``Synced``; then what changes, what the spool holds, and what is of the moment. It must not
know what a message means to those who decide (``Told``).
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict, deque
from typing import Protocol

import msgspec
import structlog

import redoubt
from redoubt import tasks
from redoubt.errors import NetworkError, RedoubtError
from redoubt.model.cluster import Identification
from redoubt.sensor.graph.inventory import Inventory, Key
from redoubt.sensor.stream.outgoing import encoded
from redoubt.sensor.stream.spool import Spool
from redoubt.wire import clocks
from redoubt.wire.channel import Channel, ClientStream
from redoubt.wire.failures import Unavailable
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.proto.redoubt.v1.sensors_grpc import SensorsStub

_log = structlog.get_logger("central")
#: Messages of the moment that wait, at most: the oldest goes.
_MOST_OF_THE_MOMENT = 1000
#: Seconds that Central may take to say all that comes before the first object.
_WELCOME, _KNOWN = 60.0, 120.0
#: Bytes of identifiers that one message names; and of a message: what is larger ends the stream.
_UNCHANGED, _LARGEST = 3_500_000, 4 << 20
#: Objects that are looked at before others get a turn.
_TURN = 50
#: Seconds until it is looked again whether all of the moment was said.
_MOMENT = 0.05
#: Seconds in which Central keeps what it was sent, and ends the stream.
_LEAVE = 30.0

Conversation = ClientStream[pb.FromSensor, pb.ToSensor]


class Told(Protocol):
    """Who hears what Central says."""

    async def welcome(self, message: pb.Welcome) -> None:
        """Central took us."""

    async def hear(self, message: pb.ToSensor) -> None:
        """Anything but the welcome, acknowledgements and what Central knows."""

    async def synced(self, *, forgotten: bool) -> None:
        """Central has all objects. ``forgotten``: it may not have all that it acknowledged before."""

    async def away(self) -> None:
        """Central cannot be told anything now."""


class Link:
    """One Sensor's line to Central. ``run`` it; ``tell`` and ``mark`` at any time."""

    def __init__(
        self,
        channel: Channel,
        inventory: Inventory,
        spool: Spool,
        told: Told,
        *,
        ready: asyncio.Event,
        identification: Identification,
        cluster_name: str = "",
        first: float = 10.0,
        longest: float = 300.0,
    ) -> None:
        self._channel = channel
        self._inventory = inventory
        self._spool = spool
        self._told = told
        #: Set when all that the cluster has was looked at once.
        self._ready = ready
        self._identification = identification
        self._cluster_name = cluster_name
        self._first, self._longest = first, longest
        self._was_connected = False
        self._failed = 0
        #: What Central acknowledged before may not be there: its database is another, or an older one.
        self._forgotten = False
        self._sending = asyncio.Lock()
        self._changed: OrderedDict[Key, None] = OrderedDict()
        self._wake = asyncio.Event()
        self._moment: deque[pb.FromSensor] = deque()
        self._moment_wake = asyncio.Event()
        #: What Central has, as far as we know on this connection.
        self._sent: dict[Key, str] = {}
        #: Set where the Sensor is to come again with its new certificate.
        self._renew = asyncio.Event()
        self.connected = False
        self.synced = False
        self.problem = "not connected to Central yet"
        #: Central's, as it said last.
        self.clock = clocks.Reference(0)
        self.lost: dict[str, int] = {}

    def mark(self, key: Key) -> None:
        """An object changed, came or went. Where Central is away it is said with all others when it is back."""
        if not self.connected:
            return
        self._changed[key] = None
        self._wake.set()

    def tell(self, message: pb.FromSensor) -> None:
        """Something of the moment: dropped where Central is away, but for answers, which somebody waits for."""
        if not self.connected and not message.HasField("answer"):
            return
        if len(self._moment) >= _MOST_OF_THE_MOMENT:
            self._moment.popleft()
            self._lose("moment")
        self._moment.append(message)
        self._moment_wake.set()

    def again(self) -> None:
        """Say what of the moment is to be said, then connect anew at once: with another certificate."""
        if self.connected:
            self._renew.set()
        else:
            self._channel.renew()

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self._connection()
                self.problem = "Central ended the stream"
            except RedoubtError as error:
                self.problem = str(error)
            except Exception as error:  # noqa: BLE001 (whatever it was, the next connection may do)
                self.problem = f"the stream failed ({type(error).__name__})"
                _log.exception("the stream to Central failed")
            if self._renew.is_set():
                self._renew.clear()
                self._channel.renew()
                continue
            seconds = min(self._longest, self._first * 2.0 ** min(self._failed, 16))
            self._failed += 1
            _log.warning("not connected to Central", reason=self.problem, again_in=round(seconds, 1))
            await asyncio.sleep(seconds * random.uniform(0.8, 1.0))  # noqa: S311

    async def _connection(self) -> None:
        try:
            with self._channel.told():
                async with SensorsStub(self._channel).Communicate.open() as stream:
                    await self._talk(stream)
        finally:
            self.connected = self.synced = False
            self._moment = deque(each for each in self._moment if each.HasField("answer"))
            self._changed.clear()
            await self._told.away()

    async def _talk(self, stream: Conversation) -> None:
        await self._send(stream, pb.FromSensor(hello=self._hello(), clock=clocks.now()))
        try:
            message = await asyncio.wait_for(stream.recv_message(), _WELCOME)
        except TimeoutError:
            raise Unavailable(f"{self._channel.address}: does not say welcome") from None
        if message is None or message.WhichOneof("message") != "welcome":
            # Leaving the call raises the status that Central ended it with, where it did.
            raise Unavailable(f"{self._channel.address}: does not say welcome")
        if message.welcome.acknowledged < self._spool.acknowledged or not self._spool.acknowledged:
            self._forgotten = True
        if not self._spool.agree(message.welcome.acknowledged):
            self._forgotten = True
            raise NetworkError("Central knows more of this spool than is in it; another numbering begins")
        self.clock = clocks.Reference(message.welcome.clock)
        if ahead := self.clock.ahead:
            _log.warning("this clock differs from Central's", ours_is=clocks.told(ahead))
        await self._told.welcome(message.welcome)
        self.connected, self._was_connected, self.problem = True, True, ""
        _log.info("connected to Central", cluster=message.welcome.cluster_name)
        known = asyncio.Event()
        self._sent = {}
        await tasks.until_one_ends(
            hear=self._hear(stream, known),
            say=self._say(stream, known),
            say_moments=self._say_moments(stream),
            renew=self._leave(stream),
        )

    def _hello(self) -> pb.Hello:
        return pb.Hello(
            version=redoubt.__version__,
            spool=self._spool.identifier,
            identification=msgspec.json.encode(self._identification),
            reconnect=self._was_connected,
            cluster_name=self._cluster_name,
        )

    async def _hear(self, stream: Conversation, known: asyncio.Event) -> None:
        while (message := await stream.recv_message()) is not None:
            match message.WhichOneof("message"):
                case "acknowledged":
                    self._spool.acknowledge(message.acknowledged)
                case "known":
                    self._sent.update({(each.kind, each.id): each.hash for each in message.known.objects})
                    if message.known.whole:
                        known.set()
                case _:
                    await self._told.hear(message)

    async def _say(self, stream: Conversation, known: asyncio.Event) -> None:
        try:
            await asyncio.wait_for(known.wait(), _KNOWN)
        except TimeoutError:
            raise Unavailable(f"{self._channel.address}: does not say what it knows") from None
        await self._ready.wait()
        await self._say_all(stream)
        self._failed = 0
        self.synced = True
        await self._told.synced(forgotten=self._forgotten)
        self._forgotten = False
        await tasks.until_one_ends(
            say_changes=self._say_changes(stream), say_spooled=self._say_spooled(stream)
        )

    async def _say_all(self, stream: Conversation) -> None:
        """Every object that Central does not have so, and that this is all."""
        known = dict(self._sent)
        unchanged: dict[str, list[str]] = {}
        room = _UNCHANGED
        # What changes while this is said is said again afterwards.
        self._changed.clear()
        for count, key in enumerate(list(self._inventory.keys())):
            if count % _TURN == 0:
                await asyncio.sleep(0)
            if room <= 0:
                # No more identifiers fit into the one message that names them.
                self._sent.pop(key, None)
            await self._say_object(stream, key)
            if room > 0 and self._sent.get(key) == known.get(key) is not None:
                unchanged.setdefault(key[0], []).append(key[1])
                room -= len(key[1]) + 4
        said = pb.Synced()
        for kind, ids in unchanged.items():
            said.unchanged.add(kind=kind, ids=ids)
        await self._send(stream, pb.FromSensor(synced=said))

    async def _say_changes(self, stream: Conversation) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._changed:
                key, _ = self._changed.popitem(last=False)
                await self._say_object(stream, key)

    async def _say_object(self, stream: Conversation, key: Key) -> None:
        kind, identifier = key
        found = self._inventory.get(kind, identifier)
        if found is None:
            if self._sent.pop(key, None) is not None:
                event = pb.ObjectEvent(kind=kind, id=identifier, action=pb.ObjectEvent.REMOVE)
                await self._send(stream, pb.FromSensor(object=event))
            return
        ready = encoded(found)
        if ready is None:
            self._lose("objects")
            _log.warning("an object is too large for Central", kind=kind, id=identifier)
            return
        if self._sent.get(key) == ready.hash:
            return
        if ready.cut:
            self._lose("objects cut")
            _log.warning("an object was cut for Central", kind=kind, id=identifier)
        event = pb.ObjectEvent(
            kind=kind, id=identifier, action=pb.ObjectEvent.UPSERT, object=ready.content, hash=ready.hash
        )
        await self._send(stream, pb.FromSensor(object=event))
        self._sent[key] = ready.hash

    def _lose(self, kind: str) -> None:
        self.lost[kind] = self.lost.get(kind, 0) + 1

    async def _say_spooled(self, stream: Conversation) -> None:
        reader = self._spool.reader(self._spool.acknowledged)
        while True:
            for _, data in await reader.next():
                await self._send(stream, pb.FromSensor.FromString(data))

    async def _say_moments(self, stream: Conversation) -> None:
        while True:
            # What is not said when the stream ends, may be said on the next.
            while self._moment:
                message = self._moment[0]
                await self._send(stream, message)
                if self._moment and self._moment[0] is message:
                    self._moment.popleft()
            await self._moment_wake.wait()
            self._moment_wake.clear()

    async def _leave(self, stream: Conversation) -> None:
        await self._renew.wait()
        while self._moment:
            await asyncio.sleep(_MOMENT)
        async with self._sending:  # nothing is sent after it
            await stream.end()
            await asyncio.sleep(_LEAVE)
            await stream.cancel()

    async def _send(self, stream: Conversation, message: pb.FromSensor) -> None:
        """One at a time: a message goes out in pieces, which must not mix."""
        if message.ByteSize() > _LARGEST:
            self._lose("messages too large")
            return
        async with self._sending:
            await stream.send_message(message)
