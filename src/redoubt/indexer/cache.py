"""Layer reports kept on disk, by what the layer is and by who looked at it.

An entry is found by the layer's digest and the fingerprint of the catalogers; whether the bytes at hand
have that digest is for the caller to know. Entries are written beside their place and renamed into it, and
begin with a digest of themselves: what a crash or a fault left is a miss. The cache is never needed:
a folder that can't be written is the same as an empty one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from redoubt.indexer.catalogers.interface import Cataloger, lookups
from redoubt.indexer.report import LayerReport

_SCHEMA = 3  # raised whenever walking, dispatch or LayerReport change what a report says
_SEAL = 32
_SIZE = 1 << 30
_ENTRY_SIZE = 256 << 20

_decoder = msgspec.msgpack.Decoder(LayerReport)


def fingerprint(catalogers: Iterable[Cataloger]) -> str:
    """Names and versions of the catalogers, what they look things up in, and the schema of what is kept,
    as 32 hexadecimal digits.
    """
    looking = tuple(catalogers)
    lines = sorted(f"{cataloger.name}={cataloger.version}" for cataloger in looking)
    lines += [f"{name}={digest}" for name, digest in lookups(looking).items()]
    return hashlib.sha256("\n".join([str(_SCHEMA), *lines]).encode()).hexdigest()[:32]


class LayerReports(Protocol):
    """Where layers' reports are kept: a folder here, a database where several machines share the work."""

    def get(self, digest: str, mark: str, request: str = "") -> LayerReport | None:
        """The report kept for a layer's digest, a ``fingerprint`` and what was asked beyond it, or None."""

    def has(self, digest: str, mark: str) -> bool:
        """Whether there is an entry to ask for: spares hashing a layer in vain."""

    def put(self, digest: str, mark: str, report: LayerReport, request: str = "") -> None:
        """Keep a report."""

    def prune(self) -> None:
        """Drop what was not used for longest, where there is a limit."""


class LayerCache:
    """A folder of layer reports, at most about ``size`` bytes after ``prune``. Safe between processes."""

    def __init__(self, folder: Path, size: int = _SIZE) -> None:
        self._folder = folder
        self._size = size

    def get(self, digest: str, mark: str, request: str = "") -> LayerReport | None:
        """The report kept for a layer's digest, a ``fingerprint`` and what was asked beyond it, or None."""
        path = self._path(digest, mark, request)
        try:
            if path.stat().st_size > _ENTRY_SIZE:
                return None
            entry = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        if hashlib.sha256(entry[_SEAL:]).digest() != entry[:_SEAL]:
            return None
        try:
            return _decoder.decode(entry[_SEAL:])
        except msgspec.MsgspecError:
            return None

    def has(self, digest: str, mark: str) -> bool:
        """Whether there is an entry to ask for: spares hashing a layer in vain."""
        return self._path(digest, mark, "").exists()

    def put(self, digest: str, mark: str, report: LayerReport, request: str = "") -> None:
        """Keep a report."""
        body = msgspec.msgpack.encode(report)
        if len(body) > _ENTRY_SIZE:
            return
        path = self._path(digest, mark, request)
        draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                draft.write_bytes(hashlib.sha256(body).digest() + body)
                draft.replace(path)
            except OSError:
                draft.unlink(missing_ok=True)
        except OSError:
            return

    def prune(self) -> None:
        """Drop the entries that were not used for longest until the rest fits."""
        try:
            entries = [(entry.stat(), entry.path) for entry in os.scandir(self._folder) if entry.is_file()]
        except OSError:
            return
        total = sum(stat.st_size for stat, _ in entries)
        for stat, path in sorted(entries, key=lambda entry: (entry[0].st_mtime_ns, entry[1])):
            if total <= self._size:
                return
            try:
                Path(path).unlink(missing_ok=True)
            except OSError:
                return
            total -= stat.st_size

    def _path(self, digest: str, mark: str, request: str) -> Path:
        key = hashlib.sha256(f"{digest}\n{mark}\n{request}".encode()).hexdigest()
        return self._folder / key
