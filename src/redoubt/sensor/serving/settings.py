"""What admission controllers decide by: put together, numbered, kept on disk and in the ConfigMap ``admission-control``.

The number rises with each change, also over restarts and where this Sensor's disk was lost: then it is the time, and what the
ConfigMap says. Admission controllers take the higher one, wherever they have it from; one that has a higher one than ours, of a
Sensor whose clock was ahead, is outbid.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog

from redoubt.definitions import durable
from redoubt.errors import RedoubtError
from redoubt.jsonfields import text
from redoubt.kubeapi import MERGE, Api, ApiFailure
from redoubt.model.cluster import ADMISSION_CONFIG_KEY, ADMISSION_CONFIG_MAP, AdmissionSettings

_log = structlog.get_logger("admissions")
#: Seconds between two changes that are told: a namespace after the other may be labelled.
_PAUSE = 0.2
_AGAIN = 30.0
#: No number that is counted up ever gets there.
_HIGHEST = 1 << 62
#: A ConfigMap has at most 1 MiB of data; unpacked it is as much as admission controllers read.
_LARGEST, _UNPACKED = 1_000_000, 64 << 20

#: All but the revision.
Made = Callable[[], AdmissionSettings | None]


class AdmissionKeeper:
    """``made`` gives the settings as they are now, None where there are none yet. ``touch`` when they may have changed."""

    def __init__(self, api: Api, namespace: str, path: Path, made: Made) -> None:
        self._api = api
        self._namespace = namespace
        self._path = path
        self._made = made
        self._wake = asyncio.Event()
        self._told = asyncio.Condition()
        self._least = 0
        #: What is in force; None before Central has said anything, ever.
        self.current: AdmissionSettings | None = None
        #: The same as JSON.
        self.content = b""
        self.problem = ""

    def load(self) -> None:
        """What was in force before; blocking."""
        try:
            self._take(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _log.warning("admission settings on disk cannot be read", reason=str(error)[:200])

    def _take(self, content: bytes) -> None:
        self.current = msgspec.json.decode(content, type=AdmissionSettings, strict=False)
        self.content = content

    def touch(self) -> None:
        """They may be others now."""
        self._wake.set()

    def outbid(self, revision: int) -> None:
        """Somebody has settings of this revision: ours are to have a higher one."""
        last = 0 if self.current is None else self.current.revision
        if max(last, self._least) < revision < _HIGHEST:
            _log.warning("an admission controller has later settings than ours: ours are numbered anew")
            self._least = revision
            self._wake.set()

    async def changed(self, said: int) -> None:
        """Return when there are others than those of a revision."""
        async with self._told:
            await self._told.wait_for(lambda: self.current is not None and self.current.revision != said)

    async def run(self) -> None:
        """Keep them current, for ever."""
        await self._ask_map()
        unwritten = self.current is not None
        while True:
            wait = _AGAIN if unwritten else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)
            self._wake.clear()
            unwritten = await self._renew() or unwritten
            if unwritten:
                unwritten = not await self._write_map()
            await asyncio.sleep(_PAUSE)

    async def _renew(self) -> bool:
        now = self._made()
        if now is None:
            return False
        before = self.current
        same = before is not None and msgspec.structs.replace(now, revision=before.revision) == before
        if same and before is not None and before.revision >= self._least:
            return False
        last = max(self._least, 0 if before is None else before.revision)
        # Milliseconds: a number of this size is higher than all that a Sensor with another disk has counted.
        now = msgspec.structs.replace(now, revision=max(last + 1, time.time_ns() // 1_000_000))
        content = msgspec.json.encode(now)
        try:
            await asyncio.to_thread(durable.replace, self._path, content, mode=0o600)
        except OSError as error:
            _log.error("admission settings cannot be kept on disk", reason=error.strerror)
        self._take(content)
        async with self._told:
            self._told.notify_all()
        return True

    async def _ask_map(self) -> None:
        """Which revision the ConfigMap has, so that ours is higher."""
        try:
            given: Any = msgspec.json.decode(await self._api.get(self._where()))
            packed = base64.b64decode(text(given, "binaryData", ADMISSION_CONFIG_KEY))
            content = await asyncio.to_thread(_unpacked, packed)
            self._least = msgspec.json.decode(content, type=AdmissionSettings).revision
        except (RedoubtError, ValueError, msgspec.DecodeError, RecursionError, zlib.error):
            return  # there is none, or none that can be read

    async def _write_map(self) -> bool:
        packed = await asyncio.to_thread(gzip.compress, self.content, 6, mtime=0)
        current = self.current
        assert current is not None
        if len(packed) > _LARGEST:
            self.problem = f"admission settings have {len(packed)} bytes, more than a ConfigMap may have"
            return True
        given = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": ADMISSION_CONFIG_MAP, "namespace": self._namespace},
            "binaryData": {ADMISSION_CONFIG_KEY: base64.b64encode(packed).decode()},
            "data": {
                "last-update-time": datetime.now(UTC).isoformat(),
                "cache-version": str(current.revision),
                "central-endpoint": current.central,
                "cluster-id": current.config.cluster_id,
            },
        }
        try:
            try:
                await self._api.change("PATCH", self._where(), given, MERGE)
            except ApiFailure as failure:
                if failure.code != 404:
                    raise
                await self._api.change("POST", f"/api/v1/namespaces/{self._namespace}/configmaps", given)
        except RedoubtError as error:
            said = f"the ConfigMap {ADMISSION_CONFIG_MAP} cannot be written: {error}"
            if said != self.problem:
                _log.warning("admission settings are not in the ConfigMap", reason=str(error)[:300])
            self.problem = said
            return False
        self.problem = ""
        return True

    def _where(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/configmaps/{ADMISSION_CONFIG_MAP}"


def _unpacked(packed: bytes) -> bytes:
    """Of gzip. Raises ``zlib.error``. What is larger than settings can be is cut off: then it cannot be read."""
    return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(packed, _UNPACKED)
