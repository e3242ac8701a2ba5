"""Reads TOML in the form that programs write lock files in: a table, then ``key = value`` line by line.

Time grows with the length of the file, whatever is in it: a whole TOML parser's can grow with its square
(dotted keys). Values stay as they are written; those that take several lines are joined. Inline tables are
not taken apart, dotted keys and comments after values are not read. It must not know any one format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from redoubt.indexer.catalogers.fields import clean, lines

_KEY = re.compile(r"""[ \t]*([A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')[ \t]*=[ \t]*(.*)""").fullmatch
_HEADER = re.compile(r"[ \t]*(\[\[?)([^\[\]]+)\]\]?[ \t]*(?:#.*)?").fullmatch
_TEXT = re.compile(r"""[ \t]*(?:"([^"\\]*)"|'([^']*)')""").match
_TEXTS = re.compile(r"""["']([^"'\\]*)["']""").findall
_LONG = ('"""', "'''")


class Table(NamedTuple):
    """One table: its name (``package``, ``package.source``; empty for the top), and its values as written."""

    name: str
    values: dict[str, str]

    def text(self, key: str) -> str:
        """A value that is a string; empty if there is none, or another kind of value."""
        return string(self.values.get(key, ""))


def tables(text: str) -> Iterator[Table]:
    """Every table in the order of the file, the top one first. A new element of an array is a new table."""
    current = Table("", {})
    rest = lines(text)
    for line in rest:
        if header := _HEADER(line.rstrip("\r")):
            yield current
            current = Table(header[2].strip(), {})
        elif pair := _KEY(line.rstrip("\r")):
            value = pair[2]
            if value.startswith("[") and not value.rstrip().endswith("]"):
                value = _until_bracket(value, rest)
            elif value.startswith(_LONG) and value.count(value[:3]) == 1:
                value = _until(value[:3], rest)
            current.values[pair[1].strip("\"'")] = value
    yield current


def string(value: str) -> str:
    """What a value says that is a string without escapes, clean; empty if it is something else."""
    found = _TEXT(value)
    return clean(found[1] or found[2] or "") if found else ""


def strings(value: str) -> list[str]:
    """Every string in an array."""
    return [clean(text) for text in _TEXTS(value)]


def within(value: str, key: str) -> str:
    """The first string that an inline table, or a table in an array of them, gives a key."""
    found = re.search(rf"""[{{,][ \t]*{key}[ \t]*=[ \t]*(?:"([^"\\]*)"|'([^']*)')""", value)
    return clean(found[1] or found[2] or "") if found else ""


def has(value: str, key: str) -> bool:
    """Whether an inline table has a key."""
    return re.search(rf"[{{,][ \t]*{key}[ \t]*=", value) is not None


def each(value: str, key: str) -> list[str]:
    """The strings that the inline tables of an array give a key."""
    pairs = re.findall(rf"""[{{,][ \t]*{key}[ \t]*=[ \t]*(?:"([^"\\]*)"|'([^']*)')""", value)
    return [clean(first or second) for first, second in pairs]


def _until_bracket(value: str, lines: Iterator[str]) -> str:
    parts = [value]
    for line in lines:
        parts.append(line)
        if line.lstrip().startswith("]"):
            break
    return "\n".join(parts)


def _until(quotes: str, lines: Iterator[str]) -> str:
    for line in lines:
        if quotes in line:
            break
    return ""
