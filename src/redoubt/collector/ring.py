"""Reads a BPF ring buffer by mapping it, without a wake-up or a call into a library for each record.

The layout is the kernel's (kernel/bpf/ringbuf.c): a page with the reader's position, a page with the writers', then the
data, mapped twice in a row so that no record is torn. A record has 8 bytes before it: its length, with one bit for "not
finished" and one for "taken back".
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import suppress

_BUSY = 1 << 31
_DISCARDED = 1 << 30
_LENGTH = _DISCARDED - 1
_HEADER = 8


class Ring:
    """The reader's side of the ring behind ``descriptor``, of ``size`` bytes (a power of two, in whole pages)."""

    def __init__(self, descriptor: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._mask = size - 1
        self._size = size
        self._mine = mmap.mmap(descriptor, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._theirs = mmap.mmap(descriptor, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._position = ctypes.c_uint64.from_buffer(self._mine)
        whole = memoryview(self._theirs)
        self._end = whole[:8].cast("Q")
        self._data = whole[page:]
        self._lengths = self._data.cast("I")
        self._whole = whole

    def records(self) -> Iterator[memoryview]:
        """What is there now, oldest first. A record's bytes may be overwritten once the next is asked for."""
        position, end = self._position.value, self._end[0]
        mask, data, lengths = self._mask, self._data, self._lengths
        freed = position
        try:
            while position < end:
                at = position & mask
                length = lengths[at >> 2]
                if length & _BUSY:
                    break
                position += (_HEADER + (length & _LENGTH) + 7) & ~7
                if not length & _DISCARDED:
                    yield data[at + _HEADER : at + _HEADER + (length & _LENGTH)]
                # Room is given back now and then: each time costs a cache line that the writers want.
                if position - freed > self._size >> 4:
                    self._position.value = freed = position
        finally:
            self._position.value = position

    @property
    def waiting(self) -> int:
        """Bytes that are written and not read."""
        return self._end[0] - self._position.value

    def close(self) -> None:
        """Unmap it."""
        del self._position
        for view in (self._end, self._lengths, self._data, self._whole):
            view.release()
        self._mine.close()
        with suppress(BufferError):  # a record is still held: the memory goes with it
            self._theirs.close()
