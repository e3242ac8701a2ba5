"""Connections that were refused, counted by host and by who asked."""

from __future__ import annotations

from datetime import datetime

import msgspec

from redoubt.central.store import Store

#: Rows that are kept: names in images are a stranger's, and there is no end of them.
_KEPT = 1000


class Refusal(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A host that was not contacted, and how often somebody asked for it."""

    host: str
    asked_by: str
    count: int
    first: datetime
    last: datetime


class EgressStore(Store):
    """The table ``egress_refusals``."""

    async def add(self, refused: dict[tuple[str, str], int]) -> None:
        """Count refusals, by host and who asked; the oldest rows that are too many go."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.executemany(
                "INSERT INTO egress_refusals (host, asked_by, count) VALUES ($1, $2, $3)"
                " ON CONFLICT (host, asked_by) DO UPDATE"
                " SET count = egress_refusals.count + excluded.count, last = now()",
                [(host[:255], who[:255], count) for (host, who), count in sorted(refused.items())],
            )
            await connection.execute(
                "DELETE FROM egress_refusals WHERE (host, asked_by) IN"
                " (SELECT host, asked_by FROM egress_refusals ORDER BY last DESC OFFSET $1)",
                _KEPT,
            )

    async def newest(self, count: int) -> list[Refusal]:
        """The last that were refused, newest first."""
        rows = await self._pool.fetch(
            "SELECT host, asked_by, count, first, last FROM egress_refusals ORDER BY last DESC, host LIMIT $1",
            count,
        )
        return [Refusal(**row) for row in rows]
