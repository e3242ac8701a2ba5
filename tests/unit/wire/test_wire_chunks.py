"""Large structs in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.wire import chunks


async def sent(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def join(pieces: Iterable[bytes], size: int, limit: int = 100) -> bytes:
    return asyncio.run(chunks.join(sent(pieces), size, limit))


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 25])
def test_what_is_cut_is_joined_again(size: int) -> None:
    data = bytes(range(size))
    pieces = list(chunks.cut(data, 10))
    assert all(0 < len(piece) <= 10 for piece in pieces)
    assert join(pieces, size) == data


@pytest.mark.parametrize("size", [2, 4, 0, -1])
def test_another_size_than_was_announced_is_told(size: int) -> None:
    with pytest.raises(UnreadableInput, match="announced"):
        join([b"ab", b"c"], size)


def test_more_than_the_limit_is_not_even_begun() -> None:
    with pytest.raises(LimitExceeded, match="101 bytes"):
        join(iter(()), 101)


def test_a_sender_that_does_not_stop_is_stopped() -> None:
    given = [0]

    def endless() -> Iterable[bytes]:
        while True:
            given[0] += 1
            yield b"x"

    with pytest.raises(UnreadableInput):
        join(endless(), 5)
    assert given[0] == 6
