"""What changed in the cluster and was not looked at yet: the last state of each object, and no more.

However fast objects change, there is one entry for each; and when there are too many, whoever reads the watches waits.
"""

from __future__ import annotations

import asyncio

import msgspec


class Change(msgspec.Struct, frozen=True):
    """An object as it is now; ``found`` is None where it is gone. ``fresh``: it was made while we watched.

    ``listed`` is for all of a kind at once: what is not in it is gone.
    """

    kind: str
    id: str
    found: object = None
    fresh: bool = False
    listed: frozenset[str] | None = None


class Changes:
    """A queue, first come first served, by object. ``most`` entries fit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[tuple[str, str], Change] = {}
        self._come = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.coalesced = 0

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, change: Change) -> None:
        """Takes the place of what the same object was before; waits where there is no room."""
        key = change.kind, change.id
        while key not in self._waiting and len(self._waiting) >= self._most:
            self._room.clear()
            await self._room.wait()
        before = self._waiting.get(key)
        if before is not None:
            self.coalesced += 1
            if before.fresh and change.found is not None and not change.fresh:
                change = msgspec.structs.replace(change, fresh=True)
            if change.listed is not None:  # counts for all that came before it
                del self._waiting[key]
        self._waiting[key] = change
        self._come.set()

    async def take(self, most: int) -> list[Change]:
        """The oldest, at least one."""
        while not self._waiting:
            self._come.clear()
            await self._come.wait()
        keys = [key for key, _ in zip(self._waiting, range(most), strict=False)]
        taken = [self._waiting.pop(key) for key in keys]
        if len(self._waiting) < self._most:
            self._room.set()
        return taken
