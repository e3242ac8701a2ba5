"""A snapshot's LMDB file as readers see it: mapped once per process, shared, never locked.

The file has two tables. ``records`` holds keys and values; ``long`` holds, under its SHA-256, each key that
is too long for LMDB, together with its value. Knows neither how records are grouped (``grouping``) nor what they mean.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Protocol

import lmdb
import msgspec

from redoubt.definitions.records import Record
from redoubt.errors import AccessDenied, DefinitionsError, DefinitionsMissing

#: LMDB's own limit, in bytes.
LONGEST_KEY = 511

RECORDS = b"records"
LONG = b"long"

decode_long = msgspec.msgpack.Decoder(tuple[bytes, bytes])


class _Read(Protocol):
    def __call__(self, key: bytes, /) -> bytes | None: ...


class MappedFile:
    """A mapped file, shared by all snapshots open on it: LMDB maps a file once per process."""

    _open: ClassVar[dict[tuple[int, int], MappedFile]] = {}
    _guard = threading.Lock()

    def __init__(self, path: Path, identity: tuple[int, int]) -> None:
        self._identity = identity
        self._users = 0
        try:
            self._environment = lmdb.open(
                str(path), subdir=False, readonly=True, lock=False, create=False, max_dbs=2
            )
            self._records = self._environment.open_db(RECORDS, create=False)
            self._long = self._environment.open_db(LONG, create=False)
            self._plain_view = self._environment.begin(db=self._records)
            self._long_view = self._environment.begin(db=self._long)
        except lmdb.Error as error:
            if not path.exists():  # pruned since its stamp was read
                raise missing(path.parent) from None
            raise DefinitionsError(f"cannot open definitions in {path.parent}: {error}") from None
        self.read: _Read = self._plain_view.get
        self.read_long: _Read = self._long_view.get

    @classmethod
    def open(cls, path: Path) -> MappedFile:
        """The file at ``path``, mapped now or before. ``release`` it after use.

        Raises ``DefinitionsMissing``, ``DefinitionsError``, ``AccessDenied``.
        """
        with cls._guard:
            try:
                status = path.stat()
            except FileNotFoundError:
                raise missing(path.parent) from None
            except OSError as error:
                raise AccessDenied(f"cannot read {path}: {error.strerror}") from None
            identity = (status.st_dev, status.st_ino)
            store = cls._open.get(identity)
            if store is None:
                store = cls._open[identity] = cls(path, identity)
            store._users += 1
            return store

    def release(self) -> None:
        """Say that one user less needs the file; the last one closes it."""
        with self._guard:
            self._users -= 1
            if self._users == 0:
                del self._open[self._identity]
                self._plain_view.abort()
                self._long_view.abort()
                self._environment.close()

    def scan(self, prefix: bytes) -> Iterator[Record]:
        """Keys and values as stored (packages grouped) below ``prefix``: in order, then those of long keys."""
        with self._environment.begin(db=self._records) as view, view.cursor() as cursor:
            cursor.set_range(prefix)
            for key, value in cursor:
                if not key.startswith(prefix):
                    break
                yield key, value
        with self._environment.begin(db=self._long) as view, view.cursor() as cursor:
            for _, stored in cursor:
                long, held = decode_long.decode(stored)
                if long.startswith(prefix):
                    yield long, held

    def plain(self) -> Iterator[Record]:
        """The entries whose keys fit, in order."""
        with self._environment.begin(db=self._records) as view, view.cursor() as cursor:
            yield from cursor

    @property
    def has_long(self) -> bool:
        """Whether there are any others."""
        return bool(self._long_view.stat(self._long)["entries"])

    def long(self) -> Iterator[Record]:
        """The others, in order."""
        # These are few: no real name is as long. Sorted in memory, by key alone until each one's turn.
        with self._environment.begin(db=self._long, buffers=True) as view:
            with view.cursor() as cursor:
                order = sorted((decode_long.decode(value)[0], bytes(hashed)) for hashed, value in cursor)
            for key, hashed in order:
                value = view.get(hashed)
                if value is not None:
                    yield key, decode_long.decode(value)[1]


def missing(directory: Path) -> DefinitionsMissing:
    """The error that there is no snapshot in ``directory``."""
    return DefinitionsMissing(
        f"there are no definitions in {directory}; run `redoubt definitions import BUNDLE`"
    )
