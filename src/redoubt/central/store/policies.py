"""Policies, as they are kept."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from redoubt.central.refusals import AlreadyExists
from redoubt.central.store import Connection, Pool, Store, affected
from redoubt.policies.policy import Policy, read, written

#: Whoever changes several policies at once holds this lock.
_LOCK = 7_070_001


class PolicyStore(Store):
    """Table ``policies``."""

    async def revision(self) -> tuple[int, int]:
        """Another pair whenever a policy was added, changed or deleted."""
        row = await self._pool.fetchrow(
            "SELECT coalesce(max(revision), 0) AS last, count(*) AS number FROM policies"
        )
        assert row is not None
        return row["last"], row["number"]

    async def all(self) -> list[Policy]:
        """All, by name."""
        rows = await self._pool.fetch("SELECT record FROM policies ORDER BY name")
        return [read(row["record"].encode()) for row in rows]

    async def get(self, identifier: str) -> Policy | None:
        """One, by its identifier."""
        record = await self._pool.fetchval("SELECT record FROM policies WHERE id = $1", identifier)
        return None if record is None else read(record.encode())

    async def several(self, identifiers: Sequence[str]) -> dict[str, Policy]:
        """Those that there are, by their identifiers."""
        rows = await self._pool.fetch(
            "SELECT id, record FROM policies WHERE id = ANY ($1::text[])", list(identifiers)
        )
        return {row["id"]: read(row["record"].encode()) for row in rows}

    async def add_missing(self, policies: Sequence[Policy]) -> None:
        """Add those of which there is neither the identifier nor the name; the others stay as they are."""
        await self._pool.executemany(
            "INSERT INTO policies (id, name, is_default, record) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            [(each.id, each.name, each.is_default, written(each).decode()) for each in policies],
        )

    async def add(self, policy: Policy) -> None:
        """Add one. Raises ``AlreadyExists`` where the name or the identifier is taken."""
        await self._add(self._pool, policy)

    async def change(self, policy: Policy) -> bool:
        """Replace one; False where there is none. Raises ``AlreadyExists`` where another one has the name."""
        statement = (
            "UPDATE policies SET name = $2, record = $3, revision = nextval('policy_revisions') WHERE id = $1"
        )
        try:
            tag = await self._pool.execute(statement, policy.id, policy.name, written(policy).decode())
        except asyncpg.UniqueViolationError:
            raise _taken(policy) from None
        return affected(tag) == 1

    async def delete(self, identifier: str) -> bool:
        """Delete one that is no default policy; False where there is none such."""
        tag = await self._pool.execute("DELETE FROM policies WHERE id = $1 AND NOT is_default", identifier)
        return affected(tag) == 1

    async def put(self, policy: Policy, *, overwrite: bool) -> list[Taken]:
        """Add one; with ``overwrite`` in place of those that have its identifier or name. What is in the way, if something is."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            rows = await connection.fetch(
                "SELECT id, name, is_default FROM policies WHERE id = $1 OR name = $2", policy.id, policy.name
            )
            there = [Taken(row["id"], row["name"], row["is_default"]) for row in rows]
            if any(each.is_default or not overwrite for each in there):
                return there
            await connection.execute(
                "DELETE FROM policies WHERE id = ANY ($1::text[])", [each.id for each in there]
            )
            await self._add(connection, policy)
        return []

    async def _add(self, connection: Pool | Connection, policy: Policy) -> None:
        try:
            await connection.execute(
                "INSERT INTO policies (id, name, is_default, record) VALUES ($1, $2, $3, $4)",
                policy.id,
                policy.name,
                policy.is_default,
                written(policy).decode(),
            )
        except asyncpg.UniqueViolationError:
            raise _taken(policy) from None


class Taken(msgspec.Struct, frozen=True):
    """A policy that has an identifier or a name already."""

    id: str
    name: str
    is_default: bool


def _taken(policy: Policy) -> AlreadyExists:
    return AlreadyExists(f"there is a policy {policy.name!r} already, or one with the identifier {policy.id}")
