"""SBOMs that are sent: read in a child process, and matched. What a stranger wrote is never read in Central itself."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import msgspec

from redoubt import children
from redoubt.definitions.durable import writing
from redoubt.errors import LimitExceeded
from redoubt.indexer.sources.sbom import index_sbom
from redoubt.model import IndexReport

#: Bytes of an SBOM: what roxctl sends at most.
LARGEST = 256 << 20
#: SBOMs that are read at once.
_SIMULTANEOUS = 2
_LEFT = "sbom-"


class ToRead(msgspec.Struct, frozen=True):
    """The SBOM's file, and the one that its report shall be in."""

    file: str
    out: str


class Read(msgspec.Struct, frozen=True):
    """How many packages there are."""

    packages: int


def read(asked: ToRead) -> Read:
    """In the child: the SBOM becomes an index report. Raises ``UnreadableInput``."""
    report = index_sbom(Path(asked.file).read_bytes(), "", "the SBOM")
    Path(asked.out).write_bytes(msgspec.msgpack.encode(report))
    return Read(len(report.packages))


class Sboms:
    """Reads SBOMs; ``folder`` holds them meanwhile, and nothing else that begins as they do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._slots = asyncio.Semaphore(_SIMULTANEOUS)

    async def start(self) -> None:
        """Sweep what an earlier process left."""
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob(f"{_LEFT}*"):
            left.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Nothing works in the background."""

    async def index(self, chunks: AsyncIterator[bytes]) -> IndexReport:
        """The index report that an SBOM amounts to. Raises ``UnreadableInput``, ``LimitExceeded`` and ``AccessDenied``."""
        file = self._folder / f"{_LEFT}{secrets.token_hex(8)}"
        out = file.with_suffix(".report")
        async with self._slots:
            try:
                await _received(chunks, file)
                await children.run("redoubt.central.images.sboms:read", ToRead(str(file), str(out)), Read)
                return await asyncio.to_thread(_decoded, out)
            finally:
                for each in (file, out):
                    with suppress(OSError):
                        each.unlink(missing_ok=True)


async def _received(chunks: AsyncIterator[bytes], file: Path) -> None:
    size = 0
    with writing(file), file.open("xb") as sink:
        async for chunk in chunks:
            size += len(chunk)
            if size > LARGEST:
                raise LimitExceeded(f"the SBOM is larger than {LARGEST >> 20} MiB")
            await asyncio.to_thread(sink.write, chunk)


def _decoded(file: Path) -> IndexReport:
    return msgspec.msgpack.decode(file.read_bytes(), type=IndexReport)
