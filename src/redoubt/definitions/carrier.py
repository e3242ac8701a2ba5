"""Named members out of a bundle's zip, or of a folder it was unpacked into; nothing in it is trusted.

Every member is judged by the zip's directory before anything is read: names that leave the folder or
occur twice, links, encryption, sizes and ratios. Knows nothing of signatures or of what members mean.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from redoubt.definitions import durable
from redoubt.errors import AccessDenied, DefinitionsRefused, UnreadableInput

#: A bundle has six members, and one more for each time its root was rotated.
_MEMBERS = 600
_DIRECTORY_SIZE = 256 << 10
_TOTAL_SIZE = 16 << 30
#: The stream in a bundle is compressed already and the rest is small: nothing honest expands like this.
_RATIO = 200
_RATIO_FROM = 1 << 20

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", re.ASCII)
_END = b"PK\x05\x06"
_END_SIZE = 22
_END64_LOCATOR = b"PK\x06\x07"
_ENCRYPTED = 0x1 | 0x40 | 0x2000


class Member(Protocol):
    """One member, read once from its beginning."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes, none at its end. Raises ``DefinitionsRefused`` where it is damaged."""
        ...


class Carrier(Protocol):
    """A set of named members that can be read."""

    def open(self, name: str) -> AbstractContextManager[Member]:
        """Read one member as a stream. Raises ``KeyError`` where there is none of that name."""
        ...

    def names(self) -> tuple[str, ...]:
        """The members' names in their order; none for a folder, whose files are only opened by name."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


@contextmanager
def open_carrier(path: Path) -> Iterator[Carrier]:
    """Open a bundle: a zip, or a folder that one was unpacked into.

    Raises ``UnreadableInput`` where there is nothing, ``AccessDenied``, and ``DefinitionsRefused`` where
    it is not a bundle that is safe to read.
    """
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        carrier: Carrier = (
            _Folder(path)
            if path.is_dir()
            else _Zip(os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb"), path)
        )
    except FileNotFoundError:
        raise UnreadableInput(
            f"there is no file {path}; name a bundle or a folder it was unpacked into"
        ) from None
    except OSError as error:
        raise AccessDenied(f"cannot read {path}: {error.strerror}") from None
    try:
        yield carrier
    finally:
        carrier.close()


def read_member(carrier: Carrier, name: str, limit: int) -> bytes:
    """A whole member of at most ``limit`` bytes. Raises ``KeyError``, ``DefinitionsRefused``."""
    with carrier.open(name) as member:
        data = member.read(limit + 1)
    if len(data) > limit:
        raise DefinitionsRefused(f"{name} in the bundle is larger than {limit} bytes; refused")
    return data


@contextmanager
def open_inner(carrier: Carrier, name: str, temporary: Path) -> Iterator[Carrier]:
    """Open the zip that is the member ``name`` of another one, under the same rules.

    It is copied into ``temporary`` first, to a file without a name. Raises as ``open_carrier`` does, and
    ``KeyError``.
    """
    with durable.writing(temporary), tempfile.TemporaryFile(prefix="redoubt-", dir=temporary) as file:
        with carrier.open(name) as member:
            while data := member.read(1 << 20):
                file.write(data)
        file.flush()
        inner = _Zip(file, Path(name))
        try:
            yield inner
        finally:
            inner.close()


class _Zip:
    """The zip in an open file, which it closes. ``path`` is what messages call it."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        try:
            if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                raise DefinitionsRefused(f"{path} is not a regular file; name a bundle")
            _check_end(self._file, path)
            self._zip = zipfile.ZipFile(self._file)
            _check_members(self._zip.infolist(), path)
        except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, NotImplementedError) as error:
            self._file.close()
            raise DefinitionsRefused(f"{path} is a damaged zip ({error}); carry the bundle again") from None
        except BaseException:
            self._file.close()
            raise

    def names(self) -> tuple[str, ...]:
        return tuple(self._zip.namelist())

    @contextmanager
    def open(self, name: str) -> Iterator[Member]:
        information = self._zip.getinfo(name)
        member = _ZipMember(self._zip, information)
        try:
            yield member
        finally:
            member.close()

    def close(self) -> None:
        self._zip.close()
        self._file.close()


