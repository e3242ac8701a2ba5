"""Process baselines that are locked by themselves when their learning ends, where the cluster's record says so.

One replica looks after it; two at it do no harm. A baseline is locked once: who unlocks it afterwards has the last word.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from redoubt import tasks
from redoubt.central.activity.baselines import Baselines

#: Seconds between two looks.
EVERY = 10.0
#: How long after learning ended, and after the cluster's Sensor connected, a baseline is left open: what was started within its time may
#: be on its way.
GRACE = timedelta(minutes=1)

_log = structlog.get_logger("activity")


class Locking:
    """The work. ``led`` by one replica."""

    def __init__(self, baselines: Baselines, *, every: float = EVERY, grace: timedelta = GRACE) -> None:
        self._baselines = baselines
        self._every = every
        self._grace = grace
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="baselines locked")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            await tasks.end(self._task)
            self._task = None

    async def look(self) -> int:
        """Lock what is due; how many."""
        return await self._baselines.lock_learned(self._grace)

    async def _run(self) -> None:
        while True:
            try:
                if locked := await self.look():
                    _log.info("process baselines are locked", number=locked)
            except Exception as error:  # noqa: BLE001 (it is tried again)
                _log.warning("process baselines are not locked", reason=type(error).__name__)
            await asyncio.sleep(self._every)
