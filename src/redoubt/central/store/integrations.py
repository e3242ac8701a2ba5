"""Image integrations, their sealed secrets and their health; and images that are watched."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from redoubt.central.refusals import AlreadyExists
from redoubt.central.store import Connection, Store, affected, several

_COLUMNS = "id, name, pull_secret, record, sealed, status, problem, checked, cluster"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An integration as it is kept; see ``0040_integrations.sql``."""

    id: UUID
    name: str
    pull_secret: str
    record: str
    sealed: bytes | None
    status: str = "UNINITIALIZED"
    problem: str = ""
    checked: datetime | None = None
    #: Whose pull secret it was made of, where that was a cluster's.
    cluster: UUID | None = None


class IntegrationStore(Store):
    """The table ``image_integrations``."""

    async def all(self) -> list[Row]:
        """All, by name."""
        rows = await self._pool.fetch(f"SELECT {_COLUMNS} FROM image_integrations ORDER BY name")  # noqa: S608
        return several(Row, rows)

    async def get(self, identifier: UUID) -> Row | None:
        """One, or None."""
        rows = await self._pool.fetch(f"SELECT {_COLUMNS} FROM image_integrations WHERE id = $1", identifier)  # noqa: S608
        return next(iter(several(Row, rows)), None)

    async def add(self, row: Row) -> None:
        """Raises ``AlreadyExists`` where the name is taken."""
        try:
            async with self._pool.acquire() as connection:
                await _add(connection, row)
        except asyncpg.UniqueViolationError:
            raise AlreadyExists(f"integration with name {row.name!r} already exists") from None

    async def change(self, row: Row) -> bool:
        """Replace one; False where there is none. Its health is to be found out anew."""
        try:
            done = await self._pool.execute(
                "UPDATE image_integrations SET name = $2, record = $3, sealed = $4, status = 'UNINITIALIZED',"
                " problem = '', checked = NULL WHERE id = $1",
                row.id,
                row.name,
                row.record,
                row.sealed,
            )
        except asyncpg.UniqueViolationError:
            raise AlreadyExists(f"integration with name {row.name!r} already exists") from None
        return bool(affected(done))

    async def delete(self, identifier: UUID) -> bool:
        """False where there is none."""
        return bool(
            affected(await self._pool.execute("DELETE FROM image_integrations WHERE id = $1", identifier))
        )

    async def replace_pull_secret(self, name: str, rows: list[Row]) -> int:
        """Put these in place of what was made of a pull secret; how many that were. All or nothing."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                done = await connection.execute(
                    "DELETE FROM image_integrations WHERE pull_secret = $1 AND cluster IS NULL", name
                )
                for row in rows:
                    await _add(connection, row)
        except asyncpg.UniqueViolationError:
            raise AlreadyExists(
                f"integrations of the pull secret {name!r} have names that are taken"
            ) from None
        return affected(done)

    async def of_cluster(self, connection: Connection, cluster: UUID) -> list[Row]:
        """Those that were made of a cluster's pull secrets."""
        rows = await connection.fetch(
            f"SELECT {_COLUMNS} FROM image_integrations WHERE cluster = $1",  # noqa: S608
            cluster,
        )
        return several(Row, rows)

    async def put_of_cluster(self, connection: Connection, gone: list[UUID], rows: list[Row]) -> None:
        """Remove some and add others. A name that is somebody else's already is left to him."""
        await connection.execute("DELETE FROM image_integrations WHERE id = ANY ($1::uuid[])", gone)
        for row in rows:
            await _add(connection, row, " ON CONFLICT DO NOTHING")

    async def seed(self, rows: list[Row]) -> bool:
        """Add these, once in the life of a database; whether that was now."""
        async with self._pool.acquire() as connection, connection.transaction():
            first = await connection.execute(
                "INSERT INTO settings (name, value) VALUES ('integrations_seeded', 'true') ON CONFLICT DO NOTHING"
            )
            if not affected(first):
                return False
            for row in rows:
                await _add(connection, row, " ON CONFLICT DO NOTHING")
        return True

    async def health(self, identifier: UUID, status: str, problem: str) -> None:
        """Note what became of it. The same again within a minute is not written."""
        await self._pool.execute(
            "UPDATE image_integrations SET status = $2, problem = $3, checked = now() WHERE id = $1"
            " AND (status, problem) IS DISTINCT FROM ($2, $3)"
            " OR id = $1 AND (checked IS NULL OR checked < now() - interval '1 minute')",
            identifier,
            status,
            problem,
        )


class WatchedStore(Store):
    """The table ``watched_images``."""

    async def all(self) -> list[str]:
        """Names, in order."""
        return [
            str(row["name"])
            for row in await self._pool.fetch("SELECT name FROM watched_images ORDER BY name")
        ]

    async def add(self, name: str) -> None:
        """Watch it; it was looked at now."""
        await self._pool.execute(
            "INSERT INTO watched_images (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET looked = now(), problem = ''",
            name,
        )

    async def delete(self, name: str) -> None:
        """Watch it no more."""
        await self._pool.execute("DELETE FROM watched_images WHERE name = $1", name)

    async def take(self, interval: timedelta, lease: timedelta, count: int) -> list[str]:
        """Names that nobody looked at for so long, and nobody took within ``lease``; at most ``count``. Now they are taken."""
        rows = await self._pool.fetch(
            "UPDATE watched_images SET taken = now() WHERE name IN (SELECT name FROM watched_images"
            " WHERE looked <= now() - $1::interval AND (taken IS NULL OR taken <= now() - $2::interval)"
            " ORDER BY looked LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING name",
            interval,
            lease,
            count,
        )
        return [str(row["name"]) for row in rows]

    async def told(self, name: str, problem: str) -> None:
        """It was looked at now; why it could not be, or nothing."""
        await self._pool.execute(
            "UPDATE watched_images SET looked = now(), taken = NULL, problem = $2 WHERE name = $1",
            name,
            problem,
        )


async def _add(connection: Connection, row: Row, otherwise: str = "") -> None:
    await connection.execute(
        f"INSERT INTO image_integrations (id, name, pull_secret, record, sealed, cluster) VALUES ($1, $2, $3, $4, $5, $6){otherwise}",  # noqa: S608
        row.id,
        row.name,
        row.pull_secret,
        row.record,
        row.sealed,
        row.cluster,
    )
