"""Init bundles and cluster registration secrets: what was issued, and whether it still counts."""

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
INIT_BUNDLE, CRS = "INIT_BUNDLE", "CRS"
_COLUMNS = "id, name, created_at, created_by, expires_at, kind, max_registrations"


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """See ``0082_init_bundles.sql``."""

    id: UUID
    name: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    kind: str = INIT_BUNDLE
    max_registrations: int = 0


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
                f"INSERT INTO init_bundles ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)",  # noqa: S608
                *msgspec.structs.astuple(bundle),
            )
        except asyncpg.UniqueViolationError:
            raise AlreadyExists(
                f"there is an init bundle or a cluster registration secret {bundle.name!r} already"
            ) from None

    async def all(self, kind: str = INIT_BUNDLE) -> list[Bundle]:
        """Those of a kind that count, by name."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM init_bundles WHERE kind = $1 AND revoked_at IS NULL ORDER BY name",  # noqa: S608
            kind,
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

    async def revoke(self, bundle: UUID, kind: str = INIT_BUNDLE) -> bool:
        """For good; False where there is none that counts."""
        async with self._pool.acquire() as connection, connection.transaction():
            tag = await connection.execute(
                "UPDATE init_bundles SET revoked_at = now() WHERE id = $1 AND kind = $2 AND revoked_at IS NULL",
                bundle,
                kind,
            )
            await tell(connection, TOPIC)
        return affected(tag) == 1
