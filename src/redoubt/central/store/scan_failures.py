"""Images whose last scan failed, and why: what is shown where nothing else is known of them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from redoubt.central.store import Store

_LONGEST = 1000


class ScanFailure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``cluster_id`` is empty where Central tried it. ``image_name`` has the digest where that was known."""

    image_name: str
    cluster_id: str
    problem: str
    failed: datetime


class FailureStore(Store):
    """Table ``scan_failures``."""

    async def failed(self, reference: str, cluster: str, digest: str, problem: str) -> None:
        """Note that it failed."""
        await self._pool.execute(
            "INSERT INTO scan_failures (reference, cluster, digest, problem) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (reference, cluster) DO UPDATE SET digest = excluded.digest, problem = excluded.problem, failed = now()",
            reference,
            cluster,
            digest,
            problem.replace("\x00", "")[:_LONGEST],
        )

    async def over(self, reference: str) -> None:
        """It was scanned, by whomever."""
        await self._pool.execute("DELETE FROM scan_failures WHERE reference = $1", reference)

    async def of(self, digest: str) -> list[ScanFailure]:
        """Of a digest, the last first."""
        rows = await self._pool.fetch(
            "SELECT reference AS image_name, cluster AS cluster_id, problem, failed FROM scan_failures"
            " WHERE digest = $1 ORDER BY failed DESC LIMIT 100",
            digest,
        )
        return [ScanFailure(**dict(row)) for row in rows]