class _ZipMember:
    def __init__(self, archive: zipfile.ZipFile, information: zipfile.ZipInfo) -> None:
        self._name = information.filename
        with self._refusing():
            self._file = archive.open(information)

    def read(self, size: int) -> bytes:
        with self._refusing():
            return self._file.read(size)

    def close(self) -> None:
        self._file.close()

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        # What zipfile raises on hostile input; RuntimeError is its word for encryption.
        try:
            yield
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,
            OSError,
        ) as error:
            raise DefinitionsRefused(
                f"{self._name} in the bundle is damaged ({error}); carry the bundle again"
            ) from None


class _Folder:
    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._path = path

    def names(self) -> tuple[str, ...]:
        return ()

    @contextmanager
    def open(self, name: str) -> Iterator[Member]:
        if not _NAME.fullmatch(name):
            raise KeyError(name)
        *folders, last = name.split("/")
        handle = os.dup(self._handle)
        try:
            # One part at a time and never through a link: the folder may be anyone's.
            for folder in folders:
                inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
                os.close(handle)
                handle = inner
            member = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
        except FileNotFoundError:
            raise KeyError(name) from None
        except OSError as error:
            raise DefinitionsRefused(
                f"cannot read {name} in {self._path} ({error.strerror}); unpack the bundle again"
            ) from None
        finally:
            os.close(handle)
        with os.fdopen(member, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DefinitionsRefused(f"{name} in {self._path} is not a regular file; refused")
            yield file

    def close(self) -> None:
        os.close(self._handle)


def _check_end(file: BinaryIO, path: Path) -> None:
    """Look at the zip's last record before ``zipfile`` reads a directory of any size into memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(4)
    tail_at = file.seek(max(0, size - _END_SIZE - 20 - 65535))
    tail = file.read()
    at = len(tail) - _END_SIZE
    if at < 0 or tail[at : at + 4] != _END or tail[-2:] != b"\0\0":
        at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        if start == b"PK\x03\x04":
            raise DefinitionsRefused(f"{path} is a truncated zip; carry the bundle again")
        raise DefinitionsRefused(f"{path} is not a definitions bundle (not a zip file)")
    if tail[max(0, at - 20) : max(0, at - 20) + 4] == _END64_LOCATOR:
        raise DefinitionsRefused(f"{path} is a zip64 file, which bundles are not; refused")
    members = int.from_bytes(tail[at + 10 : at + 12], "little")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    if members > _MEMBERS or directory > _DIRECTORY_SIZE:
        raise DefinitionsRefused(f"{path} has too many members for a bundle; refused")
    offset = int.from_bytes(tail[at + 16 : at + 20], "little")
    comment = int.from_bytes(tail[at + 20 : at + 22], "little")
    if offset + directory != tail_at + at or at + _END_SIZE + comment != len(tail):
        # The end that was found may be that of a zip within this one, whose own end was cut off.
        raise DefinitionsRefused(f"{path} is a truncated zip; carry the bundle again")
    file.seek(0)


def _check_members(members: list[zipfile.ZipInfo], path: Path) -> None:
    seen: set[str] = set()
    total = 0
    if len(members) > _MEMBERS:
        raise DefinitionsRefused(f"{path} has too many members for a bundle; refused")
    for member in members:
        # As stored: zipfile cuts names at a NUL and turns the system's separators into slashes.
        name = member.orig_filename
        shown = name[:80]
        if not _NAME.fullmatch(name.removesuffix("/")):
            raise DefinitionsRefused(f"{path} has a member with an unsafe name ({shown!r}); refused")
        if name in seen:
            raise DefinitionsRefused(f"{path} has {shown} twice; refused")
        seen.add(name)
        if member.flag_bits & _ENCRYPTED:
            raise DefinitionsRefused(f"{path} is encrypted, which bundles are not; refused")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DefinitionsRefused(f"{path} has a member that is a link or a device ({shown}); refused")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DefinitionsRefused(f"{path} has a member with an unknown compression ({shown}); refused")
        total += member.file_size
        if total > _TOTAL_SIZE or (
            member.file_size > _RATIO_FROM and member.file_size > member.compress_size * _RATIO
        ):
            raise DefinitionsRefused(f"{path} expands too far ({shown}), like a zip bomb; refused")
