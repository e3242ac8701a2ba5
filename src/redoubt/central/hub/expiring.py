"""Certificates of clusters that end soon: counted for ``/metrics``, and said in the log once a day."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry, Gauge

from redoubt import tasks
from redoubt.central.clusters.health import ends
from redoubt.central.store import Pool
from redoubt.central.store.hub import HubStore

#: So long before its end a certificate is spoken of. It was to be made anew when half of its life had passed.
SOON = timedelta(days=30)
#: Seconds between two looks, and until the same one is said again.
_LOOK, _AGAIN = 3600.0, timedelta(days=1)

_log = structlog.get_logger("certificates")


class Expiring:
    """A part of Central. Every replica counts, and says it."""

    def __init__(self, pool: Pool, registry: CollectorRegistry) -> None:
        self._pool = pool
        self._store = HubStore(pool)
        self._said: dict[tuple[str, str], datetime] = {}
        self._gauge = Gauge(
            "rox_central_cluster_certificates_ending",
            "Certificates of clusters' services that end within 30 days, or have ended",
            registry=registry,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="certificates-ending")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            await tasks.end(self._task)
            self._task = None

    async def look(self, now: datetime | None = None) -> list[tuple[str, str, datetime]]:
        """Clusters, services and ends; those that were not said within a day are."""
        now = now or datetime.now(UTC)
        names = {
            row["id"]: str(row["name"]) for row in await self._pool.fetch("SELECT id, name FROM clusters")
        }
        found = [
            (names[cluster], service, end)
            for cluster, heard in (await self._store.heard()).items()
            if cluster in names
            for service, end in ends(heard).items()
            if end <= now + SOON
        ]
        self._gauge.set(len(found))
        self._said = {key: moment for key, moment in self._said.items() if now - moment < _AGAIN}
        for name, service, end in found:
            if (name, service) not in self._said:
                self._said[name, service] = now
                _log.warning(
                    "a cluster's certificate has ended"
                    if end <= now
                    else "a cluster's certificate ends soon",
                    cluster=name,
                    service=service,
                    ends=end.isoformat(),
                )
        return found

    async def refresh(self) -> None:
        """Before the metrics are shown."""
        await self.look()

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 (it is tried again)
                _log.debug("certificates were not looked at", reason=type(error).__name__)
            await asyncio.sleep(_LOOK)
