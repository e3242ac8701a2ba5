"""Maven versions, as ComparableVersion of Maven 3.8 compares them.

Rules: "Version Order Specification" of the Maven POM reference, and ComparableVersion (3.8.7) where the two
differ. Every text is a Maven version; here it must be printable ASCII and not empty.

Its order is no order: ``3.7 < 3.7-04 < 3.7.0.rc.2 < 3.7``. So no key can be exact for every version, and the
versions that take part in such rings have inexact keys. How they are told apart: a version is a chain of
lists, each the last item of the one before (``-``, every change between digits and letters, and a word that
digits or the end follow open the next one); the other items are numbers and words. A comparison walks both
chains until it meets different items at the same place. It may also meet nothing, where one chain ended:
nothing equals 0, but stands below some words and lists, which stand below 0. What can be met, in the order of
the comparison:

    word below nothing (rc) < word equal to it (final) < word above it (jre) < next list < number

Keys put *nothing* between the lists below it and the words above it. That is right as long as

- a word above nothing never meets a list below it: such a word must begin its list or follow a zero (after a
  zero no list can open), and no list begins with a list below nothing;
- zeros are followed by something above nothing, so that they, too, are above it where they meet it;
- no word that equals nothing is kept in the middle.

Versions for which this holds are exact among each other; the rest (``3.7.0.rc.2``, ``1.2.sp.1``,
``0-SNAPSHOT``) are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import ZERO, Memo, inexact, number

_RUNS = re.compile(r"[0-9]+|[^0-9.\-]+|[.\-]").findall

_ALIASES = {"ga": "", "final": "", "release": "", "cr": "rc"}
_BEFORE_DIGITS = {"a": "alpha", "b": "beta", "m": "milestone"}
_QUALIFIERS = ("alpha", "beta", "milestone", "rc", "snapshot", "", "sp")
_RANKS = {word: bytes((rank,)) for rank, word in enumerate(_QUALIFIERS, start=0x10)}

# Items order by their bytes: words by rank (unknown ones last, by letters), then the next list, then numbers.
_NOTHING = _RANKS[""]
_UNKNOWN = b"\x17"
_LIST = b"\x20"
_NUMBER = b"\x60"
_ZERO = _NUMBER + ZERO

# In keys, besides: the end of the last list, and what the list before ends with.
_LIST_BELOW, _END, _WORD_ABOVE, _LIST_ABOVE = b"\x20", b"\x30", b"\x40", b"\x50"


def _word(text: str) -> bytes:
    text = _ALIASES.get(text, text)
    return _RANKS.get(text) or _UNKNOWN + text.encode("ascii") + b"\0"


_WORDS = Memo(_word)
_NUMBER_ITEMS = Memo(lambda digits: _NUMBER + number(digits))


def _parse(version: str) -> list[bytes]:
    """The items of all lists in a row, ``_LIST`` where the next one opens. Raises ``InvalidVersion``."""
    if not version or not version.isascii() or not version.isprintable():
        raise InvalidVersion("maven", version)
    items: list[bytes] = []
    runs = _RUNS(version.lower())
    after_item = False
    for run, following in zip_longest(runs, runs[1:], fillvalue=""):
        if run in ".-":
            if not after_item:
                items.append(_ZERO)
            if run == "-":
                items.append(_LIST)
        elif run[0].isdigit():
            items.append(_NUMBER_ITEMS[run])
            if following not in ".-":
                items.append(_LIST)
        elif following and following in ".-":
            items.append(_WORDS[run])
        else:
            if items and items[-1] != _LIST:
                items.append(_LIST)
            items.append(_WORDS[_BEFORE_DIGITS.get(run, run) if following else run])
            if following:
                items.append(_LIST)
        after_item = run not in ".-"
    return _normalised(items)


def _normalised(items: list[bytes]) -> list[bytes]:
    """Without items that equal nothing at the end of each list, and without a last list that is empty."""
    kept: list[bytes] = []
    at_end = True
    for item in reversed(items):
        if item == _LIST:
            at_end = True
            if kept:
                kept.append(item)
        elif not at_end or item not in (_NOTHING, _ZERO):
            at_end = False
            kept.append(item)
    kept.reverse()
    return kept


def _sign(items: Iterable[bytes]) -> int:
    """Where a list stands against nothing: as its first item does that is not equal to it."""
    differing = next((item for item in items if item not in (_NOTHING, _ZERO, _LIST)), _NOTHING)
    return (differing > _NOTHING) - (differing < _NOTHING)


def key(version: str) -> bytes:
    """Order-preserving bytes, or an inexact key where the order cannot be kept. Raises ``InvalidVersion``."""
    items = _parse(version)
    parts: list[bytes] = []
    before = b""  # the item before in the same list
    for item, following in zip_longest(items, items[1:], fillvalue=b""):
        if item >= _NUMBER:
            parts.append(item)
        elif item == _LIST:
            # Its first item tells: where that is a list or a zero, what follows is above or inexact.
            below = following < _NOTHING
            if below and not before:
                return inexact(version)
            parts.append(_LIST_BELOW if below else _LIST_ABOVE)
            before = b""
            continue
        elif item < _NOTHING:
            if before == _ZERO:
                return inexact(version)
            parts.append(item)
        else:
            if item == _NOTHING or (before and before != _ZERO):
                return inexact(version)
            parts.append(_WORD_ABOVE + item)
        before = item
    parts.append(_END)
    return b"".join(parts)


def compare(a: str, b: str) -> int:
    """-1, 0 or 1 as ComparableVersion says, rings included. Raises ``InvalidVersion``."""
    left, right = _parse(a), _parse(b)
    for x, y in zip(left, right, strict=False):
        if x != y:
            return -1 if x < y else 1
    if len(left) > len(right):
        return _sign(left[len(right) :])
    return -_sign(right[len(left) :])
