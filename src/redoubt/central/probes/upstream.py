"""Probes from the internet, or from a mirror that the settings name: fetched once, kept on the disk, never more than a limit.

Every connection is made by ``redoubt.egress``, in threads of its own: a slow server holds up nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

import structlog

from redoubt import egress, tasks
from redoubt.central.config import Settings
from redoubt.central.refusals import Unavailable
from redoubt.egress import Missing, Policy, Retry
from redoubt.errors import AccessDenied, LimitExceeded, NetworkError

#: The original's, whose path is part of the address.
URL = "https://collector-modules.stackrox.io/612dd2ee06b660e728292de9393e18c81a88f347ec52a39207c5166b5302b656"
#: In the settings: no such place, also where Central is online.
NONE = "none"

#: A probe has some hundred kilobytes, a kernel module a few megabytes.
LARGEST = 64 << 20
#: All that is kept of what was fetched. What was not asked for the longest goes first.
KEPT = 2 << 30
#: Left free on the disk.
RESERVE = 1 << 30
_GZIP = b"\x1f\x8b"
_FETCHING = 4
#: Seconds for which a probe that upstream does not have is not asked for again, and how many of them are known.
_MISSING_FOR = 600.0
_MISSING_MOST = 10_000

_log = structlog.get_logger("probes")


def chosen(settings: Settings, policy: Policy, cache: Path) -> Upstream | None:
    """Where probes are fetched from, if anywhere. An address in the settings is named by the user, and counts offline, too."""
    url = settings.kernel_objects_url
    if url == NONE or (not url and policy.offline):
        return None
    if url:
        policy = policy.allowing(urlsplit(url).hostname or "")
    return Upstream(url or URL, cache, policy)


class Upstream:
    """A place that has probes. Files are kept in ``cache`` under the SHA-256 of their names."""

    def __init__(
        self, url: str, cache: Path, policy: Policy, *, largest: int = LARGEST, kept: int = KEPT
    ) -> None:
        self._url = url.rstrip("/")
        self._cache = cache
        self._largest = largest
        self._kept = kept
        self._threads = ThreadPoolExecutor(_FETCHING, thread_name_prefix="probes")
        self._client = egress.client(policy=policy, retry=Retry(attempts=2))
        self._fetching: dict[str, asyncio.Task[Path | None]] = {}
        self._missing: dict[str, float] = {}

    def start(self) -> None:
        """Make the folder."""
        self._cache.mkdir(parents=True, exist_ok=True)

    async def stop(self) -> None:
        """End what is under way; what arrived of it stays for the next time."""
        await tasks.end(*self._fetching.values())
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def get(self, name: str) -> Path | None:
        """The file of a probe; None where upstream has none. Raises ``Unavailable``."""
        path = self._cache / hashlib.sha256(name.encode()).hexdigest()
        if path.is_file():
            os.utime(path, (time.time(), path.stat().st_mtime))
            return path
        if self._missing.get(name, 0.0) > time.monotonic():
            return None
        # Who asked first may go away; the others wait for the same.
        if name not in self._fetching:
            task = asyncio.create_task(self._fetch(name, path), name="kernel probe")
            self._fetching[name] = task
            task.add_done_callback(lambda _: self._fetching.pop(name, None))
        return await asyncio.shield(self._fetching[name])

    async def _fetch(self, name: str, path: Path) -> Path | None:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._download, name, path)
        if found is None:
            if len(self._missing) >= _MISSING_MOST:
                self._missing.clear()
            self._missing[name] = time.monotonic() + _MISSING_FOR
        return found

    def _download(self, name: str, path: Path) -> Path | None:
        if shutil.disk_usage(self._cache).free < RESERVE + self._largest:
            raise Unavailable("the disk of Central's data folder is full; nothing is fetched")
        draft = path.with_name(f"{path.name}.new")
        try:
            egress.download(
                self._client,
                f"{self._url}/{quote(name, safe='/')}",
                draft,
                limit=self._largest,
            )
            with draft.open("rb") as file:
                sound = file.read(2) == _GZIP
            if not sound:
                draft.unlink()
                raise Unavailable("what the server of kernel probes sent is none")
            draft.replace(path)
        except (Missing, AccessDenied):  # a bucket says 403 of what it does not have
            return None
        except (NetworkError, LimitExceeded, OSError) as error:
            said = type(error).__name__ if isinstance(error, OSError) else error
            _log.warning("kernel probe not fetched", name=name, reason=str(said))
            raise Unavailable("the server of kernel probes cannot be reached; try again later") from None
        self._trim(path)
        return path

    def _trim(self, newest: Path) -> None:
        """Remove what was not asked for the longest, until what is left is few enough bytes."""
        files = [(file.stat(), file) for file in self._cache.iterdir() if not file.name.startswith(".")]
        total = sum(facts.st_size for facts, _ in files)
        for facts, file in sorted(files, key=lambda each: each[0].st_atime):
            if total <= self._kept:
                return
            if file != newest:
                file.unlink(missing_ok=True)
                total -= facts.st_size
