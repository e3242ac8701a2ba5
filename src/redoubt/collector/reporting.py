"""The Sensor told: one stream, on which batches go out and acknowledgements come back, made again when it breaks.

Nothing that is in the outbox is lost with a stream: what was not acknowledged is sent again. A Sensor that started anew
is told all that stands. Texts of strangers are in batches and in no log.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from redoubt import tasks
from redoubt.collector.outbox import Outbox
from redoubt.errors import RedoubtError
from redoubt.wire import clocks
from redoubt.wire.channel import Channel, ClientStream
from redoubt.wire.proto.redoubt.v1.secured_grpc import CollectorsStub
from redoubt.wire.proto.redoubt.v1.secured_pb2 import (
    CollectorConfig,
    CollectorHello,
    FromCollector,
    ToCollector,
)

_log = structlog.get_logger("collector")

#: Seconds after which a batch goes out that is not full.
_LINGER = 0.25
#: Seconds before the stream is made again: doubled each time, jittered.
_FIRST, _LONGEST = 0.5, 30.0
#: Seconds after which a stream that was made counts as a good one.
_GOOD = 30.0

_Stream = ClientStream[FromCollector, ToCollector]


class Watching(Protocol):
    """The collector, as far as the Sensor has a say in it. Called on the loop's thread."""

    def again(self) -> None:
        """Tell all that stands once more."""

    def configure(self, *, apart: bool, networks: list[str], a_minute: int) -> None:
        """How addresses outside are told, and how many flows of a container."""


class Reporting:
    """``run`` it beside the collector, until it is cancelled. ``more`` is set when there is a batch in the outbox.

    ``health`` gives the JSON of how the collector is.
    """

    def __init__(
        self,
        sensor: Channel,
        hello: CollectorHello,
        outbox: Outbox,
        more: asyncio.Event,
        watching: Watching,
        health: Callable[[], bytes],
        *,
        health_interval: float,
    ) -> None:
        self._channel = sensor
        self._hello = hello
        self._outbox = outbox
        self._watching = watching
        self._health = health
        self._interval = health_interval
        self._more = more
        self._sensor = ""
        #: The last batch that the Sensor has.
        self.acknowledged = 0
        self.connected = False

    async def run(self) -> None:
        """Tell the Sensor, again and again."""
        sealing = asyncio.create_task(self._seal())
        try:
            wait = _FIRST
            while True:
                began = time.monotonic()
                try:
                    await self._channel.ready()
                    with self._channel.told():
                        await self._stream()
                    reason = "the Sensor ended the stream"
                except RedoubtError as error:
                    reason = str(error)
                except Exception as error:  # noqa: BLE001 (whatever it was, the next stream may do)
                    reason = f"the stream failed ({type(error).__name__})"
                    _log.exception("the stream to the Sensor failed")
                finally:
                    self.connected = False
                if time.monotonic() - began > _GOOD:
                    wait = _FIRST
                _log.warning("not connected", reason=reason)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # spreads load
                wait = min(wait * 2, _LONGEST)
        finally:
            await tasks.end(sealing)

    async def finish(self, within: float) -> None:
        """Wait until the Sensor has all that there is, or ``within`` seconds are over."""
        self._outbox.seal()
        end = time.monotonic() + within
        while self._outbox.after(self.acknowledged) is not None and self.connected and time.monotonic() < end:
            await asyncio.sleep(0.05)

    async def _seal(self) -> None:
        while True:
            await asyncio.sleep(_LINGER)
            self._outbox.seal()

    async def _stream(self) -> None:
        async with CollectorsStub(self._channel).Communicate.open() as stream:
            await stream.send_message(FromCollector(hello=self._hello, clock=clocks.now()))
            first = await stream.recv_message()
            if first is None:
                return
            self._take(first)
            self.connected = True
            _log.info("connected", sensor=str(self._channel.peer or ""))
            await tasks.until_one_ends(
                send=self._send(stream), tell=self._tell_health(stream), receive=self._receive(stream)
            )

    async def _receive(self, stream: _Stream) -> None:
        async for message in stream:
            self._take(message)

    def _take(self, message: ToCollector) -> None:
        if message.HasField("config"):
            self._configured(message.config)
        else:
            self.acknowledged = max(self.acknowledged, message.acknowledged)
            self._outbox.acknowledge(message.acknowledged)

    def _configured(self, config: CollectorConfig) -> None:
        self._watching.configure(
            apart=config.external_ips,
            networks=list(config.networks),
            a_minute=config.connections_per_minute,
        )
        if config.sensor != self._sensor:
            if self._sensor:
                _log.info("another Sensor: all that stands is told again")
                self._watching.again()
            self._sensor = config.sensor

    async def _send(self, stream: _Stream) -> None:
        """Everything that is not acknowledged, from the start; then what comes."""
        sent = self.acknowledged
        while True:
            self._more.clear()
            while (batch := self._outbox.after(sent)) is not None:
                await stream.send_message(FromCollector(number=batch.number, events=batch.data))
                sent = batch.number
            await self._more.wait()

    async def _tell_health(self, stream: _Stream) -> None:
        while True:
            await stream.send_message(FromCollector(health=self._health(), clock=clocks.now()))
            await asyncio.sleep(self._interval)
