"""Index reports become vulnerability reports, with the definitions that are current here.

Switching to other definitions is one assignment: what is being matched ends with those it began with, and each
report names them. Knows no wire, and not where definitions come from.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from redoubt.definitions.snapshot import Snapshot
from redoubt.errors import DefinitionsMissing
from redoubt.matcher import match
from redoubt.model import DefinitionsInfo, Detection, IndexReport, VulnerabilityReport

T = TypeVar("T")


class Matching:
    """The current snapshot, and threads that match with it."""

    def __init__(self, *, simultaneous: int = 2) -> None:
        self._threads = ThreadPoolExecutor(simultaneous, thread_name_prefix="redoubt-match")
        self._lock = Lock()
        self._current: _Held | None = None

    @property
    def since(self) -> float:
        """When the current definitions became so, in seconds since 1970; 0 where there are none."""
        with self._lock:
            return self._current.since if self._current else 0.0

    @property
    def info(self) -> DefinitionsInfo | None:
        """What is known of the current definitions; None where there are none yet."""
        with self._lock:
            return self._current.snapshot.info if self._current else None

    def switch(self, snapshot: Snapshot) -> None:
        """Match with ``snapshot`` from now on, and close the former once nobody reads it."""
        held = _Held(snapshot)
        with self._lock:
            former, self._current = self._current, held
        if former is not None:
            former.let_go()

    @contextmanager
    def definitions(self) -> Iterator[Snapshot]:
        """The current snapshot, which stays open meanwhile. Raises ``DefinitionsMissing``."""
        with self._lock:
            held = self._current
            if held is None:
                raise DefinitionsMissing(
                    "no definitions have reached the Matcher yet; upload some with `roxctl scanner upload-db`"
                )
            held.take()
        try:
            yield held.snapshot
        finally:
            held.let_go()

    async def match(
        self, report: IndexReport, detection: Detection = Detection.PRECISE
    ) -> VulnerabilityReport:
        """What the current definitions say of ``report``."""

        def matched() -> VulnerabilityReport:
            with self.definitions() as snapshot:
                return match(report, snapshot, detection=detection)

        return await self.work(matched)

    async def work(self, do: Callable[[], T]) -> T:
        """What ``do`` gives, in one of the threads that match."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, do)

    def close(self) -> None:
        """End the threads and let go of the definitions."""
        self._threads.shutdown(cancel_futures=True)
        with self._lock:
            held, self._current = self._current, None
        if held is not None:
            held.let_go()


class _Held:
    """An open snapshot, closed by the last who lets it go."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._lock = Lock()
        self._holders = 1
        self.since = time.time()

    def take(self) -> None:
        with self._lock:
            self._holders += 1

    def let_go(self) -> None:
        with self._lock:
            self._holders -= 1
            last = not self._holders
        if last:
            self.snapshot.close()
