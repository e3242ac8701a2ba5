"""Compressed layers as chunks of tar: gzip and zstd, told from their first bytes.

Chunks in, chunks out, never a whole stream in memory, whatever it claims to unpack to. It must not know
what is in the tar, nor check digests or sizes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import IO, Protocol, cast

import zstandard

from redoubt.indexer.limits import LayerRefused, damaged, over_limit
from redoubt.model import ProblemKind

igzip_lib: ModuleType | None
try:
    from isal import igzip_lib
except ImportError:  # pragma: no cover - no wheel for this machine; zlib is four times slower
    igzip_lib = None

_ERRORS: tuple[type[Exception], ...] = (zlib.error,)
if igzip_lib is not None:
    _ERRORS += (igzip_lib.IsalError,)

TAR_CHUNK = 1 << 20
_FEW = 16 << 10
_MEMBERS = 4_000_000  # of one gzip stream; eStargz has one for each file
_HEAD = 300  # bytes of a gzip member in which the name of a file ends
_NAMED = b"\x08"
_WINDOW = 128 << 20  # of zstd: what ``zstd --long`` goes to

Inflater = Callable[[Iterator[bytes]], Iterator[bytes]]


def inflater(head: bytes) -> Inflater | None:
    """How a layer that begins with ``head`` is unpacked; None for a plain tar.

    An inflater raises ``LayerRefused`` where the stream is damaged. It may leave stored chunks unread
    behind the end of the compressed stream.
    """
    if head[:2] == b"\x1f\x8b":
        return _gunzip
    if head[:4] == b"\x28\xb5\x2f\xfd" or (head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50):
        return _unzstd
    for magic, name in ((b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")):
        if head.startswith(magic):
            raise LayerRefused(ProblemKind.UNSUPPORTED, f"a layer compressed with {name} is not read")
    return None


class _ZlibMember:
    """A gzip member by the standard library, with the manners of isal's."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(31)
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, length: int) -> bytes:
        chunk = self._object.decompress(self._object.unconsumed_tail + data, length)
        self.eof, self.unused_data = self._object.eof, self._object.unused_data
        self.needs_input = len(chunk) < length
        return chunk


class _Member(Protocol):
    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, length: int) -> bytes: ...


def _member(head: bytes) -> _Member:
    """What unpacks a member whose first bytes are these.

    isal takes some headers that come in pieces for damaged (a checksum, an empty name and a comment): it is
    given those that are whole here, and nothing in them but a name (RFC 1952, 2.3).
    """
    whole = head[3:4] == b"\0" or (head[3:4] == _NAMED and 0 in head[10:])
    if igzip_lib is None or not whole:
        return _ZlibMember()
    member: _Member = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
    return member


def _gunzip(stored: Iterator[bytes]) -> Iterator[bytes]:
    """Gzip (RFC 1952), any number of members; what follows them and is not one is ignored."""
    chunk, at, step = b"", 0, 1 << 30
    for count in range(_MEMBERS):
        while len(chunk) - at < _HEAD and (more := next(stored, b"")):
            chunk, at = chunk[at:] + more, 0
        if count and chunk[at : at + 2] != b"\x1f\x8b":
            return
        member = _member(chunk[at : at + _HEAD])
        try:
            while not member.eof:
                piece = b""
                if member.needs_input:
                    if at == len(chunk):
                        chunk, at = next(stored, b""), 0
                    piece = chunk[at : at + step]
                    if not piece:
                        raise damaged("the gzip stream ends too early")
                    at += len(piece)
                    step *= 2
                if tar := member.decompress(piece, TAR_CHUNK):
                    yield tar
        except _ERRORS as error:
            raise damaged(f"the gzip stream is damaged: {error}") from None
        at -= len(member.unused_data)
        step = _FEW  # a stream of tiny members must not be copied over and over
    raise over_limit(f"more than {_MEMBERS:,} gzip members")


class _Readable:
    """Chunks as the file that zstandard reads from."""

    def __init__(self, stored: Iterator[bytes]) -> None:
        self._stored = stored
        self._left = b""

    def read(self, length: int) -> bytes:
        piece = self._left or next(self._stored, b"")
        self._left = piece[length:]
        return piece[:length]


def _unzstd(stored: Iterator[bytes]) -> Iterator[bytes]:
    """Zstandard (RFC 8878), any number of frames, windows up to 128 MiB."""
    unpacked = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(
        cast("IO[bytes]", _Readable(stored)),
        read_size=zstandard.DECOMPRESSION_RECOMMENDED_INPUT_SIZE,
        read_across_frames=True,
    )
    try:
        while chunk := unpacked.read(TAR_CHUNK):
            yield chunk
    except zstandard.ZstdError as error:
        raise damaged(f"the zstd stream is damaged: {error}") from None
