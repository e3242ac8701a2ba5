"""The Scanner's database: index reports under their image's digest, layers' reports under theirs.

What is here can all be made again; nothing in it is known anywhere else. Rows that nobody used for a month go.
"""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import CancelledError
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import zstandard

from redoubt.indexer.report import LayerReport
from redoubt.model import IndexReport

if TYPE_CHECKING:
    import asyncpg

    Pool = asyncpg.Pool[asyncpg.Record]

#: What is larger than this is not kept, in bytes, compressed. PostgreSQL takes 1 GB.
_LARGEST = 256 << 20
#: What a kept report may be, decompressed.
_LARGEST_PLAIN = 1 << 30
#: How long a report stays that nobody asks for.
KEPT = timedelta(days=30)
#: Seconds that a layer's report is waited for, from a thread.
_PATIENCE = 30.0

_reports = msgspec.msgpack.Decoder(IndexReport)
_layers = msgspec.msgpack.Decoder(LayerReport)


class IndexStore:
    """Index reports, by digest and the fingerprint (``indexer.cache.fingerprint``) of what looked."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, digest: str, mark: str) -> IndexReport | None:
        """The report, or None where there is none, or none that can be read."""
        data = await self._pool.fetchval(
            "UPDATE index_reports SET used = now() WHERE digest = $1 AND mark = $2 RETURNING report",
            digest,
            mark,
        )
        if data is None:
            return None
        try:
            return _reports.decode(_unpacked(data))
        except (msgspec.MsgspecError, zstandard.ZstdError):
            return None

    async def has(self, digest: str, mark: str) -> bool:
        """Whether there is a report."""
        found = await self._pool.fetchval(
            "SELECT 1 FROM index_reports WHERE digest = $1 AND mark = $2", digest, mark
        )
        return found is not None

    async def put(self, digest: str, mark: str, report: IndexReport) -> None:
        """Keep a report. A second one of the same key says the same."""
        data = _packed(report)
        if len(data) <= _LARGEST:
            await self._pool.execute(
                "INSERT INTO index_reports (digest, mark, report) VALUES ($1, $2, $3)"
                " ON CONFLICT (digest, mark) DO UPDATE SET used = now(), report = excluded.report",
                digest,
                mark,
                data,
            )

    async def drop(self, digest: str) -> None:
        """Forget an image."""
        await self._pool.execute("DELETE FROM index_reports WHERE digest = $1", digest)

    async def sweep(self) -> int:
        """Remove what nobody used for a month; say how many rows."""
        removed = 0
        for table in ("index_reports", "layer_reports"):
            done = await self._pool.execute(f"DELETE FROM {table} WHERE used < now() - $1::interval", KEPT)  # noqa: S608
            removed += int(done.rpartition(" ")[2])
        return removed


class LayerStore:
    """Layers' reports, as ``indexer.cache.LayerCache`` keeps them on a disk. Asked from indexing threads.

    A database that does not answer is the same as one that has nothing.
    """

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop

    def get(self, digest: str, mark: str, request: str = "") -> LayerReport | None:
        """As ``LayerCache.get``."""
        data = self._ask(
            "UPDATE layer_reports SET used = now() WHERE key = $1 RETURNING report",
            _key(digest, mark, request),
        )
        if not isinstance(data, bytes):
            return None
        try:
            return _layers.decode(_unpacked(data))
        except (msgspec.MsgspecError, zstandard.ZstdError):
            return None

    def has(self, digest: str, mark: str) -> bool:
        """As ``LayerCache.has``."""
        return self._ask("SELECT 1 FROM layer_reports WHERE key = $1", _key(digest, mark, "")) is not None

    def put(self, digest: str, mark: str, report: LayerReport, request: str = "") -> None:
        """As ``LayerCache.put``."""
        data = _packed(report)
        if len(data) <= _LARGEST:
            self._ask(
                "INSERT INTO layer_reports (key, report) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING"
                " RETURNING 1",
                _key(digest, mark, request),
                data,
            )

    def prune(self) -> None:
        """Nothing: ``IndexStore.sweep`` does that."""

    def _ask(self, query: str, *values: object) -> object:
        waiting = asyncio.run_coroutine_threadsafe(self._pool.fetchval(query, *values), self._loop)
        try:
            return waiting.result(_PATIENCE)
        except (OSError, TimeoutError, CancelledError):
            waiting.cancel()
            return None
        except Exception as error:
            import asyncpg

            if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
                return None
            raise


def _key(digest: str, mark: str, request: str) -> bytes:
    return hashlib.sha256(f"{digest}\n{mark}\n{request}".encode()).digest()


def _packed(report: IndexReport | LayerReport) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(report))


def _unpacked(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=_LARGEST_PLAIN)
