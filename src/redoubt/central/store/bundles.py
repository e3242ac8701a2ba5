"""Init bundles: what was issued, and whether it still counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from redoubt.central.notices import tell
from redoubt.central.refusals import AlreadyExists
from redoubt.central.store import Store, affected, several

#: What replicas tell each other when one is revoked.
TOPIC = "init_bundles"


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """See ``0082_init_bundles.sql``."""

    id: UUID
    name: str
    created_at: datetime
    created_by: str
    expires_at: datetime


class Used(msgspec.Struct, frozen=True):
    """A cluster whose Sensor last came with a bundle's certificate."""

    id: UUID
    name: str
    bundle: str


class BundleStore(Store):
    """Table ``init_bundles``."""

    async def add(self, bundle: Bundle) -> None:
        """Raises ``AlreadyExists`` where one that counts has the name."""
        try:
            await self._pool.execute(
                "INSERT INTO init_bundles (id, name, created_at, created_by, expires_at) VALUES ($1, $2, $3, $4, $5)",
                *msgspec.structs.astuple(bundle),
            )
        except asyncpg.UniqueViolationError:
            raise AlreadyExists(f"there is an init bundle {bundle.name!r} already") from None

    async def all(self) -> list[Bundle]:
        """Those that count, by name."""
        rows = await self._pool.fetch(
            "SELECT id, name, created_at, created_by, expires_at FROM init_bundles"
            " WHERE revoked_at IS NULL ORDER BY name"
        )
        return several(Bundle, rows)

    async def used(self, bundles: Sequence[UUID]) -> list[Used]:
        """Clusters that would not get in any more without these."""
        rows = await self._pool.fetch(
            "SELECT c.id, c.name, s.bundle FROM sensor_sessions s JOIN clusters c ON c.id = s.cluster"
            " WHERE s.bundle = ANY ($1::text[]) ORDER BY c.name",
            [str(each) for each in bundles],
        )
        return several(Used, rows)

    async def counts(self, bundle: UUID) -> bool:
        """Whether it was issued here and not revoked."""
        return bool(
            await self._pool.fetchval(
                "SELECT true FROM init_bundles WHERE id = $1 AND revoked_at IS NULL", bundle
            )
        )

    async def revoke(self, bundle: UUID) -> bool:
        """For good; False where there is none that counts."""
        async with self._pool.acquire() as connection, connection.transaction():
            tag = await connection.execute(
                "UPDATE init_bundles SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL", bundle
            )
            await tell(connection, TOPIC)
        return affected(tag) == 1
