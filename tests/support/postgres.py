"""A real PostgreSQL for tests: one server a session (and xdist worker), a database of its own for every test.

``database`` is the URL of an empty one; ``migrated("redoubt.central.migrations")`` one with those tables in it,
copied from a template that is made once. ``REDOUBT_TEST_POSTGRES=16`` chooses the major version.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from redoubt.postgres import databases, migrations
from redoubt.postgres.binaries import Binaries, find
from redoubt.postgres.embedded import Embedded

# A test's data need not outlive a power cut. It outlives a kill -9: synchronous_commit stays on.
FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB", "max_wal_size": "128MB"}
_MEMORY = Path("/dev/shm")
_ENOUGH = 2 * 1024**3


def chosen() -> Binaries:
    """The programs that tests use; skips the test where there are none."""
    wanted = os.environ.get("REDOUBT_TEST_POSTGRES")
    for each in find():
        if wanted in (None, str(each.major)):
            return each
    pytest.skip(
        f"PostgreSQL {wanted or ''} is not here: install Debian's postgresql, or the extra 'postgres'"
    )


def reachable_folder() -> Path:
    """A temporary folder that the user whom PostgreSQL runs as may enter; pytest's own are closed to others."""
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH
    folder = Path(tempfile.mkdtemp(prefix="redoubt-test-", dir=_MEMORY if in_memory else None))
    folder.chmod(0o711)
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Embedded]:
    """A running server with nothing but its own databases. It ends with the session."""
    binaries = chosen()
    folder = reachable_folder()
    server = Embedded(folder / "pg", binaries=binaries, settings=FAST)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


_numbers = count(1)


def _new(server: Embedded, template: str | None = None) -> str:
    name = f"test_{next(_numbers)}"
    return asyncio.run(databases.ensure(server.url(name), name, template=template))


def _drop(url: str, name: str) -> None:
    async def drop() -> None:
        connection = await asyncpg.connect(databases.named(url, "postgres"))
        # Not WITH (FORCE): it is refused while the autovacuum, which is the superuser's, is in the database.
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = current_user",
            name,
        )
        for left in reversed(range(12)):
            try:
                await connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
                break
            except asyncpg.ObjectInUseError:  # PostgreSQL waits for others to go, but only five seconds
                if not left:
                    raise
        await connection.close()

    asyncio.run(drop())


@pytest.fixture
def database(postgres_server: Embedded) -> Iterator[str]:
    """The URL of an empty database, which is dropped after the test."""
    url = _new(postgres_server)
    yield url
    _drop(url, url.split("?")[0].rsplit("/", 1)[1])


@pytest.fixture(scope="session")
def _templates(postgres_server: Embedded) -> Callable[[str], str]:
    made: dict[str, str] = {}

    async def migrate(url: str, package: str) -> None:
        connection = await asyncpg.connect(url)
        await migrations.migrate(connection, package)
        await connection.close()

    def template(package: str) -> str:
        if package not in made:
            url = _new(postgres_server)
            asyncio.run(migrate(url, package))
            made[package] = url.split("?")[0].rsplit("/", 1)[1]
        return made[package]

    return template


@pytest.fixture
def migrated(postgres_server: Embedded, _templates: Callable[[str], str]) -> Iterator[Callable[[str], str]]:
    """Makes databases with a package's migrations applied; dropped after the test."""
    urls: list[str] = []

    def make(package: str) -> str:
        urls.append(_new(postgres_server, _templates(package)))
        return urls[-1]

    yield make
    for url in urls:
        _drop(url, url.split("?")[0].rsplit("/", 1)[1])
