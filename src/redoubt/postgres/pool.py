"""Connections to any PostgreSQL by URL, and work that outlives a restart of it.

Statements are text with ``$1`` … for values; asyncpg prepares each text once a connection and keeps it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from redoubt.errors import DatabaseError, UsageError
from redoubt.postgres import failures

# What statements are asked of. Text, since asyncpg's classes take no parameter when they run.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
T = TypeVar("T")

OLDEST = 13  # major version
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_CONNECT_SECONDS = 10.0


#: Seconds between two looks whether a session's other end is there.
_PING = 5.0


class Session:
    """A connection for as long as it is one. Made before what hangs on it, so that no end is missed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ended = asyncio.Event()
        connection.add_termination_listener(lambda *_: self._ended.set())

    async def over(self) -> None:
        """Return when it is; raise where its other end is gone without a word, or it would seem alive for ever."""
        while not self._ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _PING)
                return
            await self._connection.fetchval("SELECT 1", timeout=_PING)


async def connect(
    url: str,
    *,
    minimum: int = 1,
    maximum: int = 10,
    statement_seconds: float = 30.0,
    wait_seconds: float = 30.0,
    application: str = "redoubt",
) -> asyncpg.Pool:
    """A pool of connections to ``url``, ``postgresql://user@host:port/database?sslmode=verify-full&sslrootcert=…``.

    A statement that runs for longer than ``statement_seconds`` is cancelled (0: never). While the server is not
    there yet it is asked again for ``wait_seconds``. Raises ``DatabaseUnavailable`` after that, ``AccessDenied`` for
    a wrong password, ``UsageError`` for a URL that is none, ``DatabaseError`` for a certificate or a version.
    """
    _check(url)
    settings = {
        "application_name": application,
        "statement_timeout": str(int(statement_seconds * 1000)),
        "idle_in_transaction_session_timeout": "300000",
        # Whoever holds a lock and is gone without a word is noticed, and the lock free, in less than a minute.
        "tcp_keepalives_idle": "20",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "5",
        "timezone": "UTC",
        "jit": "off",
    }

    async def attempt() -> asyncpg.Pool:
        # Not awaited at once: an unawaited pool knows its arguments only, a failed one is closed for good.
        pool = asyncpg.create_pool(
            url,
            min_size=minimum,
            max_size=maximum,
            timeout=_CONNECT_SECONDS,
            server_settings=settings,
            max_inactive_connection_lifetime=300.0,
            reset=_nothing,
        )
        await pool
        return pool

    pool = await again(attempt, within=wait_seconds, url=url)
    async with pool.acquire() as connection:
        found = connection.get_server_version().major
    if found < OLDEST:
        await pool.close()
        raise DatabaseError(
            f"{failures.where(url)} is PostgreSQL {found}; Redoubt needs {OLDEST} or newer, and is tested with 15 to 18"
        )
    return pool


async def close(pool: asyncpg.Pool, *, within: float = 5.0) -> None:
    """Close a pool: statements under way may end ``within`` seconds, and a server that is away holds nobody up."""
    try:
        await asyncio.wait_for(pool.close(), within)
    except (TimeoutError, OSError, *failures.RAISED):
        pool.terminate()


async def _nothing(connection: Connection) -> None:
    """How a connection goes back into the pool: asyncpg ends its transaction, and that is all.

    Its own way asks the server to undo all that a session can be given, which doubles the round trips of a page. So
    who gives a session something (``locks.held``, a setting) takes it back, and uses ``SET LOCAL`` if possible.
    """


async def again(work: Callable[[], Awaitable[T]], *, within: float = 30.0, url: str = "") -> T:
    """Do ``work``, and once more after a pause for as long as it fails because the server is away or in its way.

    Only for work that may be done twice: a whole transaction, or a question. After ``within`` seconds, and for
    any other failure at once, raises our error (``failures.translated``); what is not the database's passes through.
    """
    until = time.monotonic() + within
    pause = _FIRST_PAUSE
    while True:
        try:
            return await work()
        except Exception as error:
            retried = failures.passing(error) or failures.conflict(error)
            if not retried or time.monotonic() + pause > until:
                if isinstance(error, failures.RAISED):
                    raise failures.translated(error, url) from None
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _check(url: str) -> None:
    if not url.startswith(("postgresql://", "postgres://")):
        raise UsageError("the database URL cannot be used: it has to begin with postgresql://")
    # A missing file would look like a missing server, and be waited for.
    try:
        asked = parse_qs(urlsplit(url).query)
    except ValueError as error:
        raise UsageError(f"the database URL cannot be used: {error}") from None
    for name in ("sslrootcert", "sslcert", "sslkey", "passfile"):
        for path in asked.get(name, ()):
            if not Path(path).is_file():
                raise UsageError(f"the database URL names a file that is not there: {name}={path}")
