"""Numbered SQL files that bring a database to the shape that this program needs. Knows no table but its own.

``NNNN_words.sql`` in a package are applied in the order of their numbers, each in a transaction, by one process
at a time (an advisory lock), and remembered with their SHA-256. What a file says is never changed once it is out:
a database that remembers another content of it is refused, and so is one that remembers a file that is not here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from redoubt.errors import DatabaseError
from redoubt.postgres.locks import held
from redoubt.postgres.pool import Connection

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
# One number for all rooms: rooms in one database wait for each other. It is "redoubt" in ASCII.
_LOCK = 0x7265646F756274
_TABLE = """
CREATE TABLE IF NOT EXISTS redoubt_migrations (
    room text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room, number)
)
"""


@dataclass(frozen=True)
class Migration:
    """One file: its number, its name and what it says."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read(package: str) -> list[Migration]:
    """The migrations in ``package`` (``redoubt.central.migrations``), ascending. Two of one number are a fault of ours."""
    found: dict[int, Migration] = {}
    for entry in files(package).iterdir():
        if match := _NAME.fullmatch(entry.name):
            number = int(match[1])
            if number in found:
                raise ValueError(f"two migrations are number {number}: {found[number].name} and {entry.name}")
            found[number] = Migration(number, entry.name, entry.read_text(encoding="utf-8"))
    return [found[number] for number in sorted(found)]


async def migrate(database: asyncpg.Pool | Connection, package: str) -> list[str]:
    """Apply what ``database`` lacks of ``package``'s migrations; the names of those applied.

    Raises ``DatabaseError``: the database is newer than this program, a file was changed after it was applied, or
    a statement failed (the transaction of that file is undone, those before it stay).
    """
    wanted = read(package)
    if isinstance(database, asyncpg.Pool):
        async with database.acquire() as connection:
            return await _under_lock(connection, package, wanted)
    return await _under_lock(database, package, wanted)


async def apply(connection: Connection, room: str, wanted: list[Migration]) -> list[str]:
    """The same for migrations at hand; ``room`` is what they are remembered under."""
    return await _under_lock(connection, room, wanted)


async def _under_lock(connection: Connection, room: str, wanted: list[Migration]) -> list[str]:
    before = await connection.fetchval("SELECT current_setting('statement_timeout')")
    await connection.execute("SET statement_timeout = 0")
    try:
        async with held(connection, _LOCK, wait=True):
            await connection.execute(_TABLE)
            return await _missing(connection, room, wanted)
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT set_config('statement_timeout', $1, false)", before)


async def _missing(connection: Connection, room: str, wanted: list[Migration]) -> list[str]:
    rows = await connection.fetch("SELECT number, name, sha256 FROM redoubt_migrations WHERE room = $1", room)
    applied = {row["number"]: row for row in rows}
    _refuse_newer(applied, wanted)
    done = []
    for migration in wanted:
        if (row := applied.get(migration.number)) is not None:
            if row["sha256"] != migration.sha256:
                raise DatabaseError(
                    f"the migration {row['name']} was applied to this database with another content than this "
                    "program has; run the program that made the database, or restore a backup"
                )
            continue
        try:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO redoubt_migrations (room, number, name, sha256) VALUES ($1, $2, $3, $4)",
                    room,
                    migration.number,
                    migration.name,
                    migration.sha256,
                )
        except asyncpg.PostgresError as error:
            raise DatabaseError(
                f"the migration {migration.name} failed and was undone: {error}; see that the user owns the "
                "database and that there is room, then start again"
            ) from None
        done.append(migration.name)
    return done


def _refuse_newer(applied: dict[int, asyncpg.Record], wanted: list[Migration]) -> None:
    unknown = applied.keys() - {migration.number for migration in wanted}
    if unknown:
        raise DatabaseError(
            f"the database is newer than this program (it has {applied[max(unknown)]['name']}); "
            "run the newer Redoubt, or restore a backup of before its start"
        )
