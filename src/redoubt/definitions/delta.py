"""From one snapshot's stream to another's: what changed, as a shorter stream of the same framing.

A delta's records have the keys that differ, ascending strictly. The first byte of a value says what
becomes of the key: ``+`` and the new value; ``~``, how many bytes of the old value stay at its beginning and
at its end, and what stands between them now; or ``-`` and nothing. A key that doesn't change is not in it.
Applied to the stream that it was made from it gives the other one's exact bytes, which their digest proves;
on anything else it is refused.

Knows how records lie together in a snapshot's file, so that what doesn't change is taken over as it lies. Knows
nothing of what else they mean, nor of signatures, bundles or databases.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TypeAlias

import msgspec

from redoubt.definitions import grouping, records, stream
from redoubt.definitions.records import MAX_VALUE, Record
from redoubt.definitions.stream import Limits, StreamFacts, StreamReader
from redoubt.errors import DefinitionsRefused

#: A key, its old value and its new one; ``None`` where it has none.
Change: TypeAlias = tuple[bytes, bytes | None, bytes | None]

_BATCH = 8192
_HELD = 1 << 20
#: What the steps of one package may take together, in bytes: more than a package itself may.
_LONGEST = 512 << 20
#: A delta is made once and carried often. A snapshot's stream is too long for this: eight times the time.
_LEVEL = 16
_PUT, _SPLICE, _DELETE = b"+", b"~", b"-"
#: The sign, the bytes kept at the beginning, those at the end.
_SPLICED = struct.Struct("<cII")


def changes(old: Iterable[Record], new: Iterable[Record]) -> Iterator[Change]:
    """What differs between two sequences of records in ascending order, by key ascending."""
    olds, news = iter(old), iter(new)
    before, after = next(olds, None), next(news, None)
    while before is not None and after is not None:
        if before == after:
            before, after = next(olds, None), next(news, None)
        elif before[0] == after[0]:
            yield before[0], before[1], after[1]
            before, after = next(olds, None), next(news, None)
        elif before[0] < after[0]:
            yield before[0], before[1], None
            before = next(olds, None)
        else:
            yield after[0], None, after[1]
            after = next(news, None)
    while before is not None:
        yield before[0], before[1], None
        before = next(olds, None)
    while after is not None:
        yield after[0], None, after[1]
        after = next(news, None)


def between(old: Iterable[Record], new: Iterable[Record]) -> Iterator[Change]:
    """What differs between two snapshots whose entries are given, record by record, by key ascending.

    Packages of which all is alike, nearly all, are never taken apart.
    """
    for key, before, after in changes(old, new):
        if key[:1] != records.AFFECTED:
            yield key, before, after
            continue
        yield from changes(
            grouping.ungrouped([(key, before)] if before is not None else []),
            grouping.ungrouped([(key, after)] if after is not None else []),
        )


def write(old: Iterable[Record], new: Iterable[Record], out: BinaryIO) -> StreamFacts:
    """Compress into ``out`` what makes ``new`` of ``old``; both in the stream's order.

    The facts are those of the delta itself. Raises ``UnreadableInput`` where a record is too large for it:
    of a new value one byte less fits than into a snapshot.
    """
    return stream.write(
        ((key, _step(before, after)) for key, before, after in changes(old, new)), out, level=_LEVEL
    )


class Kept(msgspec.Struct, frozen=True, gc=False):
    """Entries of the base (``grouping``) that no step of a delta touches."""

    entries: list[Record]


class DeltaReader:
    """Iterate what a delta makes of ``base``, in order; nothing in the delta is trusted.

    ``base`` are a snapshot's entries, in order. What comes out are batches of records, and in between what is
    ``Kept`` of the base as it lies there: nearly all. ``limits`` holds for the delta, ``size`` (bytes of the stream,
    uncompressed) for what comes out. ``digest`` and ``size`` are those of what came out so far: whoever iterated to
    the end compares them with what was promised. Raises ``DefinitionsRefused`` where the delta is damaged (as
    ``StreamReader``), removes what is not there, changes nothing where it claims to, or where more than
    ``size`` comes out.
    """

    def __init__(self, base: Iterable[Record], file: BinaryIO, *, size: int, limits: Limits) -> None:
        self._base = base
        self._delta = StreamReader(file, limits)
        self._hash = hashlib.sha256()
        self._largest = size
        self.size = 0

    @property
    def digest(self) -> str:
        """``sha256:…`` of what came out so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def __iter__(self) -> Iterator[list[Record] | Kept]:
        changed: list[Record] = []
        held = 0
        for piece in self._pieces():
            if isinstance(piece, Kept):
                if changed:
                    yield changed
                    changed, held = [], 0
                yield piece
                continue
            changed += piece  # neighbours that all changed, as scores do, go on together
            held += sum(len(value) for _, value in piece)
            if held > _HELD or len(changed) >= _BATCH:
                yield changed
                changed, held = [], 0
        if changed:
            yield changed

    def _pieces(self) -> Iterator[list[Record] | Kept]:
        steps = _by_entry(record for batch in self._delta for record in batch)
        entry, changing = next(steps, _NO_STEPS)
        for batch in _batches(self._base):
            at = 0
            while changing and (not batch or entry <= batch[-1][0]):
                place = bisect_left(batch, (entry,), at)
                yield from self._kept(batch[at:place])
                at = place
                old: dict[bytes, bytes] = {}
                if at < len(batch) and batch[at][0] == entry:
                    old = dict(grouping.ungrouped(batch[at : at + 1]))
                    at += 1
                yield from self._changed(old, changing)
                entry, changing = next(steps, _NO_STEPS)
            yield from self._kept(batch[at:])

    def _kept(self, entries: list[Record]) -> Iterator[Kept]:
        if entries:
            self._count(grouping.framed(entries))
            yield Kept(entries)

    def _changed(self, old: dict[bytes, bytes], steps: list[Record]) -> Iterator[list[Record]]:
        """The records of one entry after its ``steps``, which are in order as they are."""
        for key, said in steps:
            before = old.pop(key, None)
            if before is None or said != _DELETE:
                old[key] = _taken(key, said, before)
        if old:
            made = sorted(old.items())
            self._count(
                b"".join([stream.HEAD.pack(len(key), len(value)) + key + value for key, value in made])
            )
            yield made

    def _count(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)
        if self.size > self._largest:
            raise DefinitionsRefused("the delta makes more of its base than is signed for; build it again")


