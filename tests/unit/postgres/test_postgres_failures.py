"""What a database's failure is called, and that no password is in it."""

from __future__ import annotations

import asyncio
import ssl

import asyncpg
import pytest

from redoubt.errors import AccessDenied, DatabaseError, DatabaseUnavailable, NetworkError, UsageError
from redoubt.postgres import failures, pool

URL = "postgresql://someone:s3cret-word@db.example:6000/central?sslmode=verify-full"


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        (asyncpg.InvalidPasswordError("no"), AccessDenied, "does not accept this user"),
        (asyncpg.InvalidCatalogNameError("no"), DatabaseError, "no such database"),
        (asyncpg.InsufficientPrivilegeError("no"), AccessDenied, "refuses this user"),
        (asyncpg.QueryCanceledError("statement timeout"), DatabaseUnavailable, "longer than is allowed"),
        (asyncpg.DiskFullError("full"), DatabaseError, "disk of db.example:6000/central is full"),
        (ConnectionRefusedError(111, "Connection refused"), DatabaseUnavailable, "Connection refused"),
        (TimeoutError(), DatabaseUnavailable, "no answer in time"),
        (ssl.SSLCertVerificationError("bad"), DatabaseError, "sslmode accepts"),
        (ValueError("invalid port"), UsageError, "invalid port"),
        (asyncpg.UniqueViolationError("twice\nDETAIL: more"), DatabaseError, "refused a statement: twice"),
    ],
)
def test_a_failure_is_a_line_to_act_on(raised: Exception, expected: type[Exception], said: str) -> None:
    error = failures.translated(raised, URL)
    assert type(error) is expected
    assert said in str(error)
    assert "s3cret" not in str(error)
    assert "someone" not in str(error)
    assert "\n" not in str(error)


def test_our_own_errors_stay_as_they_are() -> None:
    error = NetworkError("x")
    assert failures.translated(error, URL) is error


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (asyncpg.CannotConnectNowError("starting up"), True),
        (asyncpg.AdminShutdownError("bye"), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InterfaceError("the server expects 1 argument"), False),
        (ConnectionResetError(), True),
        (asyncpg.InternalClientError("cannot switch to state 15"), True),
        (FileNotFoundError(), True),
        (ssl.SSLCertVerificationError("bad"), False),
        (asyncpg.InvalidPasswordError("no"), False),
        (asyncpg.UniqueViolationError("twice"), False),
    ],
)
def test_waiting_helps_only_where_the_server_is_away(error: Exception, helps: bool) -> None:
    assert failures.passing(error) is helps


def test_a_broken_url_does_not_make_a_traceback() -> None:
    assert failures.where("postgresql://h:notaport/x") == "the database"
    assert failures.where("postgresql://redoubt@/central?host=%2Frun&port=5432") == "/run:5432/central"


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "postgresql://host:nan/db", "mysql://host/db", "postgresql://h/db?sslmode=perhaps"],
)
def test_a_url_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(UsageError, match="database URL"):
        asyncio.run(pool.connect(url, wait_seconds=5))


def test_a_certificate_file_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(UsageError, match=r"sslrootcert=/nowhere/ca\.pem"):
        asyncio.run(pool.connect("postgresql://h/db?sslmode=verify-full&sslrootcert=/nowhere/ca.pem"))


def test_work_is_done_again_until_it_succeeds_or_time_is_up() -> None:
    tries = []

    async def third_time() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise asyncpg.DeadlockDetectedError("deadlock")
        return "done"

    assert asyncio.run(pool.again(third_time)) == "done"
    with pytest.raises(DatabaseUnavailable, match="cannot reach"):
        asyncio.run(pool.again(_away, within=0.0, url=URL))
    with pytest.raises(KeyError):  # no failure of the database's
        asyncio.run(pool.again(_wrong))


async def _away() -> None:
    raise ConnectionRefusedError(111, "Connection refused")


async def _wrong() -> None:
    raise KeyError("x")
