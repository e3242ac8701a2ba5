"""The hub put together: what a Central that looks after clusters consists of."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog

from redoubt import tasks
from redoubt.central.config import Settings
from redoubt.central.hub.admitting import Admission
from redoubt.central.hub.answers import Answers
from redoubt.central.hub.intake import Intake
from redoubt.central.hub.pushing import Pusher
from redoubt.central.hub.receiving import BaselineSource
from redoubt.central.hub.session import Trusted
from redoubt.central.hub.told import NoBaselines
from redoubt.central.notices import Notices
from redoubt.central.store import Pool
from redoubt.central.store.hub import TOPIC, HubStore

#: Seconds between two times that what nobody fetched is forgotten.
_TIDY = 300.0

_log = structlog.get_logger("hub")


class NoneRevoked:
    """Every certificate counts."""

    async def check(self, bundle: str) -> None:
        """See ``Trusted``."""


class Hub:
    """Central's end of all streams. ``baselines`` and receivers of ``intake`` are set by whoever has them."""

    def __init__(self, pool: Pool, settings: Settings, notices: Notices) -> None:
        self.pool = pool
        self.store = HubStore(pool)
        self.answers = Answers(self.store)
        self.pusher = Pusher(self.store, self.answers)
        self.intake = Intake(pool, self.answers)
        self.admission = Admission(pool, settings)
        self.baselines: BaselineSource = NoBaselines()
        self.trusted: Trusted = NoneRevoked()
        self._task: asyncio.Task[None] | None = None
        notices.on(TOPIC, lambda _: self.pusher.look())

    async def start(self) -> None:
        """Begin to tidy up."""
        self._task = asyncio.create_task(self._tidy(), name="hub-tidy")

    async def stop(self) -> None:
        """End what works in the background."""
        if self._task is not None:
            await tasks.end(self._task)
            self._task = None
        await self.pusher.stop()

    async def exists(self, cluster: UUID) -> bool:
        """Whether there is such a cluster."""
        return bool(await self.pool.fetchval("SELECT true FROM clusters WHERE id = $1", cluster))

    async def _tidy(self) -> None:
        while True:
            try:
                await self.store.tidy()
            except Exception as error:  # noqa: BLE001 (it is tried again)
                _log.debug("not tidied", reason=type(error).__name__)
            await asyncio.sleep(_TIDY)
