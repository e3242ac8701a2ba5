"""What formats of executables have in common: parts that are loaded, named sections, and memory read by address.

It must not know any one format, nor what is looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from redoubt.indexer.catalogers.interface import Content


class Segment(NamedTuple):
    """A part of the file that matters when it is loaded: where it lies in the file and in memory.

    ``room`` is its size in memory; what the file does not hold of it is zero when the program starts.
    """

    offset: int
    address: int
    size: int
    room: int
    writable: bool


class Layout(NamedTuple):
    """What the head of a program says: ``sections`` by name as (offset, size), the first of each name.

    ``whole``: the head at hand held all of the tables; otherwise there may be more than is told here, and
    ``tables_end`` is how much of the file tells it all.
    """

    wide: bool
    order: str
    segments: tuple[Segment, ...]
    sections: Mapping[bytes, tuple[int, int]]
    tables_end: int
    whole: bool
    packed: bool = False


def span(segments: Sequence[Segment], size: int) -> tuple[int, int]:
    """Where in a file of ``size`` bytes the writable ones begin and end; the same place twice if none is."""
    writable = [segment for segment in segments if segment.writable and segment.size]
    if not writable:
        return 0, 0
    begin = min(segment.offset for segment in writable)
    return begin, min(max(segment.offset + segment.size for segment in writable), size)


class Memory:
    """Reads by address. Whatever the file claims, nothing is raised: what is not there is empty."""

    def __init__(self, content: Content, segments: Sequence[Segment], *, wide: bool, order: str) -> None:
        self._content = content
        self._loaded = tuple(segments)
        self._word = struct.Struct(order + ("Q" if wide else "I"))

    def address(self, offset: int) -> int:
        """Where a place in the file is loaded; -1 if it is not."""
        for segment in self._loaded:
            if 0 <= offset - segment.offset < segment.size:
                return segment.address + offset - segment.offset
        return -1

    def read(self, address: int, length: int) -> bytes:
        """Up to ``length`` bytes, which the caller bounds; fewer where the segment ends."""
        for segment in self._loaded:
            at = address - segment.address
            if 0 <= at < segment.size:
                return self._content.read(segment.offset + at, min(length, segment.size - at))
            if 0 <= at < segment.room:
                return bytes(min(length, segment.room - at))
        return b""

    def pointer(self, address: int) -> int:
        """The pointer at an address, in a program that is loaded where it says; 0 if there is none."""
        raw = self.read(address, self._word.size)
        return int(self._word.unpack(raw)[0]) if len(raw) == self._word.size else 0
