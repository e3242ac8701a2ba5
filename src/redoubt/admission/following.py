"""Settings followed: from the Sensor as they change, else from the ConfigMap, else from the disk. The newest counts.

Whatever comes is compiled and written to the disk before it takes the place of what there is: a restart with nobody to ask
finds it there. What cannot be read changes nothing, wherever it is from.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import structlog

from redoubt import tasks
from redoubt.admission import rules
from redoubt.admission.rules import Rules
from redoubt.definitions import durable
from redoubt.errors import LimitExceeded, RedoubtError, UnreadableInput
from redoubt.model.cluster import ADMISSION_CONFIG_KEY

#: Bytes of settings as JSON. A ConfigMap holds 1 MB, packed.
LARGEST = 64 << 20
#: Seconds: how often the mounted ConfigMap is looked at, and the API server is asked for it while the Sensor is away.
MOUNTED, ASKED = 5.0, 30.0
_FIRST, _LONGEST = 0.5, 30.0
_FILE = "settings.json"

_log = structlog.get_logger("admission")


class Teller(Protocol):
    """The Sensor, as far as settings go."""

    @property
    def connected(self) -> bool:
        """Whether it is there now."""

    def changes(self, revision: int) -> AsyncIterator[bytes]:
        """Settings as JSON: now, if they are not of that revision, and each time they change. Raises ``RedoubtError``."""


class ConfigMaps(Protocol):
    """The API server, as far as settings go."""

    async def settings(self) -> bytes | None:
        """The ConfigMap's, packed; None where there is none. Raises ``RedoubtError``."""


class Follower:
    """Keeps ``use`` told of the newest settings. ``start``, then ``stop``."""

    def __init__(
        self,
        use: Callable[[Rules], None],
        data: Path,
        *,
        teller: Teller | None = None,
        config_maps: ConfigMaps | None = None,
        mounted: Path | None = None,
    ) -> None:
        self._use = use
        self._file = data / _FILE
        self._teller, self._config_maps = teller, config_maps
        self._mounted = None if mounted is None else mounted / ADMISSION_CONFIG_KEY
        self._seen = b""
        self._bad: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._lock = asyncio.Lock()
        self.rules: Rules | None = None

    @property
    def connected(self) -> bool:
        """Whether the Sensor is there now."""
        return self._teller is not None and self._teller.connected

    async def start(self) -> None:
        """What is on the disk and in the mounted ConfigMap counts at once; what else there is follows."""
        with suppress(FileNotFoundError):
            await self._take("the disk", await asyncio.to_thread(_limited, self._file), keep=False)
        await self._look_at_mounted()
        if self._teller is not None:
            self._tasks.append(asyncio.create_task(self._listen(self._teller)))
        if self._mounted is not None:
            self._tasks.append(asyncio.create_task(self._again(self._look_at_mounted, MOUNTED)))
        if self._config_maps is not None:
            self._tasks.append(asyncio.create_task(self._again(self._ask, ASKED)))

    async def stop(self) -> None:
        """Follow no more."""
        await tasks.end(*self._tasks)

    async def _listen(self, teller: Teller) -> None:
        wait = _FIRST
        while True:
            began = time.monotonic()
            try:
                async for content in teller.changes(self.rules.revision if self.rules else 0):
                    await self._take("the Sensor", content)
                why = "it ended the call"
            except RedoubtError as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 (whatever it was, the next call may do)
                why = f"it failed ({type(error).__name__})"
                _log.exception("the Sensor could not be listened to")
            if time.monotonic() - began > _LONGEST:
                wait = _FIRST
            if wait == _FIRST:
                _log.info("the Sensor is away; what it said last goes on to count", why=why)
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311  # spreads load
            wait = min(2 * wait, _LONGEST)

    async def _again(self, look: Callable[[], Awaitable[object]], seconds: float) -> None:
        failing = ""
        while True:
            try:
                await look()
                failing = ""
            except Exception as error:  # noqa: BLE001 (whatever it was, the next look may do)
                if type(error).__name__ != failing:
                    _log.exception("settings could not be looked at")
                failing = type(error).__name__
            await asyncio.sleep(seconds)

    async def _look_at_mounted(self) -> None:
        if self._mounted is None:
            return
        try:
            packed = await asyncio.to_thread(_limited, self._mounted)
        except (OSError, RedoubtError):
            return  # it need not be there
        await self._unpack("the mounted ConfigMap", packed)

    async def _ask(self) -> None:
        if self._config_maps is None or (self.connected and self.rules is not None):
            return
        try:
            packed = await self._config_maps.settings()
        except RedoubtError as error:
            self._complain("the ConfigMap", error)
            return
        if packed is not None:
            await self._unpack("the ConfigMap", packed)

    async def _unpack(self, where: str, packed: bytes) -> None:
        if packed == self._seen:
            return
        self._seen = packed
        try:
            content = await asyncio.to_thread(_unpacked, packed)
        except UnreadableInput as error:
            self._complain(where, error)
            return
        await self._take(where, content)

    async def _take(self, where: str, content: bytes, *, keep: bool = True) -> None:
        """Settings that came from somewhere, if they are newer than what there is."""
        async with self._lock:
            try:
                made = await asyncio.to_thread(rules.read, content)
            except UnreadableInput as error:
                self._complain(where, error)
                return
            if self.rules is not None and made.revision <= self.rules.revision:
                return
            if keep:
                await tasks.to_the_end(asyncio.to_thread(self._write, content))
            self.rules = made
            self._bad.pop(where, None)
            self._use(made)
            _log.info(
                "settings",
                revision=made.revision,
                of=where,
                policies=len(made.settings.policies),
                refused=made.refused or None,
                unreadable=made.unreadable or None,
            )

    def _write(self, content: bytes) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            durable.replace(self._file, content)
        except OSError as error:
            _log.warning("settings cannot be kept on the disk", why=error.strerror or str(error))

    def _complain(self, where: str, error: Exception) -> None:
        """Once for each thing."""
        if self._bad.get(where) != str(error):
            _log.warning("settings not taken; those before go on to count", of=where, why=str(error))
        self._bad[where] = str(error)


def _limited(path: Path) -> bytes:
    with path.open("rb") as stream:
        found = stream.read(LARGEST + 1)
    if len(found) > LARGEST:
        raise LimitExceeded(f"{os.fspath(path)}: larger than settings can be")
    return found


def _unpacked(packed: bytes) -> bytes:
    """Raises ``UnreadableInput``."""
    try:
        unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
        found = unpacking.decompress(packed, LARGEST)
    except zlib.error:
        raise UnreadableInput("not packed by gzip") from None
    if not unpacking.eof:
        raise UnreadableInput("broken off, or larger than settings can be")
    return found


def packed(content: bytes) -> bytes:
    """Settings as JSON, as the ConfigMap has them."""
    return gzip.compress(content, 6, mtime=0)
