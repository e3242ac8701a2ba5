"""A cluster that comes with a registration secret: noted, added where it is new, and given certificates of its own.

The secret's certificate names no cluster, and may be in many hands: it is good for nothing else, and for no cluster that was
connected before. Two that come at once with the last place of a secret are not both let in.
"""

from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg
import msgspec
import structlog

from redoubt.central.clusters.records import Cluster
from redoubt.central.config import Settings
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.refusals import (
    Exhausted,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
)
from redoubt.central.store import Connection, Pool
from redoubt.central.store import registrations as store
from redoubt.model.cluster import Identification

_log = structlog.get_logger("hub")


def new_record(identifier: UUID, name: str, settings: Settings, came_with: str) -> Cluster:
    """The record of a cluster that is added by its Sensor."""
    return Cluster(
        id=str(identifier),
        name=name,
        main_image=settings.main_image,
        collector_image=settings.collector_image,
        managed_by="MANAGER_TYPE_HELM_CHART",
        init_bundle_id=came_with,
    )


async def register(pool: Pool, settings: Settings, crs: str, name: str, said: Identification) -> ClusterRef:
    """The cluster that may have certificates. Raises ``PermissionDenied``, ``Exhausted``, ``FailedPrecondition``, ``InvalidArgument``."""
    try:
        secret = UUID(crs)
    except ValueError:
        raise PermissionDenied("the certificate is of no registration secret") from None
    if not said.system_namespace_id:
        raise InvalidArgument("a cluster that registers says the UID of its kube-system namespace")
    try:
        async with pool.acquire() as connection, connection.transaction():
            return await _register(connection, settings, secret, name, said.system_namespace_id)
    except asyncpg.UniqueViolationError:
        raise FailedPrecondition(f"a cluster {name!r} has just been added; try again") from None


async def _register(
    connection: Connection, settings: Settings, secret: UUID, name: str, system: str
) -> ClusterRef:
    held = await store.hold(connection, secret)
    if held is None:
        raise PermissionDenied("the cluster registration secret was revoked, is used up, or has ended")
    cluster = await store.named(connection, name)
    if cluster is not None and cluster.connected:
        raise PermissionDenied(
            f"the cluster {name!r} was connected with certificates of its own before; a registration secret is for new ones"
        )
    before = await store.of(connection, secret, name, cluster.id if cluster is not None else None)
    pending = [each for each in before if cluster is not None and each.cluster == cluster.id]
    if any(each.system != system for each in pending):
        raise FailedPrecondition(
            f"another cluster (its kube-system namespace has another UID) registers as {name!r}"
        )
    if cluster is not None and any(each.crs == secret for each in pending):
        # It was killed before it had what it was given.
        return ClusterRef(cluster.id, name)
    if held.max_registrations and await store.count(connection, secret) >= held.max_registrations:
        raise Exhausted(f"{held.max_registrations} clusters have come with this secret, and no more may")
    if held.max_registrations and any(each.crs == secret for each in before):
        raise PermissionDenied(f"a cluster {name!r} came with this secret before")
    identifier = uuid4() if cluster is None else cluster.id
    if cluster is None:
        record = new_record(identifier, name, settings, str(secret))
        await connection.execute(
            "INSERT INTO clusters (id, name, record) VALUES ($1, $2, $3)",
            identifier,
            name,
            msgspec.json.encode(record).decode(),
        )
    await store.initiate(connection, secret, name, identifier, system)
    _log.info("a cluster registers", cluster=name, secret=held.name, new=cluster is None)
    return ClusterRef(identifier, name)
