"""TOML that people write, read in time that grows with its size. It must not know what it says."""

from __future__ import annotations

import tomllib
from typing import cast

from redoubt.errors import UsageError

#: Parts of a dotted key, and other dots of a line: tomllib's time grows with the square of the first.
_MAX_DOTS = 1000
#: Tables and lists within each other: what reads them goes down by calling itself.
_MAX_DEPTH = 32


def load(data: bytes, name: str) -> dict[str, object]:
    """The tables of the file ``name`` (UTF-8, with or without a byte order mark). Raises ``UsageError``."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = end if end >= 0 else len(data)
        if data.count(b".", at, end) > _MAX_DOTS:
            raise UsageError(f"{name}: a line with over {_MAX_DOTS} dots in it, which is not read")
        at = end + 1
    try:
        tables = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not valid TOML: it is not UTF-8") from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # tomllib's own error is a ValueError, a number too long another
        raise UsageError(f"{name}: not valid TOML: {str(error)[:200]}") from None
    _require_shallow(tables, name)
    return tables


def _require_shallow(tables: dict[str, object], name: str) -> None:
    level: list[object] = [tables]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else cast(list[object], outer))
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise UsageError(f"{name}: tables within each other over {_MAX_DEPTH} deep, which are not read")
