"""Who may be contacted by this Central, and a count of who was not: what ``/v1/egress`` shows.

The door is ``redoubt.egress``, and its guard the second line. This part installs the guard, hears of refusals
(of Central's own, and of those that the Indexer answers with) and writes them down now and then.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import structlog

from redoubt import tasks
from redoubt.central.store import Pool
from redoubt.central.store.egress import EgressStore
from redoubt.egress import Policy, refusals
from redoubt.egress.guard import Guard

_EVERY = 1.0
_MOST = 10_000

_log = structlog.get_logger("egress")


class Exits:
    """A part of Central. ``named`` is why each host that is allowed beyond the policy's is so."""

    def __init__(self, pool: Pool, policy: Policy, named: dict[str, str]) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._task = tasks.Background()
        self._end: Callable[[], None] = lambda: None
        self.store = EgressStore(pool)
        self.named = named
        self.guard = Guard(self._allowed)

    def _allowed(self, host: str) -> bool:
        return self._policy.allows(host) or host.lower() in self.named

    async def start(self) -> None:
        """Watch, and begin to count."""
        self._end = refusals.listen(self.refused)
        if self._policy.offline:
            self.guard.install()
        self._task.begin(self._run(), "exits")

    async def stop(self) -> None:
        """Write down what was counted, and watch no more."""
        self._end()
        self.guard.remove()
        await self._task.end()
        with suppress(Exception):
            await self.flush()

    def refused(self, host: str, who: str) -> None:
        """A host was not contacted. From any thread."""
        with self._lock:
            if len(self._refused) < _MOST or (host, who) in self._refused:
                self._refused[host, who] += 1

    async def flush(self) -> None:
        """Write down what was counted since the last time."""
        with self._lock:
            counted, self._refused = self._refused, Counter()
        if not counted:
            return
        for (host, who), count in counted.items():
            _log.warning("not contacted in offline mode", host=host, asked_by=who, count=count)
        await self.store.add(dict(counted))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 (the next time will do)
                _log.warning("refusals not written down", reason=type(error).__name__)
