"""What becomes of alerts, activity and baselines when a cluster's objects come and go: a ``Follower`` of the hub."""

from __future__ import annotations

from collections.abc import Sequence

from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.store import Connection, activity_intake, alert_intake
from redoubt.model.workload import Part


class ActivityFollower:
    """Lets go of what was known of deployments and pods that are gone. What happened in them stays as alerts."""

    async def changed(
        self, connection: Connection, cluster: ClusterRef, kind: str, objects: Sequence[Part]
    ) -> None:
        """Nothing hangs on how an object is."""

    async def removed(
        self, connection: Connection, cluster: ClusterRef, kind: str, ids: Sequence[str]
    ) -> None:
        """Deployments and pods."""
        if kind == "deployment":
            await alert_intake.deployments_gone(connection, cluster.id, ids)
            await activity_intake.deployments_gone(connection, cluster.id, ids)
        elif kind == "pod":
            await activity_intake.pods_gone(connection, cluster.id, ids)
