"""Work in the background that one replica does, and another one takes over when that one ends.

A session that holds a lock leads. Whoever is killed loses it at once; whose machine is gone loses it when PostgreSQL notices,
which takes less than a minute (``postgres.pool`` sets keepalives). Where only the session is cut, two may be at it for a moment:
what is led has to bear that.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from redoubt import tasks
from redoubt.central.store import Connection, Pool
from redoubt.postgres.locks import held
from redoubt.postgres.pool import Session

#: Seconds between two looks whether nobody leads.
EVERY = 5.0

_log = structlog.get_logger("leading")


class Part(Protocol):
    """What is led."""

    async def start(self) -> None: ...

    def stop(self) -> Coroutine[Any, Any, None]: ...


class Led:
    """A part of Central that runs ``part`` as long as this replica holds the advisory lock ``number``."""

    def __init__(self, pool: Pool, number: int, part: Part, *, every: float = EVERY) -> None:
        self._pool = pool
        self._number = number
        self._part = part
        self._every = every
        self._task = tasks.Background()
        self.leads = False

    async def start(self) -> None:
        """Begin to look whether nobody leads."""
        self._task.begin(self._run(), "leading")

    async def stop(self) -> None:
        """Lead no more; what is led has ended when this returns."""
        await self._task.end()

    async def _run(self) -> None:
        while True:
            try:
                async with self._pool.acquire() as connection, held(connection, self._number) as leads:
                    if leads:
                        await self._lead(connection)
            except Exception as error:  # noqa: BLE001 (it is tried again)
                _log.debug("not leading", reason=type(error).__name__)
            await asyncio.sleep(self._every * random.uniform(0.5, 1))  # noqa: S311  # spreads load

    async def _lead(self, connection: Connection) -> None:
        session = Session(connection)
        try:
            self.leads = True
            await self._part.start()
            await session.over()
        finally:
            self.leads = False
            await tasks.to_the_end(self._part.stop())
