"""Large objects: what was written is read again, and nothing of what was not committed is left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest

from redoubt.errors import AccessDenied, DatabaseError
from redoubt.postgres import large


def connected(url: str, work: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await work(connection)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 1, large.PIECE, 2 * large.PIECE + 17])
def test_what_was_written_is_read_again(database: str, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "in").write_bytes(data)

    async def work(connection: asyncpg.Connection) -> None:
        async with connection.transaction():
            made = await large.write(connection, tmp_path / "in")
        async with connection.transaction():
            found = await large.read(connection, made.oid, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == data
        assert made == found == large.Large(oid=made.oid, size=size, sha256=sha256(data).hexdigest())

    connected(database, work)


def test_nothing_is_left_of_what_was_not_committed(database: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 5000)

    async def work(connection: asyncpg.Connection) -> None:
        transaction = connection.transaction()
        await transaction.start()
        await large.write(connection, tmp_path / "in")
        await transaction.rollback()
        assert await connection.fetchval("SELECT count(*) FROM pg_largeobject_metadata") == 0

    connected(database, work)


def test_an_object_that_is_not_there_is_said(database: str, tmp_path: Path) -> None:
    async def work(connection: asyncpg.Connection) -> None:
        with pytest.raises(DatabaseError, match="no large object 4711"):
            async with connection.transaction():
                await large.read(connection, 4711, tmp_path / "out")

    connected(database, work)


def test_a_database_without_room_is_said(database: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 5000)

    async def work(connection: asyncpg.Connection) -> None:
        class Full:
            async def fetchval(self, text: str, *values: object) -> object:
                if "lowrite" in text:
                    raise asyncpg.DiskFullError("could not extend file")
                return await connection.fetchval(text, *values)

        with pytest.raises(AccessDenied, match="disk is full"):
            async with connection.transaction():
                await large.write(cast(Any, Full()), tmp_path / "in")
        assert await connection.fetchval("SELECT count(*) FROM pg_largeobject_metadata") == 0

    connected(database, work)
