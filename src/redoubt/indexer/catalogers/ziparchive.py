"""Reads members of a zip archive by place: the directory first, then only the members asked for.

Rules are those of PKWARE's APPNOTE 6.3 (sections 4.3 and 4.5.3), read as Java reads them: the end record is
searched from the end of the file, and the archive may be preceded by something else (a start script).
Nothing the archive says is believed before it is checked against the file's size. It must not know what
a member means.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.catalogers.interface import Content, FileContent, MemoryContent, Window

# isal's inflate is three times as fast as zlib's, with the same interface but an error of its own.
_inflate: Any = zlib
with suppress(ImportError):
    from isal import isal_zlib

    _inflate = isal_zlib

#: Largest central directory that is read. The largest known jar (250,000 classes) needs a quarter.
MAX_DIRECTORY = 128 << 20
#: A member that claims to be larger inflated is put into a temporary file and not into memory.
MAX_IN_MEMORY = 16 << 20

_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_LENGTHS = struct.Struct("<3H")
_ENTRY_SIZE = 46
_MAX_COMMENT = 0xFFFF
#: Places that look like the end record and are tried: a comment may hold the signature, but not for ever.
_MAX_ENDS = 64
_PIECE = 1 << 16
#: Deflate cannot do better than 1032:1 (a 258-byte match in two bits); what claims more lies.
_MAX_RATIO = 1040


class Member(NamedTuple):
    """One member as the directory has it. ``place`` is where its local header begins in the file."""

    name: bytes
    flags: int
    method: int
    packed: int
    size: int
    place: int


class ZipArchive:
    """The directory of one archive. Raises ``UnreadableInput`` where it is not a zip, ``LimitExceeded``."""

    def __init__(self, content: Content) -> None:
        self._content = content
        size, offset, end = _find_end(content)
        if size > MAX_DIRECTORY:
            raise LimitExceeded(f"its directory is larger than {MAX_DIRECTORY >> 20} MB")
        self._directory_at = end - size
        #: What stands before the archive: every offset in it is counted from here.
        self._base = self._directory_at - offset
        self._directory = content.read(self._directory_at, size)

    @property
    def directory_size(self) -> int:
        """Bytes of directory: what reading it costs."""
        return len(self._directory)

    def members(self, wanted: Callable[[bytes], object]) -> Iterator[Member]:
        """The members whose name ``wanted`` says yes to, in the directory's order.

        Raises ``UnreadableInput`` where the directory breaks off, after what came before it.
        """
        directory, at, total = self._directory, 0, len(self._directory)
        lengths = _LENGTHS.unpack_from
        while at < total:
            if directory[at : at + 4] != b"PK\1\2" or at + _ENTRY_SIZE > total:
                raise UnreadableInput(f"its directory is damaged after {at:,} of {total:,} bytes")
            name_length, extra_length, comment_length = lengths(directory, at + 28)
            name_end = at + _ENTRY_SIZE + name_length
            name = directory[at + _ENTRY_SIZE : name_end]
            if wanted(name):
                yield self._member(name, at, directory[name_end : name_end + extra_length])
            at = name_end + extra_length + comment_length
        if at > total:
            raise UnreadableInput("its directory ends within an entry")

    def _member(self, name: bytes, at: int, extra: bytes) -> Member:
        flags, method = struct.unpack_from("<2H", self._directory, at + 8)
        packed, size = struct.unpack_from("<2I", self._directory, at + 20)
        (place,) = struct.unpack_from("<I", self._directory, at + 42)
        if 0xFFFFFFFF in (packed, size, place):
            wide = _wide_values(extra)
            size = _widened(size, wide)
            packed = _widened(packed, wide)
            place = _widened(place, wide)
        return Member(name, flags, method, packed, size, place + self._base)

    def data(self, member: Member) -> tuple[int, int]:
        """Where the member's packed bytes begin and end. Raises ``UnreadableInput`` if not before the directory."""
        if member.place < 0 or member.place + 30 > self._directory_at:
            raise UnreadableInput("a member lies outside the archive")
        header = self._content.read(member.place, 30)
        if len(header) < 30 or header[:4] != b"PK\3\4":
            raise UnreadableInput("a member has no header where the directory says")
        if member.flags & 1:
            raise UnreadableInput("a member is encrypted")
        if member.method not in (0, 8):
            raise UnreadableInput(f"a member is packed with method {member.method}, which is not read")
        name_length, extra_length = struct.unpack_from("<2H", header, 26)
        start = member.place + 30 + name_length + extra_length
        if start + member.packed > self._directory_at:
            raise UnreadableInput("a member ends outside the archive")
        if member.method == 0 and member.packed != member.size:
            raise UnreadableInput("a stored member has two sizes")
        if member.size > member.packed * _MAX_RATIO + 64:
            raise LimitExceeded("a member claims a size that it cannot have")
        return start, start + member.packed

    def read(self, member: Member, limit: int) -> bytes:
        """The first ``limit`` bytes of a member, inflated. Raises ``UnreadableInput``."""
        start, end = self.data(member)
        if member.method == 0:
            return self._content.read(start, min(limit, end - start))
        return b"".join(self._inflated(start, end, min(limit, member.size)))

    @contextmanager
    def open(self, member: Member) -> Iterator[Content]:
        """A member as content of its own: in place if stored, in memory if small, else in a temporary file.

        At most ``member.size`` bytes are inflated, whatever there is. Raises ``UnreadableInput``.
        """
        start, end = self.data(member)
        if member.method == 0:
            yield Window(self._content, start, end - start)
        elif member.size <= MAX_IN_MEMORY:
            yield MemoryContent(b"".join(self._inflated(start, end, member.size)))
        else:
            with tempfile.TemporaryFile(prefix="redoubt-") as file:
                size = sum(file.write(piece) for piece in self._inflated(start, end, member.size))
                yield FileContent(file, size)

    def _inflated(self, start: int, end: int, limit: int) -> Iterator[bytes]:
        inflater: Any = _inflate.decompressobj(wbits=-15)
        piece = b""
        while limit > 0 and not inflater.eof:
            if not piece and start < end:
                piece = self._content.read(start, min(_PIECE, end - start))
                start += len(piece)
            exhausted = not piece
            try:
                # Output may still be pending inside where all input is taken: hence also with nothing.
                out = inflater.decompress(piece, min(limit, _PIECE))
            except (zlib.error, _inflate.error) as error:
                raise UnreadableInput("a member's packed data is damaged") from error
            if exhausted and not out and not inflater.eof:
                raise UnreadableInput("a member breaks off")
            piece = inflater.unconsumed_tail
            limit -= len(out)
            yield out


