"""The sorted stream of records that a snapshot is defined by: framing, order, digest, compression.

A record is its key's length (unsigned 16 bits), its value's length (unsigned 32 bits), both little-endian,
then key and value. Keys ascend strictly, as bytes. There is no header, no end mark and nothing between
records; the SHA-256 of the whole, ``sha256:…``, is the snapshot's digest. What is stored and carried is
one zstd frame of it, whose bytes may differ between zstd versions while the digest doesn't.

Knows nothing of what the records mean, nor of signatures or databases.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec
import zstandard

from redoubt.definitions.records import MAX_KEY, MAX_VALUE, Record
from redoubt.errors import DefinitionsRefused, UnreadableInput

#: Readers give zstd at most this much memory for its window, whatever a frame asks for.
WINDOW_LOG = 27
#: What writing uses: a larger one gains less than 1 % and costs every reader its size in memory.
_WINDOW_LOG_WRITTEN = 25

#: What stands before a record: the lengths of its key and its value.
HEAD = struct.Struct("<HI")
_BATCH = 1 << 20
#: A zstd block of 4 bytes can become 128 KiB: this much input can become 32 MiB at most, in one call.
_FEED = 1024


class StreamFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream is known by. ``size`` is in bytes, uncompressed; ``counts`` is prefix → records."""

    digest: str
    size: int
    counts: dict[str, int]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What reading may cost. ``size`` in bytes, uncompressed; ``ratio`` holds beyond ``ratio_from``."""

    size: int = 16 << 30
    ratio: int = 200
    ratio_from: int = 64 << 20


def write(
    records: Iterable[Record], out: BinaryIO, *, level: int = 10, fleeting: bool = False
) -> StreamFacts:
    """Compress ``records`` into ``out`` and say what they are.

    What is ``fleeting`` is read again at once and thrown away: it is compressed little, in little memory.
    Raises ``UnreadableInput`` where keys do not ascend strictly or a record is too large: a builder
    merges what shares a key before it comes here.
    """
    counts: dict[str, int] = {}
    compressor = zstandard.ZstdCompressor(level=1) if fleeting else _compressor(level)
    with compressor.stream_writer(out, closefd=False) as compressed:
        sink = _Hashing(compressed)
        for key, value in _ascending(records):
            prefix = chr(key[0])
            counts[prefix] = counts.get(prefix, 0) + 1
            sink.add(key, value)
        sink.flush()
    return StreamFacts(digest=sink.digest, size=sink.size, counts=counts)


def digest(records: Iterable[Record]) -> str:
    """The digest that a stream of ``records`` has, without writing it anywhere."""
    sink = _Hashing(None)
    for key, value in _ascending(records):
        sink.add(key, value)
    sink.flush()
    return sink.digest


class StreamReader:
    """Iterate batches of records out of a compressed stream; nothing in it is trusted.

    ``digest``, ``size`` and ``counts`` are complete once iteration ended: only then is it known what was
    read. Raises ``DefinitionsRefused`` where the stream is not one zstd frame, is truncated, out of order,
    or larger than ``limits`` allow.
    """

    def __init__(self, file: BinaryIO, limits: Limits | None = None) -> None:
        self._file = file
        self._limits = limits or Limits()
        self._hash = hashlib.sha256()
        self.size = 0
        self.counts: dict[str, int] = {}

    @property
    def digest(self) -> str:
        """``sha256:…`` of what was read so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def __iter__(self) -> Iterator[list[Record]]:
        tail = b""
        last = b""
        for chunk in self._chunks():
            data = tail + chunk if tail else chunk
            batch, used = _frames(data, last)
            tail = data[used:]
            if batch:
                last = batch[-1][0]
                self._count(batch)
                yield batch
        if tail:
            raise DefinitionsRefused("the definitions' stream ends within a record; carry the bundle again")

    def _count(self, batch: list[Record]) -> None:
        # Keys are sorted, so a prefix is a run: count runs, not records.
        counts = self.counts
        if batch[0][0][0] == batch[-1][0][0]:
            prefix = chr(batch[0][0][0])
            counts[prefix] = counts.get(prefix, 0) + len(batch)
            return
        for key, _ in batch:
            prefix = chr(key[0])
            counts[prefix] = counts.get(prefix, 0) + 1

    def _chunks(self) -> Iterator[bytes]:
        """Decompressed bytes in chunks of about a megabyte, hashed and counted."""
        pieces: list[bytes] = []
        pending = 0
        for piece in self._pieces():
            self._hash.update(piece)
            pieces.append(piece)
            pending += len(piece)
            if pending >= _BATCH:
                yield b"".join(pieces)
                pieces, pending = [], 0
        if pieces:
            yield b"".join(pieces)

    def _pieces(self) -> Iterator[bytes]:
        inflate = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG).decompressobj()
        limits, taken = self._limits, 0
        while not inflate.eof:
            data = self._file.read(_FEED)
            if not data:
                raise DefinitionsRefused("the definitions' stream is truncated; carry the bundle again")
            taken += len(data)
            try:
                piece = inflate.decompress(data)
            except zstandard.ZstdError as error:
                raise DefinitionsRefused(
                    f"the definitions' stream is not readable zstd ({error}); carry the bundle again"
                ) from None
            self.size += len(piece)
            if self.size > limits.size:
                raise DefinitionsRefused(
                    f"the definitions' stream is larger than {limits.size} bytes; refused"
                )
            if self.size > limits.ratio_from and self.size > taken * limits.ratio:
                raise DefinitionsRefused(
                    f"the definitions' stream expands more than {limits.ratio} times; refused"
                )
            if piece:
                yield piece
        if inflate.unused_data or self._file.read(1):
            raise DefinitionsRefused("something follows the definitions' stream; carry the bundle again")


