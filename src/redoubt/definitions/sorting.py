"""Many records into ascending order in bounded memory: sorted runs in a temporary file, then one merge.

Knows records as pairs of bytes only; what becomes of several values under one key is the caller's rule.
"""

from __future__ import annotations

import heapq
import os
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, TypeAlias

Record: TypeAlias = tuple[bytes, bytes]
#: ``(key, values in ascending order, at least two) → one value``.
Merge: TypeAlias = Callable[[bytes, list[bytes]], bytes]

_HEAD = struct.Struct("<HI")
_CHUNK = 1 << 20
#: What a record costs in memory beyond its bytes: two bytes objects and a tuple.
_OVERHEAD = 130


def merged(parts: Iterable[Iterable[Record]], merge: Merge) -> Iterator[Record]:
    """One ascending sequence, each key once, out of ascending ones."""
    return _united(heapq.merge(*parts), merge)


class Sorted:
    """Records in order, each key once, in memory or in a temporary file.

    ``groups`` counts them by the part of the key before the first NUL (the first byte where there is none);
    ``held`` is the memory they take, in bytes.
    """

    def __init__(self, items: list[Record], held: int, run: _Run | None, groups: Counter[bytes]) -> None:
        self._items = items
        self._run = run
        self.held = held
        self.groups = groups

    def records(self) -> Iterator[Record]:
        """The records; may be asked for more than once."""
        return iter(self._items) if self._run is None else self._run.records()

    def close(self) -> None:
        """Let go of the memory or the file."""
        self._items = []
        if self._run is not None:
            self._run.file.close()


class Sorter:
    """Takes records in any order; ``finish`` gives them sorted.

    Beyond ``budget`` bytes they go to a file without a name in ``temporary`` (the system's folder for such
    by default), so that nothing is left behind however the process ends. Raises ``OSError`` where that
    cannot be written.
    """

    def __init__(self, merge: Merge, *, budget: int, temporary: Path | None = None) -> None:
        self._merge = merge
        self._budget = budget
        self._temporary = temporary
        self._items: list[Record] = []
        self._held = 0
        self._file: IO[bytes] | None = None
        self._runs: list[_Run] = []

    def add(self, key: bytes, value: bytes) -> None:
        """Take one record."""
        self._items.append((key, value))
        self._held += len(key) + len(value) + _OVERHEAD
        if self._held > self._budget:
            self._spill()

    def finish(self, *, keep: int | None = None) -> Sorted:
        """Everything in order; in memory where it is at most ``keep`` bytes and never left it."""
        keep = self._budget if keep is None else keep
        groups: Counter[bytes] = Counter()
        if not self._runs and self._held <= keep:
            self._items.sort()
            items = list(_counted(_united(self._items, self._merge), groups))
            held, self._items, self._held = self._held, [], 0
            return Sorted(items, held, None, groups)
        if self._items:
            self._spill()
        whole = merged([run.records() for run in self._runs], self._merge)
        file = self._open()
        run = _write(file, _counted(whole, groups))
        self._drop()
        return Sorted([], 0, run, groups)

    def __enter__(self) -> Sorter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def _spill(self) -> None:
        if self._file is None:
            self._file = self._open()
        self._items.sort()
        self._runs.append(_write(self._file, self._items))
        self._items, self._held = [], 0

    def _open(self) -> IO[bytes]:
        return tempfile.TemporaryFile(prefix="redoubt-", dir=self._temporary)

    def _drop(self) -> None:
        self._items, self._runs = [], []
        if self._file is not None:
            self._file.close()
            self._file = None


class _Run:
    """A stretch of a file that holds framed records in order."""

    def __init__(self, file: IO[bytes], start: int, end: int) -> None:
        self.file = file
        self._start = start
        self._end = end

    def records(self) -> Iterator[Record]:
        handle, at, data = self.file.fileno(), self._start, b""
        while at < self._end or data:
            chunk = os.pread(handle, min(_CHUNK, self._end - at), at)
            if not chunk:
                raise EOFError("a temporary file was cut short")
            at += len(chunk)
            data += chunk
            place = 0
            while place + _HEAD.size <= len(data):
                key_size, value_size = _HEAD.unpack_from(data, place)
                middle = place + _HEAD.size + key_size
                if middle + value_size > len(data):
                    break
                yield data[place + _HEAD.size : middle], data[middle : middle + value_size]
                place = middle + value_size
            data = data[place:]


def _write(file: IO[bytes], items: Iterable[Record]) -> _Run:
    start = file.seek(0, os.SEEK_END)
    pending = bytearray()
    for key, value in items:
        pending += _HEAD.pack(len(key), len(value)) + key + value
        if len(pending) >= _CHUNK:
            file.write(pending)
            pending.clear()
    file.write(pending)
    file.flush()
    return _Run(file, start, file.tell())


def _united(items: Iterable[Record], merge: Merge) -> Iterator[Record]:
    iterator = iter(items)
    first = next(iterator, None)
    if first is None:
        return
    key, values = first[0], [first[1]]
    for following, value in iterator:
        if following != key:
            yield key, values[0] if len(values) == 1 else merge(key, values)
            key, values = following, [value]
        elif value != values[-1]:
            values.append(value)
    yield key, values[0] if len(values) == 1 else merge(key, values)


def _counted(items: Iterable[Record], groups: Counter[bytes]) -> Iterator[Record]:
    last, count = b"", 0
    for record in items:
        key = record[0]
        end = key.find(b"\0")
        group = key[:end] if end > 0 else key[:1]
        if group != last:
            groups[last] += count
            last, count = group, 0
        count += 1
        yield record
    groups[last] += count
    del groups[b""]
