"""Scans that are under way, wait, or ended lately: as they are told of, and what can be asked of them."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

import msgspec

from redoubt.central.scanners import Progress
from redoubt.central.store.images import Kept


class State(Enum):
    """What becomes of a scan, in this order; one of the last three is its end."""

    QUEUED = "QUEUED"
    INDEXING = "INDEXING"
    MATCHING = "MATCHING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class ScanJob(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A scan as it is told of. ``problem`` is why it is tried again (at ``next_try``, while it waits), or why it failed."""

    id: str
    image: str
    force: bool
    state: State
    progress: Progress
    tries: int
    problem: str
    next_try: datetime | None = None
    created: datetime
    ended: datetime | None
    #: The image's id, once it is known.
    digest: str


@dataclass(eq=False)
class Job:
    """A scan, changed by who does it."""

    image: str
    force: bool
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = State.QUEUED
    progress: Progress = field(default_factory=Progress)
    tries: int = 1
    problem: str = ""
    digest: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    next_try: datetime | None = None
    waiting: int = 0
    task: asyncio.Task[Kept] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether it ends for nobody's sake: who asks now takes no part in it."""
        return self.task is not None and self.task.cancelling() > 0

    def told(self) -> ScanJob:
        """As it is now."""
        return ScanJob(
            id=self.id,
            image=self.image,
            force=self.force,
            state=self.state,
            progress=self.progress,
            tries=self.tries,
            problem=self.problem,
            next_try=self.next_try,
            created=self.created,
            ended=self.ended,
            digest=self.digest,
        )

    def end(self, state: State, problem: str = "") -> None:
        """It is over."""
        self.state, self.problem, self.ended = state, problem, datetime.now(UTC)
        self.next_try = None


class Slot:
    """The right to be worked on, one of a few. Who waits for a better moment gives it back meanwhile."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._held = False

    async def __aenter__(self) -> Slot:
        await self._slots.acquire()
        self._held = True
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._give_back()

    async def pause(self, seconds: float) -> None:
        """Wait, and then for the right."""
        self._give_back()
        await asyncio.sleep(seconds)
        await self._slots.acquire()
        self._held = True

    def _give_back(self) -> None:
        if self._held:
            self._held = False
            self._slots.release()
