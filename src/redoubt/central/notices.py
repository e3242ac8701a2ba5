"""Word between Central's replicas that something changed, by PostgreSQL's LISTEN and NOTIFY.

What replicas keep in memory is dropped as soon as another one changes it. A notice can be missed while the connection
that listens is away: ``alive`` says so, and everything counts as changed when it is back. Nothing here is more
than a hint; the database is what is right.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from redoubt import tasks
from redoubt.central.store import Connection, Pool
from redoubt.postgres.pool import Session

CHANNEL = "redoubt_central"
_PAUSES = (0.05, 0.2, 1.0, 3.0)

#: Called with what changed, or with an empty text: anything may have.
Callback = Callable[[str], None]

_log = structlog.get_logger("notices")


async def tell(connection: Connection | Pool, topic: str, what: str = "") -> None:
    """Tell every replica; within a transaction they hear of it once it is committed."""
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{topic}:{what}")


class Notices:
    """Listens for as long as it runs."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._callbacks: dict[str, list[Callback]] = defaultdict(list)
        self._task = tasks.Background()
        self.alive = False

    def on(self, topic: str, callback: Callback) -> None:
        """Have ``callback`` called when something of ``topic`` changes; it must not wait and not raise."""
        self._callbacks[topic].append(callback)

    async def start(self) -> None:
        """Begin to listen."""
        self._task.begin(self._run(), "notices")

    async def stop(self) -> None:
        """Stop listening."""
        await self._task.end()
        self._changed(alive=False)

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 (whatever it was: it listens again)
                _log.debug("not listening", reason=type(error).__name__)
            if self.alive:
                attempt = 0
            self._changed(alive=False)
            await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1

    async def _listen(self) -> None:
        async with self._pool.acquire() as connection:
            session = Session(connection)
            await connection.add_listener(CHANNEL, self._heard)
            try:
                self._changed(alive=True)
                await session.over()
            finally:
                if not connection.is_closed():
                    await connection.remove_listener(CHANNEL, self._heard)

    def _changed(self, *, alive: bool) -> None:
        self.alive = alive
        for callbacks in self._callbacks.values():
            for callback in callbacks:
                callback("")

    def _heard(self, connection: object, pid: int, channel: str, payload: object) -> None:
        topic, _, what = str(payload).partition(":")
        for callback in self._callbacks.get(topic, ()):
            callback(what)


K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """What was read from the database, for a few seconds and only while somebody would tell of a change."""

    def __init__(self, notices: Notices, topic: str, seconds: float = 5.0, most: int = 10_000) -> None:
        self._notices = notices
        self._seconds = seconds
        self._most = most
        self._found: dict[K, tuple[float, V]] = {}
        self._generation = 0
        notices.on(topic, self._forget)

    async def get(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """What is remembered under ``key``, else what ``read`` gives."""
        kept = self._found.get(key)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        generation = self._generation
        found = await read()
        # What was read while a change was under way may be from before it.
        if self._notices.alive and generation == self._generation:
            if len(self._found) >= self._most:
                self._found.clear()
            self._found[key] = (time.monotonic() + self._seconds, found)
        return found

    def forget(self) -> None:
        """Read anew from now on."""
        self._forget("")

    def _forget(self, what: str) -> None:
        self._generation += 1
        self._found.clear()
