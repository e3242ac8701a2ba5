"""What an exception amounts to for whoever called."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from redoubt.central.mishaps import judged
from redoubt.central.refusals import Code


def code(error: Exception) -> Code:
    return judged(error, method="GET", path="/v1/ping", number="1")[0]


def test_a_database_whose_socket_is_not_there_is_away() -> None:
    with pytest.raises(OSError) as missing:
        asyncio.run(asyncpg.connect("postgresql://redoubt@/central?host=/nowhere"))
    assert code(missing.value) is Code.UNAVAILABLE


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("closed"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        ConnectionRefusedError(111, "refused"),
        TimeoutError(),
    ],
)
def test_a_database_that_is_started_again_is_away(error: Exception) -> None:
    assert code(error) is Code.UNAVAILABLE


def test_a_file_that_is_missing_is_nothing_of_the_database() -> None:
    with pytest.raises(FileNotFoundError) as missing:
        Path("/nowhere/at/all").read_bytes()
    assert code(missing.value) is Code.INTERNAL
