"""Which probes there are, of what size and whose. Their contents are files (see ``central.probes``), and for replicas large objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from redoubt.central.store import Connection, Store, one, several
from redoubt.errors import DatabaseError
from redoubt.postgres import large

#: Held by whoever changes rows and files together, on any replica: "prob" as a number.
_LOCK = 0x70726F62
_COLUMNS = "name, size, crc32, sha256, stored_at, by"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A row. ``by`` is the caller's label; ``sha256`` is the file's name, too."""

    name: str
    size: int
    crc32: int
    sha256: str
    stored_at: datetime
    by: str


class New(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become a row."""

    name: str
    size: int
    crc32: int
    sha256: str


class Totals(msgspec.Struct, frozen=True):
    """How many, and how many bytes."""

    count: int
    size: int


class Changing:
    """The table while nobody else changes it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, new: Sequence[New], by: str) -> list[str]:
        """Add rows, and replace those that have other contents; the digests that were there under these names."""
        names = [one.name for one in new]
        before = await self._connection.fetch("SELECT sha256 FROM probes WHERE name = ANY($1)", names)
        await self._connection.execute(
            "INSERT INTO probes (name, size, crc32, sha256, by)"
            " SELECT *, $5::text FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[])"
            " ON CONFLICT (name) DO UPDATE SET size = excluded.size, crc32 = excluded.crc32,"
            " sha256 = excluded.sha256, by = excluded.by, stored_at = now()"
            " WHERE probes.sha256 <> excluded.sha256",
            names,
            [one.size for one in new],
            [one.crc32 for one in new],
            [one.sha256 for one in new],
            by,
        )
        return [row["sha256"] for row in before]

    async def delete(self, version: str, name: str) -> list[Kept]:
        """Remove a version's rows, or with ``name`` that one; what they were."""
        rows = await self._connection.fetch(
            f"DELETE FROM probes WHERE starts_with(name, $1) AND ($2 = '' OR name = $2) RETURNING {_COLUMNS}",  # noqa: S608
            f"{version}/",
            name,
        )
        return several(Kept, rows)

    async def keep(self, contents: Mapping[str, Path]) -> None:
        """Have these contents, files by their SHA-256, in the database."""
        there = await _stored(self._connection, contents)
        for digest in contents.keys() - there:
            made = await large.write(self._connection, contents[digest])
            if made.sha256 != digest:
                raise DatabaseError(f"{contents[digest]} is not what it was when it was uploaded")
            await self._connection.execute(
                "INSERT INTO probes_contents (sha256, content) VALUES ($1, $2)", digest, made.oid
            )

    async def drop(self) -> None:
        """Remove contents from the database that no row names any more."""
        await self._connection.execute(
            "DELETE FROM probes_contents c WHERE NOT EXISTS (SELECT FROM probes p WHERE p.sha256 = c.sha256)"
        )

    async def used(self, digests: Sequence[str]) -> set[str]:
        """Which of these contents a row still names."""
        rows = await self._connection.fetch(
            "SELECT DISTINCT sha256 FROM probes WHERE sha256 = ANY($1)", list(digests)
        )
        return {row["sha256"] for row in rows}


class ProbeStore(Store):
    """Table ``probes``."""

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Changing]:
        """All that happens in it counts at its end, or not at all; one at a time among all replicas."""
        async with self._pool.acquire() as connection, connection.transaction():
            # Another one may be storing large contents meanwhile.
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            yield Changing(connection)

    async def stored(self, digests: Iterable[str]) -> set[str]:
        """Which of these contents the database has."""
        async with self._pool.acquire() as connection:
            return await _stored(connection, digests)

    async def unstored(self) -> list[str]:
        """Contents that rows name and the database does not have."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT sha256 FROM probes p"
            " WHERE NOT EXISTS (SELECT FROM probes_contents c WHERE c.sha256 = p.sha256)"
        )
        return [row["sha256"] for row in rows]

    async def fetch(self, digest: str, path: Path) -> bool:
        """Write contents to the new file ``path``; False where the database does not have them.

        Raises ``DatabaseError`` where they are not those of the digest, ``OSError`` where the disk is full.
        """
        find = "SELECT content FROM probes_contents WHERE sha256 = $1"
        what = f"content {digest[:12]}… of a kernel support package"
        return await large.fetch(self._pool, find, digest, path, digest, what)

    async def get(self, name: str) -> Kept | None:
        """One, by its name."""
        row = await self._pool.fetchrow(f"SELECT {_COLUMNS} FROM probes WHERE name = $1", name)  # noqa: S608
        return one(Kept, row)

    async def named(self, names: Sequence[str]) -> list[Kept]:
        """Those of these names."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM probes WHERE name = ANY($1) ORDER BY name",  # noqa: S608
            list(names),
        )
        return several(Kept, rows)

    async def page(self, version: str, offset: int, limit: int) -> list[Kept]:
        """Some, by name; of one version, or of all where it is empty."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM probes WHERE $1 = '' OR starts_with(name, $1 || '/')"  # noqa: S608
            " ORDER BY name OFFSET $2 LIMIT $3",
            version,
            offset,
            limit,
        )
        return several(Kept, rows)

    async def totals(self, version: str = "") -> Totals:
        """Of one version, or of all."""
        row = await self._pool.fetchrow(
            "SELECT count(*) AS count, coalesce(sum(size), 0)::bigint AS size FROM probes"
            " WHERE $1 = '' OR starts_with(name, $1 || '/')",
            version,
        )
        return one(Totals, row) or Totals(0, 0)


async def _stored(connection: Connection, digests: Iterable[str]) -> set[str]:
    rows = await connection.fetch("SELECT sha256 FROM probes_contents WHERE sha256 = ANY ($1)", list(digests))
    return {row["sha256"] for row in rows}
