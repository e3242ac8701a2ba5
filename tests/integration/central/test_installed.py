"""``redoubt central reconfigure`` and ``reset-password``, as whoever has the database calls them."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from redoubt.central.auth import hashing
from redoubt.cli.redoubt import serving
from redoubt.postgres.embedded import Embedded
from support.postgres import FAST, chosen, reachable_folder

Migrated = Callable[[str], str]


def redoubt(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REDOUBT_", "ROX_"))}
    program = Path(sys.executable).with_name("redoubt")
    command = [str(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=kept | environment)


def asked(url: str, question: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_the_password_is_made_anew(migrated: Migrated) -> None:
    url = migrated("redoubt.central.migrations")
    for _ in range(2):
        done = redoubt("central", "reset-password", REDOUBT_CENTRAL_DATABASE_URL=url)
        assert done.returncode == 0, done.stderr
        password = done.stdout.strip()
        assert password not in done.stderr
        assert hashing.fits(password, str(asked(url, "SELECT hash FROM accounts WHERE name = 'admin'")))


def test_the_mode_is_changed_for_the_next_start(migrated: Migrated) -> None:
    url = migrated("redoubt.central.migrations")
    for flag, stored in ("--online", "false"), ("--offline", "true"), ("--offline", "true"):
        done = redoubt("central", "reconfigure", flag, REDOUBT_CENTRAL_DATABASE_URL=url)
        assert done.returncode == 0, done.stderr
        assert asked(url, "SELECT value FROM settings WHERE name = 'offline'") == stored
    assert "already" in done.stderr


@pytest.fixture
def stopped() -> Iterator[Path]:
    """The folder of a ``redoubt up`` that does not run, as far as its database goes."""
    folder = reachable_folder()
    try:
        with Embedded(folder / "postgres", binaries=chosen(), settings=FAST):
            pass
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_stopped_up_is_changed_as_well(stopped: Path) -> None:
    done = redoubt("central", "reset-password", "--data", str(stopped))
    assert done.returncode == 0, done.stderr
    with Embedded(stopped / "postgres", binaries=chosen(), settings=FAST) as database:
        stored = str(asked(database.url("central"), "SELECT hash FROM accounts"))
        assert hashing.fits(done.stdout.strip(), stored)
        running = redoubt("central", "reset-password", "--data", str(stopped))
        assert running.returncode != 0
        assert running.stdout == ""
        assert len(running.stderr.splitlines()) == 1


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    assert redoubt("central", "reconfigure", "--data", str(tmp_path)).returncode == 2
    assert "not a folder of" in redoubt("central", "reset-password", "--data", str(tmp_path)).stderr
    both = redoubt("central", "reset-password", "--data", "x", REDOUBT_CENTRAL_DATABASE_URL="postgresql:///x")
    assert both.returncode == 2
    assert "did you mean 'reset-password'" in redoubt("central", "reset-pasword").stderr


def test_a_password_that_was_made_is_said_where_nobody_else_says_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(serving.READY_FD, raising=False)
    serving.announce(serving.Ready(8443, "geheim"))
    assert "geheim" in capfd.readouterr().err
    serving.announce(serving.Ready(8443))
    assert capfd.readouterr().err == ""
