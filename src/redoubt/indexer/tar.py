"""The walker: one pass over a tar, in any sizes of chunks, showing every member to a visitor.

Reads POSIX ustar and pax (POSIX.1-2008, pax, "ustar Interchange Format" and "pax Header Block"), GNU
long names, long links, base-256 numbers and sparse members (GNU tar manual, "Basic Tar Format" and
"Storing Sparse Files"), and the older formats that have only the first 257 bytes. Paths are handed on
as bytes, relative to the archive's root and normalised. It must not know what is wanted, nor of layers
beyond the ``.wh.`` prefix, which is a matter of names.

Every header's checksum is verified: Adler-32's low half *is* a sum of bytes, so it costs 0.3 µs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Protocol
from zlib import adler32

from redoubt.indexer.limits import LayerRefused, Limits, damaged, over_limit
from redoubt.model import ProblemKind

BLOCK = 512
WHITEOUT = b".wh."

_HEADER = struct.Struct(
    "100s8s16x11sB12x8sB355x"
)  # name, mode, size (11 digits, then one byte), checksum, type
_ZERO = bytes(BLOCK)
_DIRECTORY = ord("5")
_HEADER_ONLY = frozenset(b"123456")  # no data follows these, whatever their size field says
_ODD = frozenset((b"", b".", b"/"))  # first characters of paths that want a second look
_NO_FILE = frozenset(b"VMN")  # GNU: volume label, continued file, old long names
_SPARSE = b"GNU.sparse."
_KNOWN = frozenset((b"path", b"linkpath", b"size"))


class Sink(Protocol):
    """Takes the bytes of one member."""

    def feed(self, chunk: bytes | memoryview) -> bool:
        """The next bytes, in order. False: the rest is not needed."""

    def finish(self) -> None:
        """The member has ended (or the rest was not needed)."""

    def abandon(self) -> None:
        """The archive broke off inside this member."""


class Visitor(Protocol):
    """Is shown every member, in the archive's order. Paths are normalised, never empty."""

    def regular(self, path: bytes, size: int, executable: bool) -> Sink | None:
        """A file of ``size`` bytes. None: not wanted."""

    def sparse(self, path: bytes) -> None:
        """A file with holes: its bytes are not offered."""

    def directory(self, path: bytes) -> None:
        """A directory."""

    def symlink(self, path: bytes, target: bytes) -> None:
        """A symbolic link; ``target`` as written."""

    def hardlink(self, path: bytes, target: bytes) -> None:
        """A further name for the earlier member ``target`` (normalised)."""

    def special(self, path: bytes) -> None:
        """A device, a pipe, or a member of an unknown type."""

    def whiteout(self, folder: bytes, name: bytes) -> None:
        """A member whose name is ``.wh.`` and ``name``, in ``folder`` (empty for the root)."""

    def refuse(self, kind: ProblemKind, path: bytes, message: str) -> None:
        """A member that is skipped because of what it tries."""


class _Escape(Exception):
    """A path that leaves the root."""


class _Executable(dict[bytes, bool]):
    """Mode field → whether any execute bit is set; a layer has few distinct modes."""

    def __missing__(self, field: bytes) -> bool:
        if len(self) > 1024:
            self.clear()
        mode = number(field)
        self[field] = result = mode & 0o111 != 0
        return result


class _Input:
    """The chunks, and a place in the current one."""

    __slots__ = ("_chunks", "at", "data")

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self.data = b""
        self.at = 0

    def block(self) -> bytes:
        """The next 512 bytes; empty at the end of the archive."""
        block = self.data[self.at : self.at + BLOCK]
        self.at += len(block)
        while len(block) < BLOCK:
            self.at = 0
            self.data = next(self._chunks, b"")
            if not self.data:
                if block:
                    raise damaged("the tar ends inside a header")
                return b""
            more = self.data[: BLOCK - len(block)]
            self.at = len(more)
            block += more
        return block

    def skip(self, length: int) -> None:
        """Pass over ``length`` bytes."""
        self.at += length
        while (beyond := self.at - len(self.data)) > 0:
            self.data = next(self._chunks, b"")
            if not self.data:
                self.at = 0
                raise damaged("the tar ends inside a member")
            self.at = beyond

    def take(self, length: int) -> bytes:
        """The next ``length`` bytes, which the caller knows to be few, and their padding passed over."""
        pieces = list(self.pieces(length))
        self.skip(-length % BLOCK)
        return b"".join(pieces)

    def pieces(self, length: int) -> Iterator[bytes | memoryview]:
        """The next ``length`` bytes, as they lie in the chunks."""
        while length:
            available = len(self.data) - self.at
            if not available:
                self.data = next(self._chunks, b"")
                self.at = 0
                if not self.data:
                    raise damaged("the tar ends inside a member")
                continue
            take = min(available, length)
            start = self.at
            self.at += take
            length -= take
            yield memoryview(self.data)[start : start + take]

    def pour(self, length: int, sink: Sink) -> None:
        """The next ``length`` bytes into ``sink``, and their padding passed over."""
        left = length
        try:
            for piece in self.pieces(length):
                left -= len(piece)
                if not sink.feed(piece):
                    break
            self.skip(left + -length % BLOCK)
        except BaseException:
            sink.abandon()
            raise
        sink.finish()


