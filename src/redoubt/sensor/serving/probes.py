"""Probes for kernels, from Central's support packages: asked for once, kept in memory for the other nodes of that kernel."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redoubt import egress
from redoubt.errors import NetworkError
from redoubt.wire.channel import split
from redoubt.wire.failures import NotFound, Unavailable
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, namespace

#: Bytes of a probe, packed, and of all that are kept.
LARGEST = 32 << 20
_KEPT = 128 << 20
#: Seconds for which it is believed that there is none.
_NONE = 300.0
_MOST_MISSING = 256
_WORD = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+~-]{0,150}")

T = TypeVar("T")

#: Gives a file below Central's ``/kernel-objects/``, by its path there. Raises ``NotFound``, or as ``egress``.
Fetch = Callable[[str], Awaitable[bytes]]


class Probes:
    """What was fetched."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._kept: dict[str, bytes] = {}
        self._missing: dict[str, float] = {}
        self._lock = asyncio.Lock()

    async def get(self, kernel: str, version: str) -> bytes:
        """A probe, packed. Raises ``NotFound`` where there is none, ``Unavailable`` where Central is away."""
        if not _WORD.fullmatch(kernel) or not _WORD.fullmatch(version):
            raise NotFound("no kernel and no version is called that")
        path = f"{version}/collector-ebpf-{kernel}.o.gz"
        async with self._lock:
            if (kept := self._kept.pop(path, None)) is None:
                if self._missing.get(path, 0.0) > time.monotonic():
                    raise NotFound(f"no probe {path}")
                kept = await self._fetched(path)
            self._kept[path] = kept  # the one that was asked for last is the youngest
            while sum(map(len, self._kept.values())) > _KEPT and len(self._kept) > 1:
                del self._kept[next(iter(self._kept))]
            return kept

    async def _fetched(self, path: str) -> bytes:
        try:
            return await self._fetch(path)
        except NotFound:
            while len(self._missing) >= _MOST_MISSING:
                del self._missing[next(iter(self._missing))]
            self._missing[path] = time.monotonic() + _NONE
            raise
        except NetworkError as error:
            raise Unavailable(f"Central cannot be asked for a probe: {error}") from None


def from_central(address: str, files: Files) -> Fetch:
    """A way to Central's ``/kernel-objects/``, with the Sensor's ``files`` as its identity."""
    host, port = split(address)
    base = f"https://{f'[{host}]' if ':' in host else host}:{port}/kernel-objects/"

    def asked(path: str) -> bytes:
        with egress.client(
            policy=egress.Policy(offline=True, allowed_hosts=frozenset({host})),
            ca_file=files.trusted,
            only_ca=True,
            client_certificate=(files.certificate, files.key),
            server_name=Service.CENTRAL.hosts(namespace(files))[-1],
        ) as client:
            return client.get_bytes(base + path, LARGEST)

    async def fetch(path: str) -> bytes:
        try:
            return await asyncio.to_thread(asked, path)
        except egress.Missing:
            raise NotFound(f"no probe {path}") from None

    return fetch
