"""The stream to the Sensor goes on whatever went wrong with it; where it cannot, nothing is watched any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from redoubt.collector import reporting, serving
from redoubt.collector.outbox import Outbox
from redoubt.collector.reporting import Reporting
from redoubt.wire.proto.redoubt.v1.secured_pb2 import CollectorHello


class Watching:
    """What watches, as far as it is told to end."""

    stopped = False

    def stop(self) -> None:
        self.stopped = True


class Faulty:
    """A way to the Sensor that fails with what nobody thought of."""

    def __init__(self) -> None:
        self.asked = 0

    async def ready(self) -> None:
        self.asked += 1
        raise ZeroDivisionError


def test_a_stream_is_begun_again_whatever_it_failed_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "_FIRST", 0.001)

    async def work() -> None:
        faulty: Any = Faulty()
        outbox = Outbox(1 << 20, lambda: None)
        watching: Any = Watching()
        made = Reporting(
            faulty, CollectorHello(), outbox, asyncio.Event(), watching, bytes, health_interval=1
        )
        telling = asyncio.create_task(made.run())
        async with asyncio.timeout(10):
            while faulty.asked < 3:
                await asyncio.sleep(0.001)
        assert not telling.done()
        telling.cancel()
        await asyncio.wait([telling])

    asyncio.run(work())


def test_who_can_tell_no_more_watches_no_more() -> None:
    async def telling() -> None:
        raise ZeroDivisionError

    async def work() -> None:
        watching: Any = Watching()
        task = asyncio.create_task(telling())
        task.add_done_callback(lambda done: serving._untold(watching, done))
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert watching.stopped

    asyncio.run(work())
