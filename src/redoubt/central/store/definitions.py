"""Who made which definitions active, and when. The shelf itself is files; see ``central.definitions``."""

from __future__ import annotations

from datetime import datetime

import msgspec

from redoubt.central.store import Store, several


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A change of what is active. ``by`` is the caller's label; ``action``: ``start upload upload-older fetch rollback``."""

    time: datetime
    action: str
    digest: str
    channel: str
    version: int
    previous: str
    unsigned: bool
    by: str


class DefinitionsLog(Store):
    """The table ``definitions_log``."""

    async def add(
        self,
        *,
        action: str,
        digest: str,
        channel: str,
        version: int,
        previous: str,
        unsigned: bool,
        by: str,
    ) -> None:
        """Note a change, now."""
        await self._pool.execute(
            "INSERT INTO definitions_log (action, digest, channel, version, previous, unsigned, by)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            action,
            digest,
            channel,
            version,
            previous,
            unsigned,
            by,
        )

    async def newest(self, count: int) -> list[Done]:
        """The last ``count`` changes, newest first."""
        rows = await self._pool.fetch(
            "SELECT time, action, digest, channel, version, previous, unsigned, by FROM definitions_log"
            " ORDER BY id DESC LIMIT $1",
            count,
        )
        return several(Done, rows)
