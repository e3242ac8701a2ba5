"""Clusters' records."""

from __future__ import annotations

from typing import Generic, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from redoubt.central.refusals import AlreadyExists
from redoubt.central.store import Pool, Store, affected

R = TypeVar("R", bound=msgspec.Struct)


class ClusterStore(Store, Generic[R]):
    """Table ``clusters``. A record is kept as the JSON of ``kind``, which has an ``id`` and a ``name``."""

    def __init__(self, pool: Pool, kind: type[R]) -> None:
        super().__init__(pool)
        self._kind = kind

    async def all(self) -> list[R]:
        """All, by name."""
        return await self.found("true", [])

    async def found(self, condition: str, values: list[object]) -> list[R]:
        """Those for which a condition holds, by name. Its text is made of constants only."""
        rows = await self._pool.fetch(
            f"SELECT record FROM clusters WHERE {condition} ORDER BY name",  # noqa: S608
            *values,
        )
        return [self._decode(row["record"]) for row in rows]

    async def get(self, identifier: UUID) -> R | None:
        """One, by its identifier."""
        record = await self._pool.fetchval("SELECT record FROM clusters WHERE id = $1", identifier)
        return None if record is None else self._decode(record)

    async def named(self, name: str) -> R | None:
        """One, by its name."""
        record = await self._pool.fetchval("SELECT record FROM clusters WHERE name = $1", name)
        return None if record is None else self._decode(record)

    async def add(self, identifier: UUID, name: str, record: R) -> None:
        """Add one. Raises ``AlreadyExists`` where the name or the identifier is taken."""
        await self._write(
            "INSERT INTO clusters (id, name, record) VALUES ($1, $2, $3)", identifier, name, record
        )

    async def change(self, identifier: UUID, name: str, record: R) -> bool:
        """Replace one; False where there is none."""
        statement = "UPDATE clusters SET name = $2, record = $3 WHERE id = $1"
        return await self._write(statement, identifier, name, record)

    async def delete(self, identifier: UUID) -> bool:
        """Delete one, and its alerts; False where there is none."""
        async with self._pool.acquire() as connection, connection.transaction():
            # All that is known of it goes with it, which may take a while.
            await connection.execute("SET LOCAL statement_timeout = 0")
            # First what ``hub.hold`` locks first: else who has the stream waits for the cluster's row, and this for the stream.
            await connection.execute("SELECT FROM sensor_sessions WHERE cluster = $1 FOR UPDATE", identifier)
            there = affected(await connection.execute("DELETE FROM clusters WHERE id = $1", identifier)) == 1
            await connection.execute("DELETE FROM alerts WHERE cluster = $1", identifier)
        return there

    async def _write(self, statement: str, identifier: UUID, name: str, record: R) -> bool:
        try:
            tag = await self._pool.execute(statement, identifier, name, msgspec.json.encode(record).decode())
        except asyncpg.UniqueViolationError:
            raise AlreadyExists(f"there is a cluster {name!r} already") from None
        return affected(tag) == 1

    def _decode(self, record: str) -> R:
        return msgspec.json.decode(record, type=self._kind)
