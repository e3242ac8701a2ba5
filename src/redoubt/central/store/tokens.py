"""API tokens, as far as they are kept (never the token itself), and the keys that sign them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from redoubt.central.notices import tell
from redoubt.central.store import Connection, Store, affected, one, several

TOPIC = "tokens"
KEYS_TOPIC = "signing_keys"
_LOCK = 0x746F6B656E73  # "tokens"


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key as 32 bytes, and its private one, sealed; None: it signs no more."""

    id: str
    public: bytes
    sealed: bytes | None


class KeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A key as people see it. ``tokens`` are those in force that it signed; the last of them ends at ``last``."""

    id: str
    created_at: datetime
    signs: bool
    tokens: int
    last: datetime | None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token."""

    id: UUID
    name: str
    roles: list[str]
    issued_by: str
    issued_at: datetime
    expiration: datetime
    revoked: bool


_COLUMNS = "id, name, roles, issued_by, issued_at, expiration, revoked"


class TokenStore(Store):
    """Tables ``api_tokens`` and ``signing_keys``."""

    async def keys(self) -> list[SigningKey]:
        """All keys, the one that signs first."""
        rows = await self._pool.fetch(
            "SELECT id, public, sealed FROM signing_keys ORDER BY sealed IS NULL, created_at DESC, id"
        )
        return several(SigningKey, rows)

    async def key_facts(self) -> list[KeyFacts]:
        """What people may know of the keys, the one that signs first."""
        rows = await self._pool.fetch(
            "SELECT k.id, k.created_at, k.sealed IS NOT NULL AS signs, count(t.id) AS tokens, max(t.expiration) AS last"
            " FROM signing_keys k LEFT JOIN api_tokens t ON t.key = k.id AND NOT t.revoked AND t.expiration > now()"
            " GROUP BY k.id ORDER BY k.sealed IS NULL, k.created_at DESC, k.id"
        )
        return several(KeyFacts, rows)

    async def replace_key(self, new: SigningKey, grace: timedelta | None) -> int:
        """Sign with ``new`` from now on; what is left of the former key is its public half. Every replica is told.

        ``grace``: tokens that other keys signed end after that at the latest; how many these are.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute("UPDATE signing_keys SET sealed = NULL")
            await _add_key(connection, new)
            tag = await connection.execute(
                "UPDATE api_tokens SET expiration = now() + $1::interval, noticed = false"
                " WHERE NOT revoked AND expiration > now() + $1::interval",
                grace,
            )
            await tell(connection, KEYS_TOPIC)
            await tell(connection, TOPIC)
        return affected(tag)

    async def forget_keys(self) -> None:
        """Drop keys that sign no more and of whose tokens none is left."""
        await self._pool.execute(
            "DELETE FROM signing_keys k WHERE sealed IS NULL"
            " AND NOT EXISTS (SELECT FROM api_tokens t WHERE t.key = k.id)"
        )

    async def first_key(self, make: Callable[[], SigningKey]) -> None:
        """Add what ``make`` gives where there is no key; replicas that start at once end with one."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if not await connection.fetchval("SELECT true FROM signing_keys LIMIT 1"):
                await _add_key(connection, make())

    async def add(self, token: Token, key: str) -> bool:
        """Remember a token that is about to be handed out; False where its ``key`` no longer signs."""
        tag = await self._pool.execute(
            "INSERT INTO api_tokens (id, name, roles, issued_by, issued_at, expiration, key)"
            " SELECT $1, $2, $3, $4, $5, $6, id FROM signing_keys WHERE id = $7 AND sealed IS NOT NULL FOR SHARE",
            token.id,
            token.name,
            token.roles,
            token.issued_by,
            token.issued_at,
            token.expiration,
            key,
        )
        return affected(tag) == 1

    async def get(self, identifier: UUID) -> Token | None:
        """A token by its identifier."""
        row = await self._pool.fetchrow(f"SELECT {_COLUMNS} FROM api_tokens WHERE id = $1", identifier)  # noqa: S608
        return one(Token, row)

    async def all(self, revoked: bool | None = None) -> list[Token]:
        """Tokens, oldest first; all of them, or only those that are (not) revoked."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM api_tokens WHERE $1::boolean IS NULL OR revoked = $1"  # noqa: S608
            " ORDER BY issued_at, id",
            revoked,
        )
        return several(Token, rows)

    async def revoke(self, identifier: UUID) -> bool:
        """Revoke a token for good, and tell every replica; False where there is none."""
        async with self._pool.acquire() as connection, connection.transaction():
            tag = await connection.execute("UPDATE api_tokens SET revoked = true WHERE id = $1", identifier)
            await tell(connection, TOPIC, str(identifier))
        return affected(tag) == 1

    async def forget_expired(self) -> int:
        """Drop tokens that ended a day ago; until then a replica whose clock is late must know them."""
        tag = await self._pool.execute(
            "DELETE FROM api_tokens WHERE expiration < now() - interval '24 hours'"
        )
        return affected(tag)

    async def ending(self) -> list[Token]:
        """Tokens that end within a week and were not told of yet; now they were. None that were made for two days or less."""
        rows = await self._pool.fetch(
            "UPDATE api_tokens SET noticed = true WHERE NOT noticed AND NOT revoked"  # noqa: S608
            f" AND expiration BETWEEN now() AND now() + interval '7 days'"
            f" AND expiration - issued_at > interval '2 days' RETURNING {_COLUMNS}"
        )
        return several(Token, rows)


async def _add_key(connection: Connection, key: SigningKey) -> None:
    await connection.execute(
        "INSERT INTO signing_keys (id, public, sealed) VALUES ($1, $2, $3)", key.id, key.public, key.sealed
    )