class _Hashing:
    """Frames records, hashes them, and passes them on in pieces of about a megabyte."""

    def __init__(self, out: zstandard.ZstdCompressionWriter | None) -> None:
        self._out = out
        self._hash = hashlib.sha256()
        self._pending = bytearray()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def add(self, key: bytes, value: bytes) -> None:
        pending = self._pending
        pending += HEAD.pack(len(key), len(value))
        pending += key
        pending += value
        if len(pending) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        self._hash.update(self._pending)
        self.size += len(self._pending)
        if self._out is not None:
            self._out.write(self._pending)
        self._pending = bytearray()


def _frames(data: bytes, last: bytes) -> tuple[list[Record], int]:
    """The whole records at the start of ``data``, and how many bytes they take."""
    unpack, end = HEAD.unpack_from, len(data)
    batch: list[Record] = []
    append = batch.append
    at = 0
    while at + 6 <= end:
        key_size, value_size = unpack(data, at)
        if key_size > MAX_KEY or value_size > MAX_VALUE:
            raise DefinitionsRefused("the definitions' stream holds a record that is too large; refused")
        middle = at + 6 + key_size
        following = middle + value_size
        if following > end:
            break
        key = data[at + 6 : middle]
        if key <= last:
            raise DefinitionsRefused("the definitions' records are out of order; build the bundle again")
        append((key, data[middle:following]))
        last = key
        at = following
    return batch, at


def _ascending(records: Iterable[Record]) -> Iterator[Record]:
    last = b""
    for key, value in records:
        if key <= last:
            raise UnreadableInput(f"records are not in ascending order at {key[:80]!r}")
        if len(key) > MAX_KEY or len(value) > MAX_VALUE:
            raise UnreadableInput(f"the record {key[:80]!r} is too large ({len(value)} bytes)")
        last = key
        yield key, value


def _compressor(level: int) -> zstandard.ZstdCompressor:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=_WINDOW_LOG_WRITTEN, write_checksum=True, threads=2, job_size=16 << 20
    )
    return zstandard.ZstdCompressor(compression_params=parameters)
