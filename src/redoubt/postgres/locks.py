"""Locks that a session holds: one of several replicas does something, and the others know that it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from redoubt.postgres.pool import Connection


@asynccontextmanager
async def held(connection: Connection, number: int, *, wait: bool = False) -> AsyncIterator[bool]:
    """Whether this session has the advisory lock ``number`` until the end of the block; where ``wait``, it has.

    A session that cannot give it back is ended, and the lock with it.
    """
    if wait:
        await connection.execute("SELECT pg_advisory_lock($1)", number)
        has = True
    else:
        has = bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", number))
    try:
        yield has
    finally:
        if has:
            try:
                await connection.execute("SELECT pg_advisory_unlock($1)", number)
            except asyncpg.InterfaceError:
                pass  # the session is over, and the lock with it
            except BaseException:
                # A pool forgets a connection that was lost, and says so.
                with suppress(asyncpg.InterfaceError):
                    connection.terminate()
                raise
