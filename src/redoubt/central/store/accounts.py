"""Accounts with a password, and the sources that have shown it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from redoubt.central.notices import tell
from redoubt.central.store import Store, affected, one

TOPIC = "accounts"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A name and the hash of its password."""

    name: str
    hash: str
    changed_at: datetime


class AccountStore(Store):
    """Table ``accounts`` and ``familiar_sources``."""

    async def get(self, name: str) -> Account | None:
        """An account by its name."""
        row = await self._pool.fetchrow("SELECT name, hash, changed_at FROM accounts WHERE name = $1", name)
        return one(Account, row)

    async def add(self, name: str, hashed: str) -> bool:
        """Add an account; False where there is one already."""
        async with self._pool.acquire() as connection, connection.transaction():
            tag = await connection.execute(
                "INSERT INTO accounts (name, hash) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                name,
                hashed,
            )
            await tell(connection, TOPIC, name)
        return affected(tag) == 1

    async def change(self, name: str, hashed: str) -> None:
        """Give an account another password; what its sources have shown counts no more."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO accounts (name, hash) VALUES ($1, $2)"
                " ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, changed_at = now()",
                name,
                hashed,
            )
            await connection.execute("DELETE FROM familiar_sources WHERE account = $1", name)
            await tell(connection, TOPIC, name)

    async def familiar(self, name: str, source: str) -> bool:
        """Whether the right password came from there in the last 30 days."""
        found = await self._pool.fetchval(
            "SELECT true FROM familiar_sources"
            " WHERE account = $1 AND source = $2 AND last_at > now() - interval '30 days'",
            name,
            source,
        )
        return bool(found)

    async def recognise(self, name: str, source: str) -> None:
        """The right password came from there."""
        await self._pool.execute(
            "INSERT INTO familiar_sources (account, source) VALUES ($1, $2)"
            " ON CONFLICT (account, source) DO UPDATE SET last_at = now()",
            name,
            source,
        )

    async def forget_unfamiliar(self) -> None:
        """Drop sources that have not been here for 30 days."""
        await self._pool.execute("DELETE FROM familiar_sources WHERE last_at <= now() - interval '30 days'")
