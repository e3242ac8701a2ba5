"""Fills a mirror folder from upstream: several sources at a time, gently, and only what changed.

Sources are fetched beside each other, the files of one source one after another. Of one host at most two
files are fetched at once, and its requests begin at least ``Source.pause`` seconds apart, whichever source
they are for. What was there stays until its successor is whole; what broke off is gone on with next time
(``egress.download``). Knows nothing of what the files say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from redoubt import egress
from redoubt.definitions import durable
from redoubt.definitions.mirror import NOTES, Fetch, FetchedFile, Mirror, read_notes
from redoubt.definitions.sources import Download, Source
from redoubt.errors import LimitExceeded, RedoubtError

#: Documents that may be asked to learn where a source's files are, and the largest of them in bytes.
_MAX_QUESTIONS = 5_000
_MAX_DOCUMENT = 32 << 20
_SOURCES_AT_ONCE = 6
_FILES_OF_A_HOST = 2


#: ``progress(source, done, total)``: so many bytes of the files that have begun (0: unknown); from several threads.
Progress: TypeAlias = Callable[[str, int, int], None]


def online(
    folder: Path,
    sources: Iterable[Source],
    client: egress.Client,
    *,
    state: Path | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> Mirror:
    """Fetch ``sources`` into ``folder`` and give it as a mirror. A source that fails does not stop others.

    A host that does not answer is not asked for another file. Raises ``AccessDenied`` where the folder cannot
    be written.
    """
    fetcher = Fetcher(folder, client, now=now, progress=progress)
    with ThreadPoolExecutor(_SOURCES_AT_ONCE, thread_name_prefix="redoubt-fetch") as pool:
        jobs = {source.name: pool.submit(fetcher.fetch, source) for source in sources}
        try:
            fetches = {name: job.result() for name, job in jobs.items()}
        except BaseException:
            fetcher.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Mirror(folder, state=state, identity="online", fetches=fetches)


class _Stopped(Exception):
    """Somebody gave up on all of it."""


class _Hosts:
    """Who may be asked when, and who does not answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        self._free: dict[str, threading.BoundedSemaphore] = {}
        self._silent: set[str] = set()

    def silent(self, host: str) -> bool:
        """Whether ``host`` did not answer before."""
        return host in self._silent

    def silence(self, host: str) -> None:
        """Note that ``host`` does not answer."""
        self._silent.add(host)

    @contextmanager
    def turn(self, host: str, pause: float) -> Iterator[None]:
        """Wait until ``host`` may be asked; others wait while the body runs, if there are too many."""
        with self._lock:
            free = self._free.setdefault(host, threading.BoundedSemaphore(_FILES_OF_A_HOST))
        with free:
            with self._lock:
                now = time.monotonic()
                begin = max(now, self._next.get(host, 0.0))
                self._next[host] = begin + pause
            time.sleep(begin - now)
            yield


class Fetcher:
    """Fetches sources into ``folder``; may be asked for several at once. ``now`` is what ``checked`` says."""

    def __init__(
        self,
        folder: Path,
        client: egress.Client,
        *,
        now: datetime | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._folder = folder
        self._client = client
        self._checked = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._progress = progress
        self._hosts = _Hosts()
        self._lock = threading.Lock()
        self._notes = read_notes(folder) if folder.is_dir() else {}
        self._stop = threading.Event()

    def stop(self) -> None:
        """Begin no further file, and leave those that are coming as they are."""
        self._stop.set()

    def fetch(self, source: Source) -> Fetch:
        """Bring the files of ``source`` up to date; what the servers call unchanged stays.

        A source that must be asked where its files are (``Source.discover``) is asked first. Each file is
        replaced in one step once it is whole; one that cannot be had stays as it was, and ``detail`` says why.
        Raises ``AccessDenied`` where the folder cannot be written.
        """
        downloads, troubles = self._downloads(source)
        wanted = len(downloads) + len(troubles)
        changed = size = resumed = 0
        for download in downloads:
            try:
                got = self._file(source, download, size)
            except RedoubtError as error:
                troubles.append(str(error))
                continue
            if got.changed:
                changed += 1
                size += got.size
                resumed += got.resumed
        detail = troubles[0] if troubles else ""
        if len(troubles) > 1:
            detail += f" (and {len(troubles) - 1} more of {wanted} files)"
        return Fetch(changed, detail, size, resumed)

    def _file(self, source: Source, download: Download, before: int) -> egress.Downloaded:
        path, url = download
        to = self._folder / path
        known = self._notes.get(path)
        if known is None or known.url != url or not to.is_file():
            known = FetchedFile(url, self._checked)
        with self._asking(url, source.pause), durable.writing(to):
            to.parent.mkdir(parents=True, exist_ok=True)
            got = egress.download(
                self._client,
                url,
                to,
                limit=source.limit,
                etag=known.etag,
                modified=known.modified,
                progress=lambda done, total: self._told(
                    source, before + done, before + total if total else 0
                ),
            )
        with self._lock, durable.writing(to):
            self._notes[path] = FetchedFile(url, self._checked, got.etag, got.modified)
            durable.replace(self._folder / NOTES, msgspec.json.encode(self._notes, order="deterministic"))
        return got

    def _told(self, source: Source, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        if self._progress is not None:
            self._progress(source.name, done, total)

    @contextmanager
    def _asking(self, url: str, pause: float) -> Iterator[None]:
        """The host's turn. Raises ``Unreachable`` where it did not answer before, or does not now."""
        host = urlsplit(url).netloc
        with self._hosts.turn(host, pause):
            if self._stop.is_set():
                raise _Stopped
            if self._hosts.silent(host):
                raise egress.Unreachable(f"{host} does not answer")
            try:
                yield
            except egress.Unreachable:
                self._hosts.silence(host)
                raise

    def _downloads(self, source: Source) -> tuple[tuple[Download, ...], list[str]]:
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
            with self._asking(url, source.pause):
                return self._client.get_bytes(url, _MAX_DOCUMENT)

        found = source.discover(get)
        return source.downloads + found.downloads, list(found.troubles)
