"""What Sensors answer, brought to whoever asked, also where another replica has the Sensor.

Answers for others lie in the table ``sensor_answers`` until they are fetched, or nobody can be waiting any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import msgspec

from redoubt.central.refusals import FailedPrecondition, Unavailable
from redoubt.central.store.hub import HubStore

#: Seconds between two looks whether another replica was answered.
_LOOK = 0.5
#: Characters of a failure that are told.
_LONGEST = 2000


class Answered(msgspec.Struct, frozen=True):
    """What a Sensor answered. ``failure`` is empty where it did what was asked."""

    failure: str
    result: bytes


class Expected:
    """An answer that somebody waits for. Only the asked cluster's Sensor can give it."""

    def __init__(self, identifier: str, cluster: UUID, store: HubStore) -> None:
        self.cluster = cluster
        self._identifier = identifier
        self._store = store
        self._come: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

    def give(self, answered: Answered) -> None:
        """It has come."""
        if not self._come.done():
            self._come.set_result(answered)

    async def within(self, patience: float) -> bytes:
        """What was answered within ``patience`` seconds. Raises ``FailedPrecondition`` and ``Unavailable``."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while not self._come.done():
            if (left := until - loop.time()) <= 0:
                raise Unavailable(f"the cluster's Sensor did not answer within {patience:.0f} seconds")
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._come), min(left, _LOOK))
                break
            if (found := await self._store.take_answer(self._identifier, self.cluster)) is not None:
                self.give(Answered(*found))
        answered = self._come.result()
        if answered.failure:
            raise FailedPrecondition(f"the cluster's Sensor: {answered.failure[:_LONGEST]}")
        return answered.result


class Answers:
    """Answers that are waited for here."""

    def __init__(self, store: HubStore) -> None:
        self._store = store
        self._expected: dict[str, Expected] = {}

    @contextmanager
    def expected(self, identifier: str, cluster: UUID) -> Iterator[Expected]:
        """Wait for an answer within the block."""
        self._expected[identifier] = waiting = Expected(identifier, cluster, self._store)
        try:
            yield waiting
        finally:
            del self._expected[identifier]

    async def came(self, cluster: UUID, identifier: str, answered: Answered) -> None:
        """A Sensor answered: to whoever waits here, or to another replica that asked. Lies about requests of others are dropped."""
        waiting = self._expected.get(identifier)
        if waiting is None:
            await self._store.put_answer(identifier, cluster, answered.failure[:_LONGEST], answered.result)
        elif waiting.cluster == cluster:
            waiting.give(answered)
