"""What keys are made of: the inexact mark, and pieces of versions as bytes, remembered. Knows no scheme.

Versions repeat their pieces far more than themselves (``.0``, ``-1``, ``+deb11u1``), so each scheme
encodes a piece once and looks it up afterwards. What is remembered is bounded in count and in length,
so that hostile input costs time only in proportion to its size.
"""

from __future__ import annotations

from collections.abc import Callable

_ENTRIES = 1 << 15
_LONGEST = 24

#: First byte of an inexact key; no exact key begins with it.
INEXACT = b"\xff"

#: Numbers of this many digits and more carry their length in eight bytes.
_LONG = 0xFE


class Memo(dict[str, bytes]):
    """``memo[piece]`` is ``encode(piece)``. Forgets everything when full, and never keeps long pieces.

    Where it is asked often, as ``memo.__getitem__``: brackets look that up, in a subclass, each time.
    """

    def __init__(self, encode: Callable[[str], bytes]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, piece: str) -> bytes:
        encoded = self._encode(piece)
        if len(piece) <= _LONGEST:
            if len(self) >= _ENTRIES:
                self.clear()
            self[piece] = encoded
        return encoded


def number(digits: str) -> bytes:
    """ASCII digits of any count → bytes that order as the numbers do. No digits at all are zero.

    The bytes delimit themselves, ignore leading zeros and never begin with 0xff.
    """
    digits = digits.lstrip("0")
    if len(digits) < _LONG:
        return bytes((len(digits),)) + digits.encode("ascii")
    return bytes((_LONG,)) + len(digits).to_bytes(8, "big") + digits.encode("ascii")


#: ``number``, remembered: for digits that are no part of a larger remembered piece.
number_of = Memo(number).__getitem__

ZERO = number_of("0")


def inexact(text: str) -> bytes:
    """The key of text that has no place in an order: equal to another only if the texts are equal."""
    return INEXACT + text.encode("utf-8", "surrogatepass")
