"""Process baselines that are locked by themselves when their learning ends, where the cluster's record says so.

One replica looks after it; two at it do no harm. A baseline is locked once: who unlocks it afterwards has the last word.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

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
        self._task = tasks.Background()

    async def start(self) -> None:
        """Begin."""
        failed = partial(_log.warning, "process baselines are not locked")
        self._task.begin(tasks.over_and_over(self.look, failed, every=self._every), "baselines locked")

    async def stop(self) -> None:
        """End."""
        await self._task.end()

    async def look(self) -> int:
        """Lock what is due; how many."""
        locked = await self._baselines.lock_learned(self._grace)
        if locked:
            _log.info("process baselines are locked", number=locked)
        return locked
