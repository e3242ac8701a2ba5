"""Migrations against a real server: once, in order, whole or not at all, by one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from redoubt.errors import DatabaseError
from redoubt.postgres import migrations, pool
from redoubt.postgres.migrations import Migration

FIRST = Migration(1, "0001_first.sql", "CREATE TABLE a (i int); INSERT INTO a VALUES (1);")
SECOND = Migration(2, "0002_second.sql", "ALTER TABLE a ADD COLUMN j int;")
BROKEN = Migration(3, "0003_broken.sql", "INSERT INTO a VALUES (2); SELECT nonsense;")


def apply(url: str, *wanted: Migration, room: str = "room") -> list[str]:
    async def run() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            return await migrations.apply(connection, room, list(wanted))
        finally:
            await connection.close()

    return asyncio.run(run())


def rows(url: str, statement: str) -> Sequence[asyncpg.Record]:
    async def run() -> Sequence[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_each_is_applied_once_and_what_comes_later_is_added(database: str) -> None:
    assert apply(database, FIRST) == ["0001_first.sql"]
    assert apply(database, FIRST, SECOND) == ["0002_second.sql"]
    assert apply(database, FIRST, SECOND) == []
    assert [tuple(row) for row in rows(database, "SELECT i, j FROM a")] == [(1, None)]


def test_one_that_fails_is_undone_and_those_before_it_stay(database: str) -> None:
    with pytest.raises(DatabaseError, match=r"0003_broken\.sql failed and was undone.*nonsense"):
        apply(database, FIRST, SECOND, BROKEN)
    assert len(rows(database, "SELECT * FROM a")) == 1
    assert apply(database, FIRST, SECOND) == []


def test_a_database_newer_than_the_program_is_refused(database: str) -> None:
    apply(database, FIRST, SECOND)
    with pytest.raises(DatabaseError, match=r"newer than this program \(it has 0002_second\.sql\)"):
        apply(database, FIRST)


def test_a_file_that_was_changed_after_it_was_applied_is_refused(database: str) -> None:
    apply(database, FIRST)
    with pytest.raises(
        DatabaseError, match=r"0001_first\.sql was applied to this database with another content"
    ):
        apply(database, Migration(1, FIRST.name, FIRST.sql + " "), SECOND)
    assert [column["attname"] for column in rows(database, _COLUMNS)] == ["i"]


_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = 'a'::regclass AND attnum > 0"


def test_rooms_that_share_a_database_do_not_take_each_others_for_their_own(database: str) -> None:
    assert apply(database, FIRST, room="one") == ["0001_first.sql"]
    other = Migration(1, "0001_other.sql", "CREATE TABLE b (i int)")
    assert apply(database, other, room="other") == ["0001_other.sql"]


def test_several_that_start_at_once_apply_each_file_once(database: str) -> None:
    slow = Migration(
        1, "0001_slow.sql", "CREATE TABLE a (i int); SELECT pg_sleep(1.2); INSERT INTO a VALUES (1);"
    )

    async def run() -> list[list[str]]:
        connections = await pool.connect(database, maximum=4, statement_seconds=1.0)

        async def one() -> list[str]:
            async with connections.acquire() as connection:
                done = await migrations.apply(connection, "room", [slow, SECOND])
                # The statement timeout was lifted for this work only.
                assert await connection.fetchval("SHOW statement_timeout") == "1s"
                return done

        done = await asyncio.gather(*(one() for _ in range(4)))
        await connections.close()
        return list(done)

    assert sorted(map(len, asyncio.run(run()))) == [0, 0, 0, 2]
    assert len(rows(database, "SELECT * FROM a")) == 1


@pytest.mark.parametrize("package", ["redoubt.central.migrations", "redoubt.scanner.migrations"])
def test_the_rooms_own_files_apply(database: str, package: str) -> None:
    async def run() -> None:
        connections = await pool.connect(database)
        assert await migrations.migrate(connections, package) == [
            each.name for each in migrations.read(package)
        ]
        assert await migrations.migrate(connections, package) == []
        await connections.close()

    asyncio.run(run())
