"""Where sealed secrets are, so that all of them can be sealed anew. Who adds such a column lists it here.

A secret's context is ``context(table, column, key)``: it opens in its own row and column, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from redoubt.central.store import Store


class Place(msgspec.Struct, frozen=True):
    """A column of sealed secrets; ``key`` is the table's primary key. Names are ours, never a caller's."""

    table: str
    column: str
    key: str = "id"


PLACES: tuple[Place, ...] = (Place("signing_keys", "sealed"), Place("image_integrations", "sealed"))


def context(table: str, column: str, key: object) -> str:
    """What a secret is bound to."""
    return f"{table}:{column}:{key}"


class SealedStore(Store):
    """Every sealed secret, wherever it is."""

    async def renew(self, anew: Callable[[bytes, str], bytes | None]) -> int:
        """Replace each secret by what ``anew`` makes of it and its context; how many it made something of.

        A secret that somebody else changes meanwhile stays as he left it.
        """
        changed = 0
        for place in PLACES:
            rows = await self._pool.fetch(
                f"SELECT {place.key} AS key, {place.column} AS sealed FROM {place.table}"  # noqa: S608
                f" WHERE {place.column} IS NOT NULL"
            )
            for row in rows:
                made = anew(row["sealed"], context(place.table, place.column, row["key"]))
                if made is not None:
                    await self._pool.execute(
                        f"UPDATE {place.table} SET {place.column} = $1"  # noqa: S608
                        f" WHERE {place.key} = $2 AND {place.column} = $3",
                        made,
                        row["key"],
                        row["sealed"],
                    )
                    changed += 1
        return changed
