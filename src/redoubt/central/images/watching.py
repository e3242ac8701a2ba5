"""Images that are watched: looked at again at intervals by name, because tags move.

Replicas share the work: nobody else takes a name that is taken, unless that was so long ago that its taker must have died.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from functools import partial

import structlog

from redoubt import tasks
from redoubt.central.images.scanning import Scanning
from redoubt.central.refusals import FailedPrecondition
from redoubt.central.store.images import Kept
from redoubt.central.store.integrations import WatchedStore
from redoubt.errors import RedoubtError, UsageError
from redoubt.indexer.sources.reference import parse_reference

#: Seconds between two looks for what is due.
_EVERY = 60.0
_AT_ONCE = 8
#: Seconds beyond what a scan may take: who has taken a name longer ago is gone.
_LEEWAY = 900.0

_log = structlog.get_logger("images.watching")


class Refusal(Enum):
    """Why an image is not watched, in the original's words."""

    NO_ERROR = "NO_ERROR"
    INVALID_IMAGE_NAME = "INVALID_IMAGE_NAME"
    NO_VALID_INTEGRATION = "NO_VALID_INTEGRATION"
    SCAN_FAILED = "SCAN_FAILED"


class Watching:
    """A part of Central. ``interval``: seconds between two looks at an image."""

    def __init__(self, store: WatchedStore, scanning: Scanning, *, interval: float) -> None:
        self.store = store
        self._scanning = scanning
        self._interval = timedelta(seconds=interval)
        self._every = min(_EVERY, interval)
        self._task = tasks.Background()

    async def start(self) -> None:
        """Begin to look."""
        self._task.begin(
            tasks.over_and_over(
                self.look,
                partial(_log.warning, "watched images could not be looked at"),
                every=self._every,
                spread=0.5,
            ),
            "watched images",
        )

    async def stop(self) -> None:
        """End it."""
        await self._task.end()

    async def watch(self, text: str) -> tuple[str, Refusal, str]:
        """Scan it now, and watch it from now on; the name in full. What cannot be scanned is not watched, and why."""
        try:
            reference = parse_reference(text)
        except UsageError as error:
            return "", Refusal.INVALID_IMAGE_NAME, str(error)
        if reference.digest:
            return "", Refusal.INVALID_IMAGE_NAME, "a digest never leads to another image; watch a tag"
        try:
            await self._scanning.scan(str(reference))
        except FailedPrecondition as error:
            return "", Refusal.NO_VALID_INTEGRATION, str(error)
        except RedoubtError as error:
            return "", Refusal.SCAN_FAILED, str(error)
        await self.store.add(str(reference))
        return str(reference), Refusal.NO_ERROR, ""

    async def unwatch(self, text: str) -> None:
        """It is not watched afterwards, whether it was or not."""
        await self.store.delete(text)
        with suppress(UsageError):
            await self.store.delete(str(parse_reference(text)))

    async def look(self) -> int:
        """Scan what is due; how many that were."""
        lease = timedelta(seconds=self._scanning.pace.limit + _LEEWAY)
        names = await self.store.take(self._interval, lease, _AT_ONCE)
        await asyncio.gather(*(self._looked(name) for name in names))
        return len(names)

    async def _looked(self, name: str) -> Kept | None:
        problem, kept = "", None
        try:
            kept = await self._scanning.scan(name)
        except RedoubtError as error:
            problem = str(error)
            _log.warning("a watched image was not scanned", image=name, reason=problem)
        await self.store.told(name, problem[:1000])
        return kept