def walk(chunks: Iterable[bytes], visitor: Visitor, limits: Limits) -> None:
    """Show every member of the tar in ``chunks`` (none empty) to ``visitor``, up to the end marker.

    What follows the end marker is left in ``chunks``. Raises ``LayerRefused`` where the archive is
    damaged or over a limit; what was shown before that stands.
    """
    _Walk(chunks, visitor, limits).run()


def number(field: bytes) -> int:
    """A number of a header: octal digits between blanks, or base-256 (GNU) where the high bit is set."""
    if field[0] & 0x80:
        # Two's complement over the field's bits but the first.
        value = int.from_bytes(field, "big") & ~(1 << (len(field) * 8 - 1))
        if field[0] & 0x40 or value >= 1 << 62:
            raise damaged("a tar header holds an impossible number")
        return value
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise damaged("a tar header holds something that is not a number")
    return int(digits, 8)


def clean(path: bytes) -> bytes:
    """A path without ``.``, ``..``, doubled, leading and trailing slashes; empty for the root itself.

    Raises ``_Escape`` where ``..`` leads out of the root.
    """
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            if not parts:
                raise _Escape
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


class _Walk:
    """One walk: the input, and what extension headers said of the member that comes next."""

    def __init__(self, chunks: Iterable[bytes], visitor: Visitor, limits: Limits) -> None:
        self._source = _Input(chunks)
        self._visitor = visitor
        self._limits = limits
        self._executable = _Executable()
        self._next: dict[bytes, bytes] = {}
        self._all: dict[bytes, bytes] = {}

    def run(self) -> None:
        """The loop over headers. Ordinary files are dealt with here, in local names, for speed."""
        source, executable = self._source, self._executable
        regular, unpack = self._visitor.regular, _HEADER.unpack
        data, at = source.data, source.at
        for _ in range(self._limits.members):
            header = data[at : at + BLOCK]
            if len(header) == BLOCK:
                at += BLOCK
            else:
                source.at = at
                header = source.block()
                if not header:
                    return
                data, at = source.data, source.at
            name, mode, digits, last, checksum, kind = unpack(header)
            total = (adler32(header[156:], adler32(header[:148], 257)) & 0xFFFF) - 1
            if b"%06o\0 " % total != checksum and not _verified(header, checksum):
                source.at = at
                self._end()
                return
            if (last == 0 or last == 32) and digits.isdigit():
                try:
                    size = int(digits, 8)
                except ValueError:
                    raise damaged("a tar header holds something that is not a number") from None
            else:
                size = number(header[124:136])
            if (kind == 48 or kind == 0) and not self._next and not self._all:
                path = name.partition(b"\0")[0]
                if header[345]:
                    path = _prefixed(path, header)
                elif path.startswith(b"./"):
                    path = path[2:]
                if not (b"/." in path or b"//" in path or path[:1] in _ODD or path[-1:] == b"/"):
                    sink = regular(path, size, executable[mode])
                    if sink is None:
                        at += (size + 511) & ~511
                        if at > len(data):
                            source.at = at
                            source.skip(0)
                            data, at = source.data, source.at
                        continue
                    source.at = at
                    source.pour(size, sink)
                    data, at = source.data, source.at
                    continue
            source.at = at
            self._uncommon(header, kind, size)
            data, at = source.data, source.at
        raise over_limit(f"more than {self._limits.members:,} members")

    def _end(self) -> None:
        """After a block of zeros: the end, if a second follows (or nothing at all)."""
        block = self._source.block()
        if block and block != _ZERO:
            raise damaged("a lone block of zeros inside the tar")

    def _uncommon(self, header: bytes, kind: int, size: int) -> None:
        """Any member but a plain file with a short and simple path."""
        if kind in b"xXgLK":
            self._extension(kind, size)
            return
        said = self._all | self._next
        self._next = {}
        if b"size" in said:
            size = _decimal(said[b"size"])
        path = said.get(b"path")
        if path is None:
            path = _prefixed(header[:100].partition(b"\0")[0], header)
        if kind in _HEADER_ONLY:
            size = 0
        elif kind == ord("S"):
            self._skip_sparse_map(header)
        sink = self._member(path, header, kind, size, said)
        if sink is None:
            self._source.skip(size + -size % BLOCK)
        else:
            self._source.pour(size, sink)

    def _member(
        self, raw: bytes, header: bytes, kind: int, size: int, said: dict[bytes, bytes]
    ) -> Sink | None:
        visitor = self._visitor
        is_directory = kind == _DIRECTORY or (kind == 0 and raw.endswith(b"/"))
        try:
            path = clean(raw)
        except _Escape:
            visitor.refuse(ProblemKind.HOSTILE, raw, "a path that leads out of the image")
            return None
        if not path or kind in _NO_FILE:
            if not is_directory and kind not in _NO_FILE:
                visitor.refuse(ProblemKind.HOSTILE, raw, "a member in place of the root directory")
            return None
        if len(path) > self._limits.path_length:
            message = f"a path of more than {self._limits.path_length:,} bytes"
            visitor.refuse(ProblemKind.LIMIT, path[:100] + b"...", message)
            return None
        folder, _, base = path.rpartition(b"/")
        if base.startswith(WHITEOUT):
            visitor.whiteout(folder, base[len(WHITEOUT) :])
        elif is_directory:
            visitor.directory(path)
        elif kind in b"0\0007":
            if _SPARSE in said:
                visitor.sparse(path)
            else:
                return visitor.regular(path, size, self._executable[header[100:108]])
        elif kind == ord("S"):
            visitor.sparse(path)
        elif kind in b"12":
            target = said.get(b"linkpath")
            self._link(path, kind, header[157:257].partition(b"\0")[0] if target is None else target)
        else:
            visitor.special(path)
        return None

    def _link(self, path: bytes, kind: int, target: bytes) -> None:
        if kind == ord("2"):
            self._visitor.symlink(path, target)
            return
        try:
            self._visitor.hardlink(path, clean(target))
        except _Escape:
            self._visitor.refuse(ProblemKind.HOSTILE, path, "a hard link to outside the image")

    def _extension(self, kind: int, size: int) -> None:
        """A header that speaks of the next member, or (``g``) of all that follow."""
        if size > self._limits.header_size:
            raise over_limit(f"an extension header of {size:,} bytes")
        body = self._source.take(size)
        if kind == ord("L"):
            self._next[b"path"] = body.partition(b"\0")[0]
        elif kind == ord("K"):
            self._next[b"linkpath"] = body.partition(b"\0")[0]
        elif kind == ord("g"):
            _pax_records(body, self._all)
        else:
            _pax_records(body, self._next)

    def _skip_sparse_map(self, header: bytes) -> None:
        """Pass over the blocks that continue an old GNU sparse member's map."""
        more = header[482]
        while more:
            block = self._source.block()
            if not block:
                raise damaged("the tar ends inside a sparse map")
            more = block[504]