_NO_STEPS: tuple[bytes, list[Record]] = b"", []


def _by_entry(steps: Iterable[Record]) -> Iterator[tuple[bytes, list[Record]]]:
    """The steps of each entry together."""
    entry, together = _NO_STEPS
    held = 0
    for step in steps:
        of = grouping.entry_of(step[0])
        if of != entry:
            if together:
                yield entry, together
            entry, together, held = of, [], 0
        together.append(step)
        held += len(step[0]) + len(step[1])
        if held > _LONGEST and len(together) > 1:
            raise DefinitionsRefused("the delta changes one package in too many records; refused")
    if together:
        yield entry, together


def _batches(base: Iterable[Record]) -> Iterator[list[Record]]:
    """Entries in batches of about a megabyte, and an empty one at the end."""
    batch: list[Record] = []
    held = 0
    for entry in base:
        batch.append(entry)
        held += len(entry[1])
        if held > _HELD or len(batch) >= _BATCH:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
    yield []


def _step(old: bytes | None, new: bytes | None) -> bytes:
    if new is None:
        return _DELETE
    put = _PUT + new
    if old is None:
        return put
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    spliced = _SPLICED.pack(_SPLICE, head, tail) + new[head : len(new) - tail]
    return min(put, spliced, key=len)


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two texts have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _taken(key: bytes, said: bytes, old: bytes | None) -> bytes:
    value = None
    if said[:1] == _PUT:
        value = said[1:]
    elif said[:1] == _SPLICE and old is not None and len(said) >= _SPLICED.size:
        _, head, tail = _SPLICED.unpack_from(said)
        if head + tail <= len(old):
            value = old[:head] + said[_SPLICED.size :] + old[len(old) - tail :]
    if value is None or value == old or len(value) > MAX_VALUE:
        raise DefinitionsRefused(
            f"the delta does not fit the definitions that it names ({key[:80]!r}); build it again"
        )
    return value
