"""A Matcher keeps to the definitions that are active at Central: asks at intervals, is told at once, fetches by digest.

What is on the shelf here already is opened, else its stream is fetched (continued where it broke off) and
imported in a child process, where its digest is proven. Until that is done the former definitions stay.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from redoubt import children, tasks
from redoubt.definitions.durable import writing
from redoubt.definitions.library import Library
from redoubt.definitions.shelf import Entry
from redoubt.definitions.snapshot import Snapshot
from redoubt.errors import DefinitionsError, DefinitionsMissing, RedoubtError
from redoubt.scanner.matching import Matching

#: Seconds between two questions, and by how much of that they vary.
INTERVAL = 300.0
_JITTER = 0.2
#: Seconds before asking again where something failed: doubled each time, up to the interval.
_FIRST_WAIT = 1.0

_log = structlog.get_logger("scanner.following")


class Leader(Protocol):
    """Central, as a Matcher sees it."""

    async def active(self) -> Entry | None:
        """What is active there; None: nothing yet. Raises ``RedoubtError`` where it is not reached."""

    def changes(self) -> AsyncIterator[str]:
        """The active digest, again each time that it changes. Ends, or raises, where the connection does."""

    async def fetch(self, digest: str, file: Path) -> None:
        """A snapshot's compressed stream into ``file``; what broke off is gone on with the next time.

        What is kept for that lies beside ``file`` and has its name in its own. Raises ``RedoubtError``.
        """


class ToFollow(msgspec.Struct, frozen=True):
    """What the child process puts on the shelf below ``data``."""

    data: str
    entry: Entry
    stream: str


class Followed(msgspec.Struct, frozen=True):
    """The digest that is on the shelf now."""

    digest: str


def follow(asked: ToFollow) -> Followed:
    """In the child process: see ``Library.follow``."""
    return Followed(Library(Path(asked.data)).follow(asked.entry, Path(asked.stream)).digest)


class Follower:
    """Keeps ``matching`` at what ``leader`` has active, with a shelf below ``data``.

    ``shared``: the shelf is Central's own; nothing is fetched, and nothing changed on it.
    """

    def __init__(
        self,
        leader: Leader,
        matching: Matching,
        data: Path,
        *,
        shared: bool = False,
        interval: float = INTERVAL,
    ) -> None:
        self._leader = leader
        self._matching = matching
        self._data = data
        self._shared = shared
        self._interval = interval
        self._library = Library(data)
        self._now = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.problem = ""

    async def start(self) -> None:
        """Open what was active here before, so that a Central that is away is no reason not to match."""
        try:
            with suppress(DefinitionsMissing):
                self._matching.switch(await asyncio.to_thread(self._library.open_active))
        except DefinitionsError as error:
            self.problem = str(error)
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._listen())]

    async def stop(self) -> None:
        """End the background work."""
        await tasks.end(*self._tasks)

    async def _poll(self) -> None:
        wait = _FIRST_WAIT
        while True:
            self._now.clear()
            try:
                await self.catch_up()
            except (RedoubtError, OSError) as error:
                if str(error) != self.problem:
                    _log.warning("definitions not caught up", reason=str(error))
                self.problem = str(error)
                pause, wait = wait, min(wait * 2, self._interval)
            else:
                self.problem, wait = "", _FIRST_WAIT
                pause = self._interval * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # spreads load
            await _wait(self._now.wait, pause)

    async def _listen(self) -> None:
        wait = _FIRST_WAIT
        while True:
            with suppress(RedoubtError, OSError):
                async for _ in self._leader.changes():
                    wait = _FIRST_WAIT
                    self._now.set()
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311
            wait = min(wait * 2, 30.0)

    async def catch_up(self) -> bool:
        """Switch to what is active at Central, if it is not what is current here. Whether it was something else."""
        entry = await self._leader.active()
        info = self._matching.info
        if entry is None or (info is not None and _same(info.digest, info.version, entry)):
            return False
        snapshot = await self._opened(entry)
        self._matching.switch(snapshot)
        _log.info("definitions current", digest=entry.digest, channel=entry.manifest.channel)
        return True

    async def _opened(self, entry: Entry) -> Snapshot:
        if not self._shared:
            await self._shelve(entry)
        return await asyncio.to_thread(self._library.open, entry.digest)

    async def _shelve(self, entry: Entry) -> None:
        stream = self._data / "fetched" / f"{entry.digest.removeprefix('sha256:')}.kv.zst"
        with writing(stream.parent):
            stream.parent.mkdir(parents=True, exist_ok=True)
            for other in stream.parent.iterdir():
                if stream.name not in other.name:
                    other.unlink(missing_ok=True)
        try:
            self._library.info(entry.digest)
        except DefinitionsMissing:
            await self._leader.fetch(entry.digest, stream)
        asked = ToFollow(str(self._data), entry, str(stream))
        try:
            await children.run("redoubt.scanner.following:follow", asked, Followed)
        finally:
            # What was proven is on the shelf; what was refused must not be gone on with.
            stream.unlink(missing_ok=True)


def _same(digest: str, version: int, entry: Entry) -> bool:
    return (digest, version) == (entry.digest, entry.manifest.version)


async def _wait(condition: Callable[[], Awaitable[object]], seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(condition(), seconds)
