"""Where the files of sources come from: a mirror folder, filled by hand or by ``fetching``, and kept copies.

A mirror folder has upstream-like paths (``osv/PyPI/all.zip``, ``alpine/v3.20/main.json``; all of them in
``sources``). A *state folder*, where the caller gives one, keeps the last files of each source that could
be read, so that one bad day upstream costs no data. Copies are kept apart by where they came from: two
mirrors never mix. This module knows nothing of what the files say.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from redoubt.definitions import durable
from redoubt.definitions.sources import Source
from redoubt.errors import UnreadableInput

#: In a folder that ``fetching`` fills: what the servers said, by path.
NOTES = ".fetched.json"


class FetchedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known about one fetched file. ``checked`` is when upstream last vouched for it."""

    url: str
    checked: str
    etag: str = ""
    modified: str = ""


class Fetch(msgspec.Struct, frozen=True):
    """How fetching a source went: ``changed`` files, and ``detail`` where some could not be had.

    ``size`` is how many bytes came, ``resumed`` how many of the files' bytes had come before.
    """

    changed: int = 0
    detail: str = ""
    size: int = 0
    resumed: int = 0


class Mirror:
    """A folder to build from.

    ``identity`` names where its files come from (by default the folder's own path); ``state`` is where
    copies of what could be read are kept, or None for nowhere; ``fetches`` is how fetching went, by source,
    where the folder was just filled.
    """

    def __init__(
        self,
        folder: Path,
        *,
        state: Path | None = None,
        identity: str = "",
        fetches: Mapping[str, Fetch] | None = None,
    ) -> None:
        if not folder.is_dir():
            raise UnreadableInput(f"{folder} is not a folder; name a mirror folder")
        self.folder = folder
        self.fetches = dict(fetches or {})
        identity = identity or f"folder {folder.resolve()}"
        self._kept = state / hashlib.sha256(os.fsencode(identity)).hexdigest()[:16] if state else None
        self._notes = read_notes(folder)

    def files(self, source: Source) -> list[tuple[str, Path]]:
        """``(path in the mirror, file)`` of everything that belongs to ``source``; nothing if it is absent."""
        return _find(self.folder, source)

    def kept(self, source: Source) -> list[tuple[str, Path]]:
        """The same, for the last files that could be read."""
        if self._kept is None:
            return []
        # The older copy is there alone only where a process ended between two renames of ``keep``.
        return _find(self._kept / source.name, source) or _find(self._kept / f".{source.name}.old", source)

    def keep(self, source: Source, files: Iterable[tuple[str, Path]]) -> None:
        """Remember ``files`` as readable. They replace what was kept; same files cost nothing.

        A process that ends in between leaves the older copy or the newer one, never a mixture.
        """
        if self._kept is None:
            return
        place = self._kept / source.name
        files = list(files)
        if _same(files, _find(place, source)):
            return
        with durable.writing(place):
            draft, old = place.with_name(f".{source.name}.new"), place.with_name(f".{source.name}.old")
            if old.exists() and not place.exists():
                old.replace(place)
            for leftover in (draft, old):
                shutil.rmtree(leftover, ignore_errors=True)
            for path, file in files:
                (draft / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, draft / path)
            if place.exists():
                place.replace(old)
            draft.replace(place)
            shutil.rmtree(old, ignore_errors=True)

    def fetched(self, source: Source) -> tuple[str, str]:
        """When upstream last vouched for the oldest of the source's files, and its ETag if it is one file.

        Both are empty where the folder was not filled by ``fetching``.
        """
        notes = [self._notes[path] for path, _ in self.files(source) if path in self._notes]
        if not notes:
            return "", ""
        return min(note.checked for note in notes), notes[0].etag if len(notes) == 1 else ""


def _find(folder: Path, source: Source) -> list[tuple[str, Path]]:
    for group in source.patterns:
        found = {file for pattern in group for file in folder.glob(pattern) if file.is_file()}
        if found:
            return sorted((file.relative_to(folder).as_posix(), file) for file in found)
    return []


def _same(files: list[tuple[str, Path]], others: list[tuple[str, Path]]) -> bool:
    """Whether two sets of files have the same names, sizes and times: good enough to skip a copy."""

    def facts(items: list[tuple[str, Path]]) -> list[tuple[str, int, int]]:
        return [(path, file.stat().st_size, file.stat().st_mtime_ns) for path, file in items]

    return facts(files) == facts(others)


def read_notes(folder: Path) -> dict[str, FetchedFile]:
    """What the servers said of the files in a folder; nothing where that is not known."""
    try:
        return msgspec.json.decode((folder / NOTES).read_bytes(), type=dict[str, FetchedFile])
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}
