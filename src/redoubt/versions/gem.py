"""Ruby gem versions, as ``Gem::Version`` of RubyGems compares them.

Rules: ``Gem::Version`` (3.3). Numbers and words in a row; a word stands below any number, and nothing equals
zero. ``-`` reads as ``.pre.``, so a platform (``1.16.0-java``) has to be taken off first or it makes a
pre-release. Words keep their case, as RubyGems compares their bytes. Stricter in one point: the empty text,
which RubyGems takes for 0, is no version.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import Memo, number

_BLANKS = " \t\r\n\f\v"
_VERSION = re.compile(
    r"[0-9]++(?:\.[0-9a-zA-Z]++)*+(?:-[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+)?+", re.ASCII
).fullmatch
_SEGMENTS = re.compile("[0-9]+|[a-zA-Z]+").findall

# What may come next, in ascending order. Nothing equals as many zeros as are needed, so a zero's place
# depends on whether what follows the zeros is below zero (a word) or above it (a number).
_WORD, _ZERO_BEFORE_WORD, _END, _ZERO_BEFORE_NUMBER, _NUMBER = (bytes((n,)) for n in range(1, 6))


def _segment(text: str) -> bytes:
    """A word or a number; the empty bytes for zero, whose place is not known yet."""
    if text[0] > "9":
        return _WORD + text.encode("ascii") + b"\0"
    return _NUMBER + number(text) if text.strip("0") else b""


_segment_of = Memo(_segment).__getitem__


def numbers(version: str) -> list[str]:
    """The numbers before the first word: what RubyGems calls the release. Raises ``InvalidVersion``."""
    segments = _segments(version)
    first_word = next((at for at, text in enumerate(segments) if text[0] > "9"), len(segments))
    return segments[:first_word]


def _segments(version: str) -> list[str]:
    text = version.strip(_BLANKS)
    if not _VERSION(text):
        raise InvalidVersion("gem", version)
    return _SEGMENTS(text.replace("-", ".pre."))


def key(version: str) -> bytes:
    """Order-preserving bytes of a gem's version. Raises ``InvalidVersion``."""
    parts: list[bytes] = []
    zeros = 0
    words = False
    for segment in map(_segment_of, _segments(version)):
        if not segment:
            zeros += 1
            continue
        if segment[:1] == _NUMBER:
            parts.append(_ZERO_BEFORE_NUMBER * zeros)
        elif words:
            parts.append(_ZERO_BEFORE_WORD * zeros)
        # Zeros before the first word say nothing: 1.0.a is 1.a.
        words = words or segment[:1] == _WORD
        parts.append(segment)
        zeros = 0
    parts.append(_END)
    return b"".join(parts)