def _prefixed(name: bytes, header: bytes) -> bytes:
    """The name with ustar's prefix before it. (Old GNU headers keep times where the prefix would be.)"""
    if not header[345] or header[257:263] != b"ustar\0":
        return name
    length = 131 if header[508:] == b"tar\0" else 155  # star keeps times in the prefix's tail
    return header[345 : 345 + length].partition(b"\0")[0] + b"/" + name


def _verified(header: bytes, field: bytes) -> bool:
    """False for a block of zeros. Raises where the checksum is wrong, also by old tars' signed sum."""
    if header == _ZERO:
        return False
    rest = header[:148] + header[156:]
    unsigned = sum(rest) + 8 * 32
    try:
        written = number(field)
    except LayerRefused:
        written = -1
    if written not in (unsigned, unsigned - 256 * sum(byte > 127 for byte in rest)):
        raise damaged("a tar header's checksum is wrong")
    return True


def _pax_records(body: bytes, into: dict[bytes, bytes]) -> None:
    """Read ``LENGTH KEY=VALUE\\n`` records; keep what the walk needs. An empty value takes a key back."""
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 10)
        digits = body[at:space]
        if space < 0 or not digits.isdigit():
            raise damaged("a pax header that is not made of records")
        end = at + int(digits)
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if end > len(body) or end <= space or not equals or body[end - 1] != 0x0A:
            raise damaged("a pax record with a wrong length")
        at = end
        if key.startswith(_SPARSE):
            into[_SPARSE] = b"1"
            if key != _SPARSE + b"name":
                continue
            key = b"path"
        elif key == b"path" and _SPARSE in into and b"path" in into:
            continue  # a sparse member's own name came first
        elif key not in _KNOWN:
            continue
        if b"\0" in value:
            raise damaged("a pax record with a zero byte in a name")
        if value:
            into[key] = value
        else:
            into.pop(key, None)


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise damaged("a pax header with an impossible size")
    return int(value)
