"""An upload's body as it arrives: the manifest, then the contents in its order, each into a file of its own.

Nothing is held but what was just handed over. Knows neither HTTP nor the database, and makes nothing visible:
whoever it is for moves the files once all of them are right.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from redoubt.central.probes import manifest
from redoubt.central.refusals import InvalidArgument
from redoubt.definitions.durable import writing


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is what the manifest says. It may still be on its way to the disk: see ``synced``."""

    name: str
    size: int
    crc32: int
    sha256: str
    path: Path


def synced(folder: Path) -> None:
    """Returns when all that was written below ``folder`` is on the disk. Raises ``AccessDenied`` where it is not.

    ``syncfs``: waiting for each of some thousand small files takes minutes where this takes a second.
    """
    with writing(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(handle):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(handle)


class Body:
    """``feed`` it what comes, then ``finish``; ``close`` in any case. Files go to ``folder``, which is there.

    ``length`` is that of the whole, ``manifest_length`` that of what comes first; in bytes. Everything
    raises ``InvalidArgument`` for what was sent and ``AccessDenied`` for the disk.
    """

    def __init__(self, folder: Path, manifest_length: int, length: int) -> None:
        if not 0 < manifest_length <= manifest.LARGEST:
            raise InvalidArgument(
                f"manifestLen is the manifest's length in bytes, from 1 to {manifest.LARGEST}"
            )
        if length < manifest_length:
            raise InvalidArgument(
                f"the body has {length} bytes, fewer than its manifest should have ({manifest_length})"
            )
        self._folder = folder
        self._manifest_length = manifest_length
        self._length = length
        self._manifest = bytearray()
        self._entries: Iterator[manifest.Entry] | None = None
        self._entry: manifest.Entry | None = None
        self._file: BinaryIO | None = None
        self._left = 0
        self._crc32 = 0
        self._sha256 = hashlib.sha256()
        self._arrived: list[Arrived] = []
        #: Bytes that are still to come.
        self.remaining = length

    def feed(self, block: bytes | bytearray) -> None:
        """The next bytes. Blocks; so it is for a thread."""
        self.remaining -= len(block)
        view = memoryview(block)
        while view:
            if self._entries is None:
                needed = self._manifest_length - len(self._manifest)
                self._manifest += view[:needed]
                view = view[needed:]
                if len(self._manifest) == self._manifest_length:
                    self._begin()
            elif self._file is None:
                raise InvalidArgument("the body is longer than its Content-Length")
            else:
                view = self._take(self._file, view)

    def finish(self) -> list[Arrived]:
        """All files, when everything came."""
        if self._entries is None or self._file is not None:
            raise InvalidArgument(
                f"the upload broke off, {self.remaining} bytes before its end; send it again"
            )
        return self._arrived

    def close(self) -> None:
        """Let go of a file that is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        entries = manifest.read(bytes(self._manifest))
        total = self._manifest_length + sum(entry.size for entry in entries)
        if total != self._length:
            raise InvalidArgument(
                f"the body has {self._length} bytes, and its manifest stands for {total}; upload the package again"
            )
        self._entries = iter(entries)
        self._next()

    def _next(self) -> None:
        """Open the next file; those that are empty end at once."""
        assert self._entries is not None
        for entry in self._entries:
            self._entry, self._left = entry, entry.size
            self._crc32, self._sha256 = 0, hashlib.sha256()
            with writing(self._folder):
                self._file = (self._folder / str(len(self._arrived))).open("xb", buffering=0)
            if self._left:
                return
            self._end()

    def _take(self, file: BinaryIO, view: memoryview) -> memoryview:
        mine, rest = view[: self._left], view[self._left :]
        self._crc32 = zlib.crc32(mine, self._crc32)
        self._sha256.update(mine)
        self._left -= len(mine)
        with writing(self._folder):
            while mine:
                mine = mine[file.write(mine) :]
        if not self._left:
            self._end()
            self._next()
        return rest

    def _end(self) -> None:
        entry = self._entry
        assert entry is not None
        self.close()
        if self._crc32 != entry.crc32:
            raise InvalidArgument(
                f"{entry.name}: what arrived has the CRC-32 {self._crc32:08x}, and the manifest says "
                f"{entry.crc32:08x}; upload the package again"
            )
        self._arrived.append(
            Arrived(
                name=entry.name,
                size=entry.size,
                crc32=entry.crc32,
                sha256=self._sha256.hexdigest(),
                path=self._folder / str(len(self._arrived)),
            )
        )
