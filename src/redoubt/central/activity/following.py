"""What becomes of alerts, activity and baselines when a cluster's objects come and go: a ``Follower`` of the hub."""

from __future__ import annotations

from collections.abc import Sequence

from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.store import Connection, activity_intake, alert_intake, network_policies
from redoubt.model.workload import Part


class ActivityFollower:
    """Lets go of what was known of deployments and pods that are gone. What happened in them stays as alerts."""

    async def changed(
        self, connection: Connection, cluster: ClusterRef, kind: str, objects: Sequence[Part]
    ) -> None:
        """What network policies come to may be otherwise."""
        if kind in network_policies.KINDS_THAT_COUNT:
            await network_policies.changed(connection, cluster.id)

    async def removed(
        self, connection: Connection, cluster: ClusterRef, kind: str, ids: Sequence[str]
    ) -> None:
        """Deployments and pods, and what network policies come to."""
        if kind in network_policies.KINDS_THAT_COUNT:
            await network_policies.changed(connection, cluster.id)
        if kind == "deployment":
            await alert_intake.deployments_gone(connection, cluster.id, ids)
            await activity_intake.deployments_gone(connection, cluster.id, ids)
        elif kind == "pod":
            await activity_intake.pods_gone(connection, cluster.id, ids)
