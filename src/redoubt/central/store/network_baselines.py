"""Network baselines: whom a deployment is known to talk to. What is learned comes in by ``activity_intake``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from redoubt.central.auth.reach import EVERYWHERE, Reach
from redoubt.central.store import Connection, Store
from redoubt.model.cluster import BaselinePeer, DeploymentNetworkBaseline, Entity


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """The other end. ``ingress``: it calls the deployment, on the deployment's own ``port``."""

    peer_type: str
    peer: str
    port: int
    protocol: str
    ingress: bool
    forbidden: bool = False


class NetworkBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment's. ``learned`` is when learning ends."""

    cluster: UUID
    deployment: str
    name: str
    namespace: str
    created: datetime
    learned: datetime
    locked: bool
    peers: tuple[Peer, ...] = ()


_FROM = (
    "FROM network_baselines b LEFT JOIN cluster_objects o"
    " ON o.cluster = b.cluster AND o.kind = 'deployment' AND o.id = b.deployment"
)


class NetworkBaselineStore(Store):
    """Tables ``network_baselines`` and ``network_baseline_peers``."""

    async def get(self, deployment: str, reach: Reach = EVERYWHERE) -> NetworkBaseline | None:
        """A deployment's, with its peers."""
        async with self._pool.acquire() as connection:
            return await found(connection, deployment, reach)

    async def locked(self, cluster: UUID) -> list[DeploymentNetworkBaseline]:
        """All that are locked in a cluster, as a Sensor is told."""
        rows = await self._pool.fetch(
            "SELECT b.deployment, p.peer_type, p.peer, p.port, p.protocol, p.ingress FROM network_baselines b"
            " LEFT JOIN network_baseline_peers p ON NOT p.forbidden"
            " AND (p.cluster, p.deployment) = (b.cluster, b.deployment)"
            " WHERE b.cluster = $1 AND b.locked ORDER BY b.deployment",
            cluster,
        )
        peers: dict[str, list[BaselinePeer]] = {}
        for row in rows:
            several = peers.setdefault(row["deployment"], [])
            if row["peer_type"] is not None:
                several.append(
                    BaselinePeer(
                        entity=Entity(type=row["peer_type"], id=row["peer"]),
                        port=row["port"],
                        protocol=row["protocol"],
                        ingress=row["ingress"],
                    )
                )
        return [
            DeploymentNetworkBaseline(deployment_id=each, locked=True, peers=tuple(several))
            for each, several in peers.items()
        ]


async def found(
    connection: Connection, deployment: str, reach: Reach = EVERYWHERE, *, lock: bool = False
) -> NetworkBaseline | None:
    """A deployment's, with its peers; ``lock``: nobody else changes it until the transaction ends.

    Of several clusters' the one of the deployment that was there first, as where the deployment itself is asked for.
    """
    values: list[object] = [deployment]
    condition = reach.condition(values, "b.cluster", "coalesce(o.namespace, '')")
    row = await connection.fetchrow(
        "SELECT b.cluster, b.deployment, coalesce(o.name, '') AS name, coalesce(o.namespace, '') AS namespace,"
        f" b.created, b.learned, b.locked {_FROM} WHERE b.deployment = $1 AND {condition}"
        f" ORDER BY o.added NULLS LAST, b.created LIMIT 1{' FOR UPDATE OF b' if lock else ''}",
        *values,
    )
    if row is None:
        return None
    peers = await connection.fetch(
        "SELECT peer_type, peer, port, protocol, ingress, forbidden FROM network_baseline_peers"
        " WHERE (cluster, deployment) = ($1, $2) ORDER BY 1, 2, 3, 4, 5",
        row["cluster"],
        row["deployment"],
    )
    return NetworkBaseline(**dict(row), peers=tuple(Peer(**dict(each)) for each in peers))


async def put(connection: Connection, of: NetworkBaseline, peers: Sequence[Peer]) -> None:
    """Allow or forbid peers."""
    await connection.executemany(
        "INSERT INTO network_baseline_peers (cluster, deployment, peer_type, peer, port, protocol, ingress, forbidden)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        " ON CONFLICT (cluster, deployment, peer_type, peer, port, protocol, ingress)"
        " DO UPDATE SET forbidden = excluded.forbidden",
        [
            (of.cluster, of.deployment, one.peer_type, one.peer, one.port, one.protocol, one.ingress, one.forbidden)
            for one in peers
        ],
    )  # fmt: skip


async def set_locked(connection: Connection, of: NetworkBaseline, *, locked: bool) -> None:
    """Lock or unlock."""
    await connection.execute(
        "UPDATE network_baselines SET locked = $3 WHERE (cluster, deployment) = ($1, $2)",
        of.cluster,
        of.deployment,
        locked,
    )
