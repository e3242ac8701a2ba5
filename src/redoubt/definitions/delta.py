"""From one snapshot's stream to another's: what changed, as a shorter stream of the same framing.

A delta's records have the keys that differ, ascending strictly. The first byte of a value says what
becomes of the key: ``+`` and the new value; ``~``, how many bytes of the old value stay at its beginning and
at its end, and what stands between them now; or ``-`` and nothing. A key that doesn't change is not in it.
Applied to the stream that it was made from it gives the other one's exact bytes, which their digest proves;
on anything else it is refused.

Knows nothing of what the records mean, nor of signatures, bundles or databases.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO, TypeAlias

from redoubt.definitions import stream
from redoubt.definitions.records import MAX_VALUE, Record
from redoubt.definitions.stream import Limits, StreamFacts, StreamReader
from redoubt.errors import DefinitionsRefused

#: A key, its old value and its new one; ``None`` where it has none.
Change: TypeAlias = tuple[bytes, bytes | None, bytes | None]

_HEAD = struct.Struct("<HI")
_BATCH = 8192
_HELD = 1 << 20
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


def write(old: Iterable[Record], new: Iterable[Record], out: BinaryIO) -> StreamFacts:
    """Compress into ``out`` what makes ``new`` of ``old``; both in the stream's order.

    The facts are those of the delta itself. Raises ``UnreadableInput`` where a record is too large for it:
    of a new value one byte less fits than into a snapshot.
    """
    return stream.write(
        ((key, _step(before, after)) for key, before, after in changes(old, new)), out, level=_LEVEL
    )


class DeltaReader:
    """Iterate batches of the records that a delta makes of ``base``; nothing in the delta is trusted.

    ``base`` is in ascending order. ``limits`` holds for the delta, ``size`` (bytes, uncompressed) for what
    comes out. ``digest`` and ``size`` are those of what came out so far: whoever iterated to the end
    compares them with what was promised. Raises ``DefinitionsRefused`` where the delta is damaged (as
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

    def __iter__(self) -> Iterator[list[Record]]:
        steps = (record for batch in self._delta for record in batch)
        step = next(steps, None)
        base = iter(self._base)
        while True:
            batch = list(islice(base, _BATCH))
            made: list[Record] = []
            at = held = 0
            # What lies between two steps does not change: it is taken over in one piece.
            while step is not None and (not batch or step[0] <= batch[-1][0]):
                place = bisect_left(batch, (step[0],), at)
                made += batch[at:place]
                at, old = place, None
                if at < len(batch) and batch[at][0] == step[0]:
                    old = batch[at][1]
                    at += 1
                if old is None or step[1] != _DELETE:
                    made.append(_taken(step, old))
                    held += len(made[-1][1])
                    if held > _HELD:
                        yield self._count(made)
                        made, held = [], 0
                step = next(steps, None)
            made += batch[at:]
            if made:
                yield self._count(made)
            if not batch:
                return

    def _count(self, batch: list[Record]) -> list[Record]:
        pack = _HEAD.pack
        data = b"".join([pack(len(key), len(value)) + key + value for key, value in batch])
        self._hash.update(data)
        self.size += len(data)
        if self.size > self._largest:
            raise DefinitionsRefused("the delta makes more of its base than is signed for; build it again")
        return batch


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


def _taken(step: Record, old: bytes | None) -> Record:
    key, said = step
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
    return key, value
