"""Arch Linux package versions: ``[epoch:]pkgver-pkgrel``, as libalpm's ``vercmp`` compares them.

Rules: vercmp(8), PKGBUILD(5) and the behaviour of libalpm itself. Runs of digits and of letters are compared one
by one; anything else separates them. Unlike rpm's, separators count: more of them are newer (``1..0`` is above
``1.0``), and ``~`` and ``^`` are ordinary ones. A word that follows at once is older than nothing (``1.0rc`` is
below ``1.0``), a word after a separator newer (``1.0.a`` is above). No epoch is epoch 0.

vercmp is no total order in two places, and there keys are inexact and ``compare`` decides: a version without a
pkgrel is equal to every one that differs in the pkgrel only, and one that ends in separators (``1.0.``) is above some
versions that are above others it is below. Packages have a pkgrel, and makepkg refuses ``-`` in a pkgver.
"""

from __future__ import annotations

import re
from itertools import zip_longest

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import Memo, inexact, number, number_of

_SEGMENTS = re.compile("([^0-9A-Za-z]*)([0-9]+|[A-Za-z]+)").findall
_ENDS_IN_SEPARATOR = re.compile("[^0-9A-Za-z]$").search

# What may come next, in ascending order. After separators their count follows, and then which of the two comes.
_WORD_AT_ONCE, _END, _NUMBER_AT_ONCE, _SEPARATED = b"\x01", b"\x02", b"\x03", b"\x04"
_WORD, _NUMBER = b"\x01", b"\x02"


def _segment(text: str) -> bytes:
    """One run of letters or digits with the separators before it."""
    ((before, run),) = _SEGMENTS(text)
    separators = len(before.encode("utf-8", "surrogatepass"))
    digits = run[0] <= "9"
    content = number(run) if digits else run.encode("ascii") + b"\0"
    if not separators:
        return (_NUMBER_AT_ONCE if digits else _WORD_AT_ONCE) + content
    return _SEPARATED + number(str(separators)) + (_NUMBER if digits else _WORD) + content


_segment_of = Memo(_segment).__getitem__


def _part(text: str) -> bytes:
    return b"".join(_segment_of(before + run) for before, run in _SEGMENTS(text)) + _END


def _parse(version: str) -> tuple[str, str, str | None]:
    """Epoch (digits, perhaps none), pkgver, and pkgrel or None."""
    if not version or "\0" in version:
        raise InvalidVersion("pacman", version)
    epoch, rest = "", version
    digits, colon, tail = version.partition(":")
    if colon and (not digits or (digits.isdigit() and digits.isascii())):
        epoch, rest = digits, tail
    text, hyphen, release = rest.rpartition("-")
    return (epoch, text, release) if hyphen else (epoch, rest, None)


def key(version: str) -> bytes:
    """Order-preserving bytes, inexact without a pkgrel or with separators at an end.

    Raises ``InvalidVersion`` (empty text, NUL).
    """
    epoch, text, release = _parse(version)
    if release is None or _ENDS_IN_SEPARATOR(text) or _ENDS_IN_SEPARATOR(release):
        return inexact(version)
    return number_of(epoch) + _part(text) + _part(release)


def compare(a: str, b: str) -> int:
    """-1, 0 or 1 as vercmp orders ``a`` and ``b``. Raises ``InvalidVersion``."""
    epoch_a, text_a, release_a = _parse(a)
    epoch_b, text_b, release_b = _parse(b)
    order = _order(number_of(epoch_a), number_of(epoch_b)) or _compare_parts(text_a, text_b)
    if order or release_a is None or release_b is None:
        return order
    return _compare_parts(release_a, release_b)


def _compare_parts(a: str, b: str) -> int:
    trailing_a, trailing_b = bool(_ENDS_IN_SEPARATOR(a)), bool(_ENDS_IN_SEPARATOR(b))
    if a == b or not (trailing_a or trailing_b):
        return 0 if a == b else _order(_part(a), _part(b))
    for left, right in zip_longest(_SEGMENTS(a), _SEGMENTS(b)):
        if left is None:
            return _end_against(right, trailing_a)
        if right is None:
            return -_end_against(left, trailing_b)
        order = _order(_segment("".join(left)), _segment("".join(right)))
        if order:
            return order
    return trailing_a - trailing_b


def _end_against(segment: tuple[str, str], trailing: bool) -> int:
    """How an end, perhaps with separators before it, compares with one more segment.

    Once both sides have passed a separator its length no longer counts: only a word is older than nothing.
    """
    separators, run = segment
    older_than_nothing = run[0] > "9" and (trailing or not separators)
    return 1 if older_than_nothing else -1


def _order(a: bytes, b: bytes) -> int:
    return (a > b) - (a < b)
