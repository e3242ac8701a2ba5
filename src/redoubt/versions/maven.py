"""Maven versions, as ComparableVersion of Maven 3.8 compares them.

Rules: "Version Order Specification" of the Maven POM reference, and ComparableVersion (3.8.7) where the two
differ. Every text is a Maven version; here it must be printable ASCII and not empty.

Its order is no order: ``5 < 5-jre < 5.0.0.RC1 < 5``. So no key can be exact for every version, and the
versions that take part in such rings have inexact keys. How they are told apart: a version is a chain of
lists (``-`` and every change between digits and letters open the next one), an item is a number or a word,
and a comparison walks two chains until it meets different items at the same place. An item may also meet
nothing, where one list ended: nothing equals 0, but stands below positive words and lists, which stand below
0. What can be met at one place, in the order of the comparison:

    word below nothing (rc) < word equal to it (final) < word above it (jre) < next list < number

The key puts *nothing* between the lists below it and the words above it. That is right as long as

- a word above nothing never meets a list below it: such a word must begin its list or follow a zero (after a
  zero no list can open), and no list begins with a list below nothing;
- zeros are followed by something above nothing, so that they, too, are above it where they meet it;
- no word that equals nothing is kept in the middle.

Versions for which this holds are exact among each other; the rest (``1.0.0.RC1``, ``1.2.3.v2019``) is not.
"""

from __future__ import annotations

import re
from itertools import zip_longest

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import NUMBERS, Memo, inexact

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
_ZERO = _NUMBER + NUMBERS["0"]

# In keys, besides: the end of the last list, and what the list before ends with.
_LIST_BELOW, _END, _WORD_ABOVE, _LIST_ABOVE = b"\x20", b"\x30", b"\x40", b"\x50"


def _word(text: str) -> bytes:
    text = _ALIASES.get(text, text)
    return _RANKS.get(text) or _UNKNOWN + text.encode("ascii") + b"\0"


_WORDS = Memo(_word)
_NUMBER_ITEMS = Memo(lambda digits: _NUMBER + NUMBERS[digits])


def _parse(version: str) -> list[list[bytes]]:
    """The chain of lists of items, normalised; every list but the last ends in ``_LIST``.

    Normalised: items that equal nothing are gone from the end of each list, and so are empty lists, but
    for those that hold the next one. Raises ``InvalidVersion``.
    """
    if not version or not version.isascii() or not version.isprintable():
        raise InvalidVersion("maven", version)
    items: list[bytes] = []
    chain = [items]
    runs = _RUNS(version.lower())
    after_item = False
    for run, following in zip_longest(runs, runs[1:], fillvalue="."):
        if run in ".-":
            if not after_item:
                items.append(_ZERO)
            opens = run == "-"
        elif run[0].isdigit():
            items.append(_NUMBER_ITEMS[run])
            opens = following not in ".-"
        else:
            opens = following[0].isdigit()
            items.append(_WORDS[_BEFORE_DIGITS.get(run, run) if opens else run])
        after_item = run not in ".-"
        if opens:
            items = []
            chain.append(items)
    return _normalised(chain)


def _normalised(chain: list[list[bytes]]) -> list[list[bytes]]:
    for depth in reversed(range(len(chain))):
        items = chain[depth]
        while items and items[-1] in (_NOTHING, _ZERO):
            items.pop()
        if depth + 1 < len(chain):
            items.append(_LIST)
        elif not items:
            chain.pop()
    return chain


def _sign(item: bytes) -> int:
    """Where a word or number stands against nothing."""
    return 0 if item in (_NOTHING, _ZERO) else -1 if item < _NOTHING else 1


def _against_nothing(item: bytes, chain: list[list[bytes]], depth: int) -> int:
    """Where an item of ``chain[depth]`` stands against nothing: a list as its first item that differs."""
    if item != _LIST:
        return _sign(item)
    signs = (_sign(inner) for items in chain[depth + 1 :] for inner in items if inner != _LIST)
    return next(sign for sign in signs if sign)


def key(version: str) -> bytes:
    """Order-preserving bytes, or an inexact key where the order cannot be kept. Raises ``InvalidVersion``."""
    chain = _parse(version)
    parts: list[bytes] = []
    for depth, items in enumerate(chain):
        before = b""
        for item in items:
            if item >= _NUMBER:
                parts.append(item)
            elif item == _LIST:
                # Its first item tells: where that is a list or a zero, what follows is above or inexact.
                below = chain[depth + 1][0] < _NOTHING
                if below and not before:
                    return inexact(version)
                parts.append(_LIST_BELOW if below else _LIST_ABOVE)
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
    for depth in range(max(len(left), len(right))):
        # An empty item stands for nothing, where one side has ended.
        for x, y in zip_longest(left[depth] if left else (), right[depth] if right else (), fillvalue=b""):
            if x == y:
                continue
            if x and y:
                return -1 if x < y else 1
            order = _against_nothing(x, left, depth) if x else -_against_nothing(y, right, depth)
            if order:
                return order
    return 0
