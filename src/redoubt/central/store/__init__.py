"""What Central keeps, one class an area: SQL as text over asyncpg, structs in and out.

A store knows tables and nothing of requests. What a caller gives is always a parameter of a statement, never a part of
its text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import asyncpg
import asyncpg.pool
import msgspec

S = TypeVar("S", bound=msgspec.Struct)

# asyncpg's classes take a parameter in its stubs only.
if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection


class Store:
    """The pool, and rows as structs: a column's name is a field's name."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool


def one(kind: type[S], row: asyncpg.Record | None) -> S | None:
    """A row as a struct; None stays None."""
    return None if row is None else msgspec.convert(dict(row), kind)


def several(kind: type[S], rows: Iterable[asyncpg.Record]) -> list[S]:
    """Rows as structs."""
    return [msgspec.convert(dict(row), kind) for row in rows]


def affected(tag: str) -> int:
    """How many rows a statement touched, from its command tag (``UPDATE 3``)."""
    number = tag.rpartition(" ")[2]
    return int(number) if number.isdigit() else 0
