"""Patterns of names and paths: ``*``, ``?`` and, between slashes, ``**``. Pure, in time of both lengths' product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def name(pattern: str, text: str) -> bool:
    """Whether all of ``text`` is what ``pattern`` says: ``*`` is any characters, slashes too."""
    if "*" not in pattern:
        return pattern == text
    return _matches(pattern, text, "*", str.__eq__)


def path(pattern: str, text: str) -> bool:
    """Whether all of a path is what ``pattern`` says, segment by segment.

    ``*`` is any characters of a segment and ``?`` one; a segment ``**`` is any segments, none too. A leading
    slash of the pattern means nothing, as paths in images have none.
    """
    return _matches(pattern.removeprefix("/").split("/"), text.split("/"), "**", _segment)


def _segment(pattern: str, text: str) -> bool:
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    return _matches(pattern, text, "*", lambda wanted, found: wanted in ("?", found))


def _matches(pattern: Sequence[T], items: Sequence[T], star: T, same: Callable[[T, T], bool]) -> bool:
    """Whether ``items`` are the pattern's, ``star`` standing for any of them: only the last star ever takes more."""
    at = position = 0
    resume, taken = -1, 0
    while position < len(items):
        if at < len(pattern) and pattern[at] == star:
            resume, taken = at + 1, position
            at += 1
        elif at < len(pattern) and same(pattern[at], items[position]):
            at += 1
            position += 1
        elif resume >= 0:
            taken += 1
            at, position = resume, taken
        else:
            return False
    return all(item == star for item in pattern[at:])
