"""What keeps risks up to date, put together and given to a Central."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog

from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.risk.keeping import Keeping
from redoubt.central.services import Services
from redoubt.central.store import Connection, risk
from redoubt.model import IndexReport, VulnerabilityReport
from redoubt.model.workload import Part
from redoubt.postgres import pool as pools

_log = structlog.get_logger("risk")


class RiskFollower:
    """Has deployments looked at that are new or otherwise."""

    async def changed(
        self, connection: Connection, cluster: ClusterRef, kind: str, objects: Sequence[Part]
    ) -> None:
        """Deployments."""
        if kind == "deployment":
            await risk.due(connection, cluster.id, [getattr(each, "id", "") for each in objects])

    async def removed(
        self, connection: Connection, cluster: ClusterRef, kind: str, ids: Sequence[str]
    ) -> None:
        """Deployments."""
        if kind == "deployment":
            await risk.gone(connection, cluster.id, ids)


def equip(services: Services) -> None:
    """Have risks kept up to date."""
    if services.hub is None:
        return
    keeping = Keeping(services)
    services.parts.append(keeping)
    services.hub.intake.objects.followers.append(RiskFollower())
    under_way: set[asyncio.Task[None]] = set()

    async def scanned(index: IndexReport, report: VulnerabilityReport) -> None:
        await keeping.images_changed([index.image.digest])

    async def again(digests: list[str]) -> None:
        try:
            await pools.again(partial(keeping.images_changed, digests))
        except Exception as error:  # noqa: BLE001 (nobody waits for it; all are due anyhow some time)
            _log.warning("risks of changed images are not looked at yet", reason=type(error).__name__)

    def followed(digests: list[str]) -> None:
        task = asyncio.create_task(again(digests), name="risk: images changed")
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    if services.images is not None:
        services.images.listeners.append(scanned)
    if services.fleet is not None:
        services.fleet.listeners.append(followed)
