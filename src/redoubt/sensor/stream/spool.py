"""What Central has to be told, on disk until it says that it has it. Numbered; survives kill -9; bounded.

A folder of segments, each named by its first number, of records one after another: 21 bytes of head (number, length of the
message, CRC-32 of all else, kind, how many there are of it) and the message, a ``FromSensor``; larger ones by zlib, which a bit of the kind says. Only what was synced to the disk is given to be sent: a number is never used twice for
different things. What a crash tore off at the end is cut away at the next start. Beyond ``limit`` bytes the oldest segment
is dropped, and what was in it counted by kind: processes, not the messages that they are in.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import uuid4

import structlog

from redoubt import tasks
from redoubt.definitions import durable
from redoubt.errors import AccessDenied, UsageError
from redoubt.wire.failures import Unavailable
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

_log = structlog.get_logger("spool")
_HEAD = struct.Struct("<QIIBI")
_SEGMENT = 4 << 20
#: Messages larger than this are compressed; the bit of the kind that says so.
_COMPRESSED, _IS_COMPRESSED = 1024, 0x80
#: What may wait for the disk, while it cannot be written.
_UNWRITTEN = 32 << 20
#: A message larger than this is not taken by Central, and was never written.
_LARGEST = (4 << 20) - 1024
#: Bytes that are read at once for sending.
_READ = 256 << 10
_AGAIN = 1.0

#: Kinds of what is kept, by their numbers in the files.
KINDS = ("other", "alerts", "processes", "flows", "endpoints", "nodes")
_RECORDS: dict[int, str] = {
    pb.Records.PROCESSES: "processes",
    pb.Records.FLOWS: "flows",
    pb.Records.ENDPOINTS: "endpoints",
}


def kind_of(message: pb.FromSensor) -> str:
    """What a message is of, as what is lost is counted."""
    match message.WhichOneof("message"):
        case "records":
            return _RECORDS.get(message.records.kind, KINDS[0])
        case "alerts":
            return "alerts"
        case "node":
            return "nodes"
        case _:
            return KINDS[0]


def count_of(message: pb.FromSensor) -> int:
    """How many there are in a message: records are a list in MessagePack, which says first how long it is."""
    head = message.records.records[:5]
    if message.WhichOneof("message") != "records" or not head:
        return 1
    match head[0]:
        case 0xDC:
            return int.from_bytes(head[1:3])
        case 0xDD:
            return int.from_bytes(head[1:5])
        case short if 0x90 <= short <= 0x9F:
            return short & 0x0F
    return 1


class _Record(NamedTuple):
    """``data`` as it is on the disk, and where it ends there."""

    number: int
    kind: int
    amount: int
    data: bytes
    end: int = 0

    @property
    def message(self) -> bytes:
        return zlib.decompress(self.data) if self.kind & _IS_COMPRESSED else self.data


class _Segment:
    """One file. ``kinds`` counts what is in it."""

    __slots__ = ("first", "kinds", "last", "path", "size")

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.first = first
        self.last = first - 1
        self.size = 0
        self.kinds: Counter[int] = Counter()


class Spool:
    """A spool in ``folder``, for one process. ``open``, then ``run`` as a task."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._most = max(64 << 10, min(_SEGMENT, limit // 8))
        self._segments: list[_Segment] = []
        self._file: BinaryIO | None = None
        self._lock = -1
        self.identifier = ""
        self._next = 1
        self._durable = 0
        self._acknowledged = 0
        self._pending: list[_Record] = []
        self._pending_bytes = 0
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._wake = asyncio.Event()
        self._grown = asyncio.Condition()
        #: Lost for want of room, by kind, since the start.
        self.dropped: Counter[str] = Counter()
        self.problem = ""

    # At the start; blocking

    def open(self) -> None:
        """Read what is there. Raises ``AccessDenied`` and ``UsageError``."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._identify()
            for path in sorted(self._folder.glob("*.spool")):
                if path.stem.isdigit():
                    self._segments.append(self._looked_at(path))
            self._next = max((each.last for each in self._segments), default=0) + 1
            self._durable = self._next - 1
            self._acknowledged = self._segments[0].first - 1 if self._segments else 0
            self._begin()
        except BlockingIOError:
            raise UsageError(f"{self._folder}: another Sensor uses this folder") from None
        except OSError as error:
            raise AccessDenied(f"{self._folder}: cannot be used as a spool ({error.strerror})") from None

    def _identify(self) -> None:
        path = self._folder / "identifier"
        try:
            self.identifier = path.read_text("ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            self.identifier = ""
        if not self.identifier:
            self._begin_numbering()

    def _begin_numbering(self) -> None:
        self.identifier = str(uuid4())
        durable.replace(self._folder / "identifier", self.identifier.encode(), mode=0o600)

    def _looked_at(self, path: Path) -> _Segment:
        segment = _Segment(path, int(path.stem))
        with path.open("rb+") as file:
            for each in _records(file):
                segment.last, segment.size = max(segment.last, each.number), each.end
                segment.kinds[each.kind & ~_IS_COMPRESSED] += each.amount
            file.seek(0, os.SEEK_END)
            if file.tell() != segment.size:
                _log.warning(
                    "the end of a segment was cut off", segment=path.name, bytes=file.tell() - segment.size
                )
                file.truncate(segment.size)
                os.fsync(file.fileno())
        return segment

    def _begin(self) -> None:
        """A new segment for what comes next; the last one, where nothing is in it."""
        last = self._segments[-1] if self._segments else None
        fresh = last is None or last.size > 0
        segment = (
            _Segment(self._folder / f"{self._durable + 1:020d}.spool", self._durable + 1)
            if last is None or fresh
            else last
        )
        descriptor = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        before, self._file = self._file, os.fdopen(descriptor, "ab", buffering=0)
        if before is not None:
            before.close()
        if fresh:
            self._segments.append(segment)
        durable.sync_directory(self._folder)

    def close(self) -> None:
        """Nothing is written any more. Blocks while something is."""
        with self._writing:
            if self._file is not None:
                self._file.close()
                self._file = None
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    # In

    @staticmethod
    def fits(message: pb.FromSensor) -> bool:
        """Whether there will ever be room for it: Central takes none that is larger."""
        return message.ByteSize() <= _LARGEST

    def append(self, kind: str, message: pb.FromSensor) -> int:
        """Keep a message: its number, which is written into it; 0 where there was no room."""
        if self._pending_bytes > _UNWRITTEN or not self.fits(message):
            self.dropped[kind] += count_of(message)
            return 0
        message.number = self._next
        self._next += 1
        data = message.SerializeToString()
        self._pending.append(_Record(message.number, KINDS.index(kind), count_of(message), data))
        self._pending_bytes += len(data)
        self._wake.set()
        return int(message.number)

    async def put(self, message: pb.FromSensor) -> None:
        """Keep a message; it is on the disk when this returns. Raises ``Unavailable`` where there is no room."""
        number = self.append(kind_of(message), message)
        if not number:
            raise Unavailable("there is no room in the spool now")
        await self.durable(number)

    async def durable(self, number: int) -> None:
        """Return when the message with this number is on the disk."""
        async with self._grown:
            await self._grown.wait_for(lambda: self._durable >= number)

    def acknowledge(self, number: int) -> None:
        """Central has all up to this number."""
        with self._guard:
            self._acknowledged = max(self._acknowledged, min(number, self._durable))
            while len(self._segments) > 1 and self._segments[0].last <= self._acknowledged:
                self._forget(self._segments.pop(0))

    def agree(self, acknowledged: int) -> bool:
        """What Central says at the beginning; False where it knows more of this numbering than we: we begin another."""
        if acknowledged >= self._next:
            self._begin_numbering()
            return False
        self.acknowledge(acknowledged)
        return True

    @property
    def waiting(self) -> int:
        """Messages that Central did not acknowledge."""
        return max(0, self._next - 1 - self._acknowledged)

    @property
    def acknowledged(self) -> int:
        """Up to which number Central has all."""
        return self._acknowledged

    @property
    def size(self) -> int:
        """On the disk."""
        return sum(each.size for each in self._segments)

    async def run(self) -> None:
        """Write what comes, many at a time, for ever."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._flush()
        except asyncio.CancelledError:
            # Also where the disk is slow, and whoever ends us grows impatient.
            await tasks.to_the_end(self._flush(last=True))
            raise

    async def _flush(self, *, last: bool = False) -> None:
        while self._pending:
            taken, self._pending = self._pending, []
            try:
                await asyncio.to_thread(self._write, taken)
            except OSError as error:
                said = f"the spool cannot be written ({error.strerror})"
                if said != self.problem:
                    _log.error("the spool cannot be written", reason=error.strerror)
                self.problem = said
                if last:
                    return
                await asyncio.sleep(_AGAIN)
                continue
            finally:
                # Where we are cancelled the thread goes on: the next one sees what is written then.
                self._pending = [each for each in taken if each.number > self._durable] + self._pending
                self._pending_bytes = sum(len(each.data) for each in self._pending)
                async with self._grown:
                    self._grown.notify_all()
            self.problem = ""

    def _write(self, taken: list[_Record]) -> None:
        """Called in a thread. What another one wrote meanwhile is not written again."""
        with self._writing:
            self._write_rest([each for each in taken if each.number > self._durable])

    def _write_rest(self, taken: list[_Record]) -> None:
        at = 0
        while at < len(taken):
            segment = self._segments[-1]
            if segment.size >= self._most:
                self._begin()
                self._make_room()
                segment = self._segments[-1]
            parts, size, end = [], 0, at
            while end < len(taken) and segment.size + size < self._most:
                number, kind, count, data, _ = taken[end]
                if len(data) > _COMPRESSED:
                    kind, data = kind | _IS_COMPRESSED, zlib.compress(data, 1)
                parts.append(_HEAD.pack(number, len(data), _sum(number, kind, count, data), kind, count))
                parts.append(data)
                size += _HEAD.size + len(data)
                end += 1
            self._put(segment, b"".join(parts))
            for each in taken[at:end]:
                segment.last = each.number
                segment.kinds[each.kind] += each.amount
            segment.size += size
            self._durable = segment.last
            at = end
        self._make_room()

    def _put(self, segment: _Segment, data: bytes) -> None:
        assert self._file is not None
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            # Half a record must not stand before whole ones.
            os.truncate(segment.path, segment.size)
            raise

    def _make_room(self) -> None:
        with self._guard:
            while len(self._segments) > 1 and self.size > self._limit:
                oldest = self._segments.pop(0)
                if oldest.last > self._acknowledged:
                    for kind, count in self._left_in(oldest).items():
                        self.dropped[KINDS[kind] if kind < len(KINDS) else KINDS[0]] += count
                    self._acknowledged = oldest.last
                    lost = oldest.last - oldest.first + 1
                    _log.warning("the oldest messages for Central were dropped", messages=lost)
                self._forget(oldest)

    def _left_in(self, segment: _Segment) -> Counter[int]:
        """What Central did not acknowledge of it."""
        if segment.first > self._acknowledged:
            return segment.kinds
        left: Counter[int] = Counter()
        with suppress(OSError), segment.path.open("rb") as file:
            for each in _records(file):
                if each.number > self._acknowledged:
                    left[each.kind & ~_IS_COMPRESSED] += each.amount
        return left

    def _forget(self, segment: _Segment) -> None:
        segment.path.unlink(missing_ok=True)

    # Out

    def reader(self, after: int) -> Reader:
        """What is to be sent, from the number after ``after`` on."""
        return Reader(self, after)

    def _batch(
        self, after: int, segment: _Segment | None, at: int
    ) -> tuple[list[tuple[int, bytes]], _Segment | None, int]:
        """Called in a thread: messages after a number, and where they end."""
        found: list[tuple[int, bytes]] = []
        size = 0
        segments = list(self._segments)
        if segment not in segments:
            segment, at = None, 0
        for each in segments:
            if segment is None or each is segment or each.first > segment.first:
                if each.last <= after:
                    continue
                try:
                    with each.path.open("rb") as file:
                        file.seek(at if each is segment else 0)
                        for record in _records(file):
                            if record.number > self._durable:
                                break
                            segment, at = each, record.end
                            if record.number > after:
                                found.append((record.number, record.message))
                                size += len(found[-1][1])
                                if size >= _READ:
                                    return found, segment, at
                except FileNotFoundError:
                    continue
        return found, segment, at

    async def _grown_beyond(self, number: int) -> None:
        async with self._grown:
            await self._grown.wait_for(lambda: self._durable > number)


class Reader:
    """Goes through a spool. What was dropped meanwhile is passed over."""

    def __init__(self, spool: Spool, after: int) -> None:
        self._spool = spool
        self._after = after
        self._segment: _Segment | None = None
        self._at = 0

    async def next(self) -> list[tuple[int, bytes]]:
        """The next messages and their numbers, at least one."""
        while True:
            await self._spool._grown_beyond(self._after)
            found, self._segment, self._at = await asyncio.to_thread(
                self._spool._batch, self._after, self._segment, self._at
            )
            if found:
                self._after = found[-1][0]
                return found
            # All that was beyond it was dropped.
            self._after = max(self._after, self._spool._durable)


def _sum(number: int, kind: int, count: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(struct.pack("<QBI", number, kind, count)))


def _records(file: BinaryIO) -> Iterator[_Record]:
    """Up to the first one that is not whole."""
    at = file.tell()
    while True:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return
        number, length, checksum, kind, count = _HEAD.unpack(head)
        if length > _LARGEST:
            return
        data = file.read(length)
        if len(data) < length or _sum(number, kind, count, data) != checksum:
            return
        at += _HEAD.size + length
        yield _Record(number, kind, count, data, at)
