"""Reads YAML in the form that programs write lock files in: mappings by indentation, a key a line.

Nothing is built and nothing is expanded, so anchors and aliases are just text, and time grows with the
length of the file. It must not know any one format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from redoubt.indexer.catalogers.fields import clean, lines


class Line(NamedTuple):
    """A key and what stands after it on its line. A list's element has the key ``-``."""

    indent: int
    key: str
    value: str


def pairs(text: str) -> Iterator[Line]:
    """Every line that has a key, in the order of the file; others (comments, text) are passed over."""
    for raw in lines(text):
        line = raw.rstrip()
        rest = line.lstrip(" ")
        indent = len(line) - len(rest)
        if not rest or rest[0] in "#%&*{}[]|>":
            continue
        if rest.startswith("? "):  # a key too long for the line of its value
            yield Line(indent, _plain(rest[2:]), "")
        elif rest.startswith("- "):
            yield Line(indent, "-", _plain(rest[2:]))
        elif pair := _pair(rest):
            yield Line(indent, *pair)


def _pair(rest: str) -> tuple[str, str] | None:
    if rest[0] in "'\"":
        end = rest.find(rest[0] + ":", 1)
        return (clean(rest[1:end]), _plain(rest[end + 2 :])) if end > 0 else None
    key, colon, value = rest.partition(": ")
    if colon:
        return clean(key), _plain(value)
    return (clean(rest[:-1]), "") if rest.endswith(":") else None


def _plain(value: str) -> str:
    value = clean(value)
    if len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]:
        return value[1:-1]
    return value