def _find_end(content: Content) -> tuple[int, int, int]:
    """Size of the directory, its claimed offset, and where it really ends. Raises ``UnreadableInput``."""
    tail_at = max(0, content.size - _END.size - _MAX_COMMENT)
    tail = content.read(tail_at, content.size - tail_at)
    found = len(tail)
    for _ in range(_MAX_ENDS):
        found = tail.rfind(b"PK\5\6", 0, found)
        if found < 0:
            break
        if found + _END.size > len(tail):
            continue
        size, offset = struct.unpack_from("<2I", tail, found + 12)
        end = tail_at + found
        if wide := _find_end64(content, end):
            size, offset, end = wide
        if size + offset <= end and (size == 0 or content.read(end - size, 4) == b"PK\1\2"):
            return size, offset, end
    raise UnreadableInput("it is not a zip archive, or is cut off" if content.size else "it is empty")


def _find_end64(content: Content, end: int) -> tuple[int, int, int] | None:
    locator_at = end - _LOCATOR.size
    if locator_at < _END64.size:
        return None
    signature, _, claimed, _ = _LOCATOR.unpack(content.read(locator_at, _LOCATOR.size))
    if signature != b"PK\6\7":
        return None
    # Where something precedes the archive the claimed place is short of it: the usual place is tried first.
    for at in (locator_at - _END64.size, claimed):
        if 0 <= at <= locator_at - _END64.size:
            fields = _END64.unpack(content.read(at, _END64.size))
            if fields[0] == b"PK\6\6":
                return fields[8], fields[9], at
    return None


def _wide_values(extra: bytes) -> Iterator[int]:
    """The 64-bit values of the zip64 extra field (id 1), in the order they stand in for 32-bit ones."""
    at = 0
    while at + 4 <= len(extra):
        identity, length = struct.unpack_from("<2H", extra, at)
        if identity == 1:
            for place in range(at + 4, min(at + 4 + length, len(extra)) - 7, 8):
                yield int.from_bytes(extra[place : place + 8], "little")
            return
        at += 4 + length


def _widened(value: int, wide: Iterator[int]) -> int:
    return next(wide, value) if value == 0xFFFFFFFF else value
