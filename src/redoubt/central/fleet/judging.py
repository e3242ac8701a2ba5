"""Who is asked what definitions say of packages: a Matcher, or a snapshot in this process.

All that one ``Judge`` says is of one snapshot, which ``info`` names. Verdicts hold no EPSS (``matcher.apart``); it is
asked for apart, since it changes daily and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from redoubt.definitions.marks import Marks
from redoubt.definitions.snapshot import Snapshot
from redoubt.matcher.apart import Apart, Subject, Verdict
from redoubt.model import DefinitionsInfo, Epss

T = TypeVar("T")


class Judge(Protocol):
    """Definitions, asked about many packages at a time. Raises ``RedoubtError`` where it cannot be reached."""

    @property
    def info(self) -> DefinitionsInfo:
        """Which definitions these are."""

    async def judge(self, subjects: Sequence[Subject]) -> list[Verdict]:
        """A verdict for each, in order."""

    async def marks(self, questions: Sequence[Subject]) -> list[bytes]:
        """For each question a digest of what is said about it: the same digest, the same verdicts."""

    async def scores(self, cves: Sequence[str]) -> list[Epss | None]:
        """The EPSS of each."""

    async def ends_of_life(self, releases: Sequence[str]) -> list[str]:
        """From when each release (``namespaces.lifecycle``) is no longer looked after; empty if not known."""


class LocalJudge:
    """An open snapshot, asked in threads."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        # Kept for the whole run: records are shared by questions that come in different batches.
        self._marks = Marks(snapshot)
        self._marking = Apart(snapshot)

    @property
    def info(self) -> DefinitionsInfo:
        return self._snapshot.info

    async def judge(self, subjects: Sequence[Subject]) -> list[Verdict]:
        def work() -> list[Verdict]:
            apart = Apart(self._snapshot)  # what it remembers goes with the batch
            return [apart.judge(subject) for subject in subjects]

        return await asyncio.to_thread(work)

    async def marks(self, questions: Sequence[Subject]) -> list[bytes]:
        return await asyncio.to_thread(
            lambda: [self._marking.mark(question, self._marks) for question in questions]
        )

    async def scores(self, cves: Sequence[str]) -> list[Epss | None]:
        return await _each(self._snapshot.epss, cves)

    async def ends_of_life(self, releases: Sequence[str]) -> list[str]:
        return await _each(self._snapshot.end_of_life, releases)


async def _each(ask: Callable[[str], T], names: Sequence[str]) -> list[T]:
    return await asyncio.to_thread(lambda: [ask(name) for name in names])
