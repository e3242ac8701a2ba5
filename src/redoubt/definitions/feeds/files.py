"""The files of one source, opened within limits: plain, compressed, zip or tar, and nothing in them is trusted.

Knows nothing of what the files say. While they are read their content is hashed, so that a source's
digest is the same however an archive was packed.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, NamedTuple, cast

import msgspec

from redoubt.definitions.feeds import tarball, unpack
from redoubt.errors import LimitExceeded, UnreadableInput

try:
    from isal import isal_zlib as _inflate
except ImportError:  # isal has no wheels for some machines
    import zlib as _inflate  # type: ignore[no-redef]  # the same calls, slower

_INFLATE_ERRORS: tuple[type[Exception], ...] = (zlib.error, cast("type[Exception]", _inflate.error))
#: A file that is cut short while it is mapped kills the process that reads on (SIGBUS). Smaller ones are read.
_READ_WHOLE = 64 << 20
#: Bytes of a large file that are looked at at once.
_PIECE = 4 << 20
_UNPACK_ERRORS: tuple[type[Exception], ...] = (*_INFLATE_ERRORS, struct.error, OverflowError)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What reading one source may cost. Sizes are in bytes; ``ratio`` holds for a file's whole content
    beyond ``ratio_from``. What is streamed costs time and no memory: ``streamed`` alone bounds each such file.
    """

    file: int = 2 << 30
    content: int = 8 << 30
    plain: int = 256 << 20
    streamed: int = 4 << 30
    member: int = 64 << 20
    members: int = 2_000_000
    ratio: int = 100
    ratio_from: int = 32 << 20


