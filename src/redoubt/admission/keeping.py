"""Alerts on this service's disk until the Sensor has them: whole files, each the old or the new one after a kill.

What is told again and again takes the place of what was told before, so this is no log (as the Sensor's spool is): alerts
are spread over some files by their ids, and the files of what changed are written anew by a thread. No review waits for that: what a
kill takes is what was put here in the last moment (``PAUSE``, and as long as the disk takes). It must not know what an alert says.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import structlog

from redoubt import tasks
from redoubt.definitions import durable

#: Seconds until what changed is written; most alerts are with the Sensor before. And until a disk that failed is tried again.
PAUSE, _AGAIN = 0.25, 1.0
#: Files: with all alerts that may wait, one has half a megabyte.
_FILES = 64

_log = structlog.get_logger("admission")
_lists = msgspec.json.Decoder(list[msgspec.Raw])


class Kept:
    """``load``, once, before anything else; ``start``, then ``stop``. ``folder`` None: nothing is kept."""

    def __init__(self, folder: Path | None, *, pause: float = PAUSE) -> None:
        self._folder, self._pause = folder, pause
        self._parts: list[dict[str, bytes]] = [{} for _ in range(_FILES)]
        self._there: set[int] = set()
        self._changed: set[int] = set()
        self._wake = asyncio.Event()
        #: One: where we are told to end it goes on, and what comes after it is newer.
        self._thread = ThreadPoolExecutor(1, "alerts")
        self._task: asyncio.Task[None] | None = None
        #: Why nothing can be written now; empty where it can.
        self.problem = ""

    def load(self) -> list[bytes]:
        """Alerts of before, as JSON, in no order; they are to be put again. Blocking. What cannot be read is set aside."""
        found: list[bytes] = []
        if self._folder is None:
            return found
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in sorted(self._folder.iterdir()):
                if path.name.startswith("."):
                    path.unlink(missing_ok=True)  # a draft, when we were killed
                elif path.suffix == ".json":
                    found += self._read(path)
        except OSError as error:
            self._failed(error)
        return found

    def _read(self, path: Path) -> list[bytes]:
        try:
            found = [bytes(each) for each in _lists.decode(path.read_bytes())]
            self._there.add(int(path.stem))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            _log.error("alerts on the disk cannot be read", file=path.name, reason=str(error)[:200])
            path.replace(path.with_suffix(".spoilt"))
            return []
        return found

    def put(self, identifier: str, packed: bytes) -> None:
        """Keep an alert, in place of what was kept under its id."""
        self._parts[self._touched(identifier)][identifier] = packed

    def remove(self, identifiers: Iterable[str]) -> None:
        """Keep these no longer."""
        for each in identifiers:
            self._parts[self._touched(each)].pop(each, None)

    def _touched(self, identifier: str) -> int:
        at = zlib.crc32(identifier.encode(errors="replace")) % _FILES
        self._changed.add(at)
        self._wake.set()
        return at

    def start(self) -> None:
        """Write from now on."""
        if self._folder is not None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what changed, and no more."""
        if self._task is not None:
            await tasks.end(self._task)
            await self._write()
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(self._pause)
            if not await self._write():
                self._wake.set()
                await asyncio.sleep(_AGAIN)

    async def _write(self) -> bool:
        """What changed, and is not only here for a moment. Whether that went well."""
        taken = {at: list(self._parts[at].values()) for at in self._changed}
        self._changed = set()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._replace, taken)
        except OSError as error:
            self._changed.update(taken)
            self._failed(error)
            return False
        except asyncio.CancelledError:
            self._changed.update(taken)
            raise
        self.problem = ""
        return True

    def _replace(self, parts: dict[int, list[bytes]]) -> None:
        """In a thread."""
        assert self._folder is not None
        gone = False
        for at, alerts in parts.items():
            path = self._folder / f"{at}.json"
            if alerts:
                durable.replace(path, b"[" + b",".join(alerts) + b"]", mode=0o600)
                self._there.add(at)
            elif at in self._there:
                path.unlink(missing_ok=True)
                self._there.discard(at)
                gone = True
        if gone:
            durable.sync_directory(self._folder)

    def _failed(self, error: OSError) -> None:
        problem = f"alerts cannot be kept on the disk ({error.strerror})"
        if problem != self.problem:
            _log.error("alerts cannot be kept on the disk", reason=error.strerror)
        self.problem = problem
