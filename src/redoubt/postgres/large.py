"""Large objects: files in the database, written and read in pieces, never in memory as a whole.

Everything happens in the caller's transaction: what is written is there once that is committed, and not at all
where it is not. Who reads sees the object as it was when the transaction's snapshot was taken.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import asyncpg
import msgspec

from redoubt.errors import AccessDenied, DatabaseError
from redoubt.postgres.pool import Connection

#: Bytes that are sent or asked for at a time.
PIECE = 1 << 20
#: Modes of ``lo_open``, from PostgreSQL's ``libpq-fs.h``.
_WRITE, _READ = 0x20000, 0x40000


class Large(msgspec.Struct, frozen=True, kw_only=True):
    """An object: its number in the database, its bytes, and their SHA-256 in hexadecimal."""

    oid: int
    size: int
    sha256: str


async def write(connection: Connection, path: Path) -> Large:
    """Put the file at ``path`` into a new object.

    Raises ``OSError`` where it cannot be read, ``AccessDenied`` where the database has no room for it.
    """
    digest, size = hashlib.sha256(), 0
    oid = await connection.fetchval("SELECT lo_create(0)")
    handle = await connection.fetchval("SELECT lo_open($1, $2)", oid, _WRITE)
    with path.open("rb") as file:

        def piece() -> bytes:
            data = file.read(PIECE)
            digest.update(data)
            return data

        try:
            while data := await asyncio.to_thread(piece):
                await connection.fetchval("SELECT lowrite($1, $2)", handle, data)
                size += len(data)
        except asyncpg.DiskFullError:
            raise AccessDenied("the database's disk is full; make room on it, and try again") from None
    await connection.fetchval("SELECT lo_close($1)", handle)
    return Large(oid=oid, size=size, sha256=digest.hexdigest())


async def fetch(pool: asyncpg.Pool, find: str, key: object, path: Path, sha256: str, what: str) -> bool:
    """Write the object whose number ``find`` gives for ``key`` to the new file ``path``; False where there is none.

    Raises as ``read``, and ``DatabaseError``, which calls it ``what``, where its bytes have another ``sha256``.
    """
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        oid = await connection.fetchval(find, key)
        if oid is None:
            return False
        found = await read(connection, oid, path)
    if found.sha256 != sha256:
        raise DatabaseError(f"{what} in the database is damaged")
    return True


async def read(connection: Connection, oid: int, path: Path) -> Large:
    """Write an object's bytes to the new file ``path``; what they are.

    Raises ``DatabaseError`` where there is no such object, ``OSError`` where the disk is full.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("xb", buffering=0) as file:

        def keep(data: bytes) -> None:
            digest.update(data)
            if file.write(data) != len(data):
                raise OSError(f"{path} could not be written whole")

        try:
            handle = await connection.fetchval("SELECT lo_open($1, $2)", oid, _READ)
        except asyncpg.UndefinedObjectError:
            raise DatabaseError(f"the database holds no large object {oid}") from None
        while data := await connection.fetchval("SELECT loread($1, $2)", handle, PIECE):
            await asyncio.to_thread(keep, data)
            size += len(data)
        await connection.fetchval("SELECT lo_close($1)", handle)
    return Large(oid=oid, size=size, sha256=digest.hexdigest())
