"""Where the files of sources come from: a mirror folder, filled by hand or by ``fetch``, and kept copies.

A mirror folder has upstream-like paths (``osv/PyPI/all.zip``, ``alpine/v3.20/main.json``; all of them in
``sources``). A *state folder*, where the caller gives one, keeps the last files of each source that could
be read, so that one bad day upstream costs no data. Copies are kept apart by where they came from: two
mirrors never mix. This module knows nothing of what the files say.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from redoubt import egress
from redoubt.definitions import durable
from redoubt.definitions.sources import Download, Source
from redoubt.errors import LimitExceeded, RedoubtError, UnreadableInput

#: In a folder that ``fetch`` fills: what the servers said, by path.
NOTES = ".fetched.json"
#: Documents that may be asked to learn where a source's files are, and the largest of them in bytes.
_MAX_QUESTIONS = 5_000
_MAX_DOCUMENT = 32 << 20


class FetchedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known about one fetched file. ``checked`` is when upstream last vouched for it."""

    url: str
    checked: str
    etag: str = ""
    modified: str = ""


class Fetch(msgspec.Struct, frozen=True):
    """How fetching a source went: ``changed`` files, and ``detail`` where some could not be had."""

    changed: int = 0
    detail: str = ""


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
        self._notes = _read_notes(folder)

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

        Both are empty where the folder was not filled by ``fetch``.
        """
        notes = [self._notes[path] for path, _ in self.files(source) if path in self._notes]
        if not notes:
            return "", ""
        return min(note.checked for note in notes), notes[0].etag if len(notes) == 1 else ""


def online(
    folder: Path,
    sources: Iterable[Source],
    client: egress.Client,
    *,
    state: Path | None = None,
    now: datetime | None = None,
    progress: Callable[[str], None] | None = None,
) -> Mirror:
    """Fetch ``sources`` into ``folder`` and give it as a mirror. A source that fails does not stop others.

    ``progress`` is told each source's name as its turn comes. A host that does not answer is not asked
    for another file.
    """
    fetches: dict[str, Fetch] = {}
    silent: set[str] = set()
    for source in sources:
        if progress:
            progress(source.name)
        fetches[source.name] = fetch(source, folder, client, now=now, silent=silent)
    return Mirror(folder, state=state, identity="online", fetches=fetches)


def fetch(
    source: Source,
    folder: Path,
    client: egress.Client,
    *,
    now: datetime | None = None,
    silent: set[str] | None = None,
) -> Fetch:
    """Bring the files of ``source`` in ``folder`` up to date; what the servers call unchanged stays.

    A source that must be asked where its files are (``Source.discover``) is asked first.
    Each file is replaced in one step once it is whole; one that cannot be had stays as it was, and
    ``detail`` says why. ``silent`` are hosts that are not asked; those that do not answer join them. Raises ``AccessDenied`` where the folder cannot be written.
    """
    silent = set() if silent is None else silent
    downloads, troubles = _downloads(source, client, silent)
    changed, wanted = 0, len(downloads) + len(troubles)
    notes = _read_notes(folder) if folder.is_dir() else {}
    checked = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for path, url in downloads:
        host = urlsplit(url).netloc
        if host in silent:
            troubles.append(f"{host} does not answer")
            continue
        to = folder / path
        known = notes.get(path)
        if known is None or known.url != url or not to.is_file():
            known = FetchedFile(url, checked)
        with durable.writing(to):
            to.parent.mkdir(parents=True, exist_ok=True)
            try:
                got = egress.download(
                    client, url, to, limit=source.limit, etag=known.etag, modified=known.modified
                )
            except RedoubtError as error:
                troubles.append(str(error))
                if isinstance(error, egress.Unreachable):
                    silent.add(host)
                continue
            changed += got.changed
            notes[path] = FetchedFile(url, checked, got.etag, got.modified)
            durable.replace(folder / NOTES, msgspec.json.encode(notes, order="deterministic"))
    detail = troubles[0] if troubles else ""
    if len(troubles) > 1:
        detail += f" (and {len(troubles) - 1} more of {wanted} files)"
    return Fetch(changed, detail)


def _downloads(
    source: Source, client: egress.Client, silent: set[str]
) -> tuple[tuple[Download, ...], list[str]]:
    """Everything that ``source`` is to be fetched from, after asking it where that is; and what went wrong."""
    if source.discover is None:
        return source.downloads, []
    left = _MAX_QUESTIONS

    def get(url: str) -> bytes:
        nonlocal left
        left -= 1
        if left < 0:
            raise LimitExceeded(
                f"{source.name}: more than {_MAX_QUESTIONS} documents say where its files are"
            )
        host = urlsplit(url).netloc
        if host in silent:
            raise egress.Unreachable(f"{host} does not answer")
        try:
            return client.get_bytes(url, _MAX_DOCUMENT)
        except egress.Unreachable:
            silent.add(host)
            raise

    found = source.discover(get)
    return source.downloads + found.downloads, list(found.troubles)


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


def _read_notes(folder: Path) -> dict[str, FetchedFile]:
    try:
        return msgspec.json.decode((folder / NOTES).read_bytes(), type=dict[str, FetchedFile])
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}