class Files:
    """The files of a source: ``(name, path)`` pairs, where the name is the one in a mirror.

    Reading them builds up ``digest``: SHA-256 over the sorted names and SHA-256 sums of what was read,
    decompressed and unpacked. ``size`` is the total of the files on disk.
    """

    def __init__(self, files: Iterable[tuple[str, Path]], limits: Limits | None = None) -> None:
        self._files = sorted(files)
        self._limits = limits or Limits()
        self._sums: set[tuple[str, bytes]] = set()

    def matching(self, *patterns: str) -> Files:
        """Those files whose names match one of some globs (``*`` goes over slashes); same limits and digest."""
        chosen = Files((), self._limits)
        chosen._files = [item for item in self._files if any(fnmatchcase(item[0], one) for one in patterns)]
        chosen._sums = self._sums
        return chosen

    @property
    def names(self) -> tuple[str, ...]:
        """The files' names in a mirror, sorted."""
        return tuple(name for name, _ in self._files)

    @property
    def size(self) -> int:
        """Bytes on disk, of all files together."""
        return sum(path.stat().st_size for _, path in self._files)

    @property
    def digest(self) -> str:
        """``sha256:…`` of everything that was read so far."""
        whole = hashlib.sha256()
        for name, digest in sorted(self._sums):
            whole.update(name.encode("utf-8", "surrogateescape") + b"\0" + digest)
        return f"sha256:{whole.hexdigest()}"

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Each file whole, in the order of names; gzip is recognised by its first bytes and inflated."""
        for name, path in self._files:
            with _mapped(path, self._limits) as data:
                content = self._gunzip(name, data) if data[:2] == b"\x1f\x8b" else bytes(data)
            if len(content) > self._limits.plain:
                raise LimitExceeded(f"{name} is larger than {self._limits.plain} bytes; it is not read")
            self._sums.add((name, hashlib.sha256(content).digest()))
            yield name, content

    def pieces(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Each file in pieces, in the order of names: plain, or gzip, zstd, xz or bzip2 by its first bytes.

        For files too large to be held whole. A file is hashed while its pieces are taken; those that are not
        taken before the next file are read on.
        """
        for name, path in self._files:
            with _opened(path, self._limits) as (file, _):
                pieces = self._hashed(name, unpack.chunks(name, file))
                yield name, pieces
                for _ in pieces:
                    pass

    def _hashed(self, name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        total, whole = 0, hashlib.sha256()
        for piece in pieces:
            total += len(piece)
            if total > self._limits.streamed:
                raise LimitExceeded(f"{name} unpacks to over {self._limits.streamed} bytes; it is not read")
            whole.update(piece)
            yield piece
        self._sums.add((name, whole.digest()))

    def members(self, suffix: str = ".json", *, within: str = "") -> Iterator[tuple[str, bytes]]:
        """Every member of every zip whose name ends in ``suffix`` and holds ``within``, as ``(name, bytes)``."""
        for name, path in self._files:
            with _mapped(path, self._limits) as data:
                total = 0
                for member in _directory(name, data, self._limits):
                    if not member.name.endswith(suffix) or within not in member.name:
                        continue
                    content = _unpack(name, data, member, self._limits)
                    total += len(content)
                    self._check_total(name, total, len(data))
                    self._sums.add((f"{name}/{member.name}", hashlib.sha256(content).digest()))
                    yield member.name, content

    def tar_members(self, suffix: str = ".json") -> Iterator[tuple[str, bytes]]:
        """Every regular file whose name ends in ``suffix``, of every tar (also ``.gz``, ``.zst``, ``.xz``).

        As ``(name, bytes)``, in the archive's order; it is streamed, and each member is whole in memory.
        """
        limits = self._limits
        for name, path in self._files:
            count = 0
            with _opened(path, limits) as (file, packed):

                def account(total: int, name: str = name, packed: int = packed) -> None:
                    self._check_total(name, total, packed)

                found = tarball.members(
                    name, file, lambda inner: inner.endswith(suffix), limits.member, account
                )
                for member in found:
                    count += 1
                    if count > limits.members:
                        raise LimitExceeded(f"{name} has more than {limits.members} members; it is not read")
                    if member.content is not None:
                        digest = hashlib.sha256(member.content).digest()
                        self._sums.add((f"{name}/{member.name}", digest))
                        yield member.name, member.content

    def _check_total(self, name: str, total: int, packed: int) -> None:
        limits = self._limits
        if total > limits.content:
            raise LimitExceeded(f"{name} unpacks to more than {limits.content} bytes; it is not read")
        if total > limits.ratio_from and total > packed * limits.ratio:
            raise LimitExceeded(f"{name} expands more than {limits.ratio} times; it is not read")

    def _gunzip(self, name: str, data: bytes | mmap.mmap) -> bytes:
        pieces: list[bytes] = []
        total = 0
        for piece in self._inflated(name, data):
            total += len(piece)
            if total > self._limits.plain:
                raise LimitExceeded(f"{name} inflates to over {self._limits.plain} bytes; it is not read")
            pieces.append(piece)
        return b"".join(pieces)

    def _inflated(self, name: str, data: bytes | mmap.mmap) -> Iterator[bytes]:
        total = 0
        inflate = _inflate.decompressobj(wbits=31)
        try:
            for at in range(0, len(data), 1 << 16):
                waiting = data[at : at + (1 << 16)]
                while waiting:
                    piece = inflate.decompress(waiting, _PIECE)
                    waiting = inflate.unconsumed_tail
                    total += len(piece)
                    self._check_total(name, total, len(data))
                    yield piece
        except _INFLATE_ERRORS as error:
            raise UnreadableInput(f"{name} is not readable gzip ({error}); fetch it again") from None
        if not inflate.eof:
            raise UnreadableInput(f"{name} is truncated; fetch it again")
        if inflate.unused_data:
            raise UnreadableInput(f"{name} has something behind its gzip stream; fetch it again")


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[tuple[IO[bytes], int]]:
    """A file and its size in bytes."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limits.file:
                raise LimitExceeded(f"{path.name} is larger than {limits.file} bytes; it is not read")
            if size == 0:
                raise UnreadableInput(f"{path.name} is empty; fetch it again")
            yield file, size
    except OSError as error:
        raise UnreadableInput(f"{path.name} cannot be read: {error.strerror or error}") from None


@contextmanager
def _mapped(path: Path, limits: Limits) -> Iterator[bytes | mmap.mmap]:
    with _opened(path, limits) as (file, size):
        if size <= _READ_WHOLE:
            yield file.read(size)
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


# Zip, after PKWARE's APPNOTE 6.3: 4.3.16 (end record), 4.3.14 and 4.3.15 (its 64-bit form), 4.3.12
# (directory), 4.3.7 (local header). The directory is walked one entry at a time, so that an archive of
# nothing but entries costs no memory.
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_FULL = 0xFFFFFFFF


class _Member(NamedTuple):
    name: str
    method: int
    crc: int
    packed: int
    size: int
    at: int


def _directory(archive: str, data: bytes | mmap.mmap, limits: Limits) -> Iterator[_Member]:
    try:
        count, at, end = _directory_place(data)
        if count > limits.members:
            raise LimitExceeded(f"{archive} has more than {limits.members} members; it is not read")
        for _ in range(count):
            if at + _ENTRY.size > end:
                raise UnreadableInput(f"{archive} is a damaged zip archive; fetch it again")
            entry = _ENTRY.unpack_from(data, at)
            if entry[0] != b"PK\x01\x02":
                raise UnreadableInput(f"{archive} is a damaged zip archive; fetch it again")
            _, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, note_size = entry[:13]
            if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
                raise UnreadableInput(f"{archive} has an encrypted or unusually packed member; repack it")
            name_at = at + _ENTRY.size
            name = data[name_at : name_at + name_size].decode("utf-8", "surrogateescape")
            offset = entry[16]
            if _FULL in (packed, size, offset):
                extra = data[name_at + name_size : name_at + name_size + extra_size]
                size, packed, offset = _wide(extra, size, packed, offset)
            yield _Member(name, method, crc, packed, size, offset)
            at = name_at + name_size + extra_size + note_size
    except (struct.error, OverflowError):
        raise UnreadableInput(f"{archive} is a damaged zip archive; fetch it again") from None


def _directory_place(data: bytes | mmap.mmap) -> tuple[int, int, int]:
    """Number of entries, where the directory begins, and where it must have ended."""
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - 0xFFFF - _END.size))
    if end < 0:
        raise UnreadableInput("not a zip archive, or a truncated one; fetch it again")
    _, _, _, _, count, size, at, _ = _END.unpack_from(data, end)
    locator = end - _END64_LOCATOR.size
    if locator >= 0 and data[locator : locator + 4] == b"PK\x06\x07":
        wide = _END64.unpack_from(data, _END64_LOCATOR.unpack_from(data, locator)[2])
        if wide[0] != b"PK\x06\x06":
            raise UnreadableInput("a damaged zip archive; fetch it again")
        count, size, at = wide[7], wide[8], wide[9]
    if at + size > end:
        raise UnreadableInput("a damaged zip archive; fetch it again")
    return count, at, end


def _wide(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The 64-bit values behind fields that are full (4.5.3), in that order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            values = iter(struct.unpack_from(f"<{min(length, 24) // 8}Q", extra, at + 4))
            size = next(values, size) if size == _FULL else size
            packed = next(values, packed) if packed == _FULL else packed
            offset = next(values, offset) if offset == _FULL else offset
            break
        at += 4 + length
    return size, packed, offset


def _unpack(archive: str, data: bytes | mmap.mmap, member: _Member, limits: Limits) -> bytes:
    if member.size > limits.member:
        raise LimitExceeded(f"{archive} has a member of more than {limits.member} bytes; it is not read")
    try:
        local = _LOCAL.unpack_from(data, member.at)
        if local[0] != b"PK\x03\x04":
            raise UnreadableInput(f"{archive} is a damaged zip archive; fetch it again")
        start = member.at + _LOCAL.size + local[9] + local[10]
        content: bytes = data[start : start + member.packed]
        if member.method == _DEFLATED:
            content = _inflate.decompressobj(wbits=-15).decompress(content, member.size + 1)
    except _UNPACK_ERRORS:
        raise UnreadableInput(f"{archive} is a damaged zip archive; fetch it again") from None
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise UnreadableInput(f"{archive} has a member that does not match its checksum; fetch it again")
    return content
