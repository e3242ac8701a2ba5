"""What a cataloger is: it names the files it wants and turns one file into packages.

A cataloger is pure: bytes in, packages out, no paths opened, nothing remembered between files. It never
raises on bad content: what cannot be read becomes a ``Problem``, and what was read before it stays.
It must not know about layers, whiteouts or images; the walker and the merge do that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, Protocol

import msgspec

from redoubt.indexer.origins import Origin
from redoubt.indexer.ownership import Claim
from redoubt.indexer.repositories import RepositoryList
from redoubt.model import Distribution, Package, Problem


class Content(Protocol):
    """The bytes of one file, in memory or spooled to disk: read by place, never assumed to be small."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from ``offset``; fewer than ``length`` only at the end of the file."""

    def all(self) -> bytes:
        """The whole file. Only for files that ``Wanted.max_size`` keeps small."""


class Catalog(msgspec.Struct, frozen=True):
    """What one file said. Packages carry no locations: a location is set later, from the file's path.

    The exception is a package inside an archive inside the file: its single location's path is the
    archive member's path with its file's (``app.jar!/lib/core.jar``), its layer empty.
    Problems carry message and kind; path, layer and cataloger are filled in by the caller.
    ``elsewhere`` is said of the packages of the other files in this file's folder: they came from there (a
    URL, without credentials) and not from the registry of their kind. ``claims`` are the files that the
    operating system's packages say they installed, ``origins`` the repositories that these came from, and ``listed``
    those that the packages of the file's layer may have come from.
    """

    packages: tuple[Package, ...] = ()
    problems: tuple[Problem, ...] = ()
    distribution: Distribution | None = None
    elsewhere: str = ""
    claims: tuple[Claim, ...] = ()
    origins: tuple[Origin, ...] = ()
    listed: RepositoryList | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which files a cataloger is shown. Names are bytes, compared as they stand in the archive.

    A regular file is wanted if its base name is in ``names``, or ends with one of ``extensions``
    (lower-cased, from the last dot on), or begins and ends with one of ``affixes`` (for names that neither of
    the others can tell; the end has a dot), or if the directory it lies in is named by
    one of ``directories`` (last component), or if it is at least ``min_size`` bytes long, has an execute bit
    or a name that ends with one of ``programs`` (as extensions do), and begins with one of ``magic``; and
    ``Cataloger.accepts`` then agrees to its whole path.
    A directory is wanted if it lies directly in one of ``trees`` (whole paths): it is shown as an
    empty file, with a slash at the end of its path.
    ``databases`` are the well-known places of a package database: a symlink on the way to one is followed.
    A file over ``max_size`` bytes is not read: that is a ``LIMIT`` problem.
    ``beside`` is what the name of a wanted file ends with that holds the latest changes to the file named without it
    (see ``PairCataloger``).
    ``declared``: what these files name was asked for, and may not be there (lock files; see ``evidence``).
    """

    names: frozenset[bytes] = frozenset()
    extensions: frozenset[bytes] = frozenset()
    affixes: frozenset[tuple[bytes, bytes]] = frozenset()
    directories: frozenset[bytes] = frozenset()
    trees: frozenset[bytes] = frozenset()
    magic: tuple[bytes, ...] = ()
    programs: frozenset[bytes] = frozenset()
    min_size: int = 0
    databases: tuple[str, ...] = ()
    max_size: int = 64 << 20
    beside: bytes = b""
    declared: bool = False


class Cataloger(Protocol):
    """One package format. ``version`` is raised whenever its output may differ: caches depend on it."""

    name: str
    version: int
    wanted: Wanted

    def accepts(self, path: bytes) -> bool:
        """Whether a file with a wanted name is wanted at this path (relative, normalised)."""

    def catalog(self, path: str, content: Content) -> Catalog:
        """The packages of one file. ``path`` is relative to the image's root. Never raises on content."""


def lookups(catalogers: Iterable[Cataloger]) -> dict[str, str]:
    """Name → digest of what a cataloger looks names up in beside the file, its attribute ``lookup``. Few have one."""
    found = {cataloger.name: getattr(cataloger, "lookup", "") for cataloger in catalogers}
    return {name: digest for name, digest in sorted(found.items()) if digest}


class FileReader(Protocol):
    """A file that is read while it streams by."""

    def feed(self, chunk: bytes | memoryview) -> bool:
        """The next bytes of the file, in order. False: nothing after this matters."""

    @property
    def keep(self) -> bool:
        """Whether ``finish`` may well answer None: the bytes are then kept as they pass, if asked for early."""

    def finish(self) -> Catalog | None:
        """What was found; None if the file must be read by place after all (``catalog`` is called then)."""


class StreamCataloger(Cataloger, Protocol):
    """A cataloger for large files, which are not to be collected if that can be avoided."""

    def reader(self, path: str, size: int) -> FileReader:
        """A reader for one file of ``size`` bytes."""


class PairCataloger(Cataloger, Protocol):
    """A cataloger of files whose latest changes lie in another one: ``Wanted.beside``."""

    def catalog_pair(self, path: str, content: Content, beside: Content) -> Catalog:
        """The packages of a file and what lies beside it in the same layer; ``catalog`` was asked of each before."""


class MemoryContent:
    """Content that is held in memory."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from ``offset``."""
        return self._data[offset : offset + length]

    def all(self) -> bytes:
        """The whole file."""
        return self._data


class FileContent:
    """Content in an open, seekable file, from ``start``; the caller closes it."""

    __slots__ = ("_file", "_size", "_start")

    def __init__(self, file: BinaryIO, size: int, start: int = 0) -> None:
        self._file = file
        self._size = size
        self._start = start

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from ``offset``."""
        length = min(length, self._size - offset)
        if length <= 0 or offset < 0:
            return b""
        self._file.seek(self._start + offset)
        return self._file.read(length)

    def all(self) -> bytes:
        """The whole file."""
        return self.read(0, self._size)


class Window:
    """A part of other content, without a copy."""

    __slots__ = ("_content", "_size", "_start")

    def __init__(self, content: Content, start: int, size: int) -> None:
        # Windows onto windows (a stored jar in a stored jar) look straight at the bottom.
        self._content: Content = content._content if isinstance(content, Window) else content
        self._start: int = content._start + start if isinstance(content, Window) else start
        self._size = size

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from ``offset``."""
        length = min(length, self._size - offset)
        return self._content.read(self._start + offset, length) if offset >= 0 and length > 0 else b""

    def all(self) -> bytes:
        """The whole window."""
        return self.read(0, self._size)
