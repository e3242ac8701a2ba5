"""Activity, as it is asked for: processes, listening ports, flows, and networks outside that have a name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_network
from uuid import UUID

import asyncpg
import msgspec

from redoubt.central.activity.blocks import Block
from redoubt.central.auth.reach import EVERYWHERE, Reach
from redoubt.central.refusals import AlreadyExists
from redoubt.central.search import Column, parse, where
from redoubt.central.store import Store, affected

#: Rows in an answer, at most: the latest.
MOST = 10_000

#: What processes can be searched by.
PROCESS_FIELDS: dict[str, Column] = {
    "cluster id": Column("p.cluster::text"),
    "cluster": Column("(SELECT name FROM clusters WHERE id = p.cluster)"),
    "namespace": Column("p.namespace"),
    "deployment id": Column("p.deployment"),
    "deployment": Column(
        "(SELECT o.name FROM cluster_objects o WHERE o.cluster = p.cluster AND o.kind = 'deployment' AND o.id = p.deployment)"
    ),
    "container name": Column("p.container"),
    "container id": Column("p.container_id"),
    "pod id": Column("p.pod"),
    "pod uid": Column("p.pod_uid"),
    "process id": Column("p.id"),
    "process name": Column("p.name"),
    "process path": Column("p.path"),
    "process arguments": Column("p.args"),
}


class SeenProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``processes``; ``usual``: its container's baseline knows it, or is still being learned."""

    id: str
    cluster: UUID
    deployment: str
    namespace: str
    container: str
    pod: str
    pod_uid: str
    image: str
    container_id: str
    name: str
    path: str
    args: str
    pid: int
    uid: int
    gid: int
    lineage: str
    first_seen: datetime
    last_seen: datetime
    times: int
    usual: bool


class SeenEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``listening_endpoints`` that is open."""

    cluster: UUID
    deployment: str
    namespace: str
    pod: str
    pod_uid: str
    container: str
    port: int
    protocol: str
    name: str
    path: str
    args: str
    first_seen: datetime
    last_seen: datetime


class SeenFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``network_flows``."""

    source_type: str
    source: str
    target_type: str
    target: str
    port: int
    protocol: str
    last_seen: datetime
    closed: datetime | None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment in the network graph."""

    id: str
    name: str
    namespace: str
    matched: bool


#: A program that is not in its container's baseline, where that is learned.
USUAL = (
    "EXISTS (SELECT FROM process_baseline_elements e WHERE (e.cluster, e.deployment, e.container, e.path)"
    " = (p.cluster, p.deployment, p.container, p.path) AND NOT e.buried)"
    " OR NOT EXISTS (SELECT FROM process_baselines b WHERE (b.cluster, b.deployment, b.container)"
    " = (p.cluster, p.deployment, p.container) AND b.learned <= now())"
)
_PROCESS = (
    "p.id, p.cluster, p.deployment, p.namespace, p.container, p.pod, p.pod_uid, p.image, p.container_id, p.name, p.path,"
    f" p.args, p.pid, p.uid, p.gid, p.lineage, p.first_seen, p.last_seen, p.times, ({USUAL}) AS usual"
)


class ActivityStore(Store):
    """Tables ``processes``, ``listening_endpoints`` and ``network_flows``, read; ``network_entities``."""

    async def processes(self, deployment: str, reach: Reach = EVERYWHERE) -> list[SeenProcess]:
        """A deployment's, the latest first."""
        values: list[object] = [deployment]
        condition = reach.condition(values, "p.cluster", "p.namespace")
        rows = await self._pool.fetch(
            f"SELECT {_PROCESS} FROM processes p WHERE deployment = $1 AND {condition}"  # noqa: S608
            f" ORDER BY last_seen DESC, key LIMIT {MOST}",
            *values,
        )
        return [SeenProcess(**dict(row)) for row in rows]

    async def count_processes(self, query: str, reach: Reach = EVERYWHERE) -> int:
        """How many a query finds. Raises ``InvalidArgument``."""
        values: list[object] = []
        conditions = [reach.condition(values, "p.cluster", "p.namespace")]
        conditions += where(parse(query), PROCESS_FIELDS, values)
        return int(
            await self._pool.fetchval(
                f"SELECT count(*) FROM processes p WHERE {' AND '.join(conditions)}",  # noqa: S608
                *values,
            )
        )

    async def endpoints(self, deployment: str, reach: Reach = EVERYWHERE) -> list[SeenEndpoint]:
        """Ports that a deployment listens on now."""
        values: list[object] = [deployment]
        condition = reach.condition(values, "l.cluster", "coalesce(o.namespace, '')")
        rows = await self._pool.fetch(
            "SELECT l.cluster, l.deployment, coalesce(o.namespace, '') AS namespace, l.pod, l.pod_uid, l.container, l.port,"  # noqa: S608
            " l.protocol, l.name, l.path, l.args, l.first_seen, l.last_seen FROM listening_endpoints l"
            " LEFT JOIN cluster_objects o ON o.cluster = l.cluster AND o.kind = 'deployment' AND o.id = l.deployment"
            f" WHERE l.deployment = $1 AND l.closed IS NULL AND {condition}"
            f" ORDER BY l.port, l.pod, l.container, l.path LIMIT {MOST}",
            *values,
        )
        return [SeenEndpoint(**dict(row)) for row in rows]

    async def flows(self, cluster: UUID, since: datetime, most: int) -> list[SeenFlow]:
        """Flows of a cluster that are open, or were seen since, the latest first."""
        rows = await self._pool.fetch(
            "SELECT source_type, source, target_type, target, port, protocol, last_seen, closed FROM network_flows"
            " WHERE cluster = $1 AND (closed IS NULL OR last_seen >= $2) ORDER BY last_seen DESC LIMIT $3",
            cluster,
            since,
            most,
        )
        # There may be many, and others want the loop.
        return await asyncio.to_thread(lambda: [SeenFlow(**dict(row)) for row in rows])

    async def external_flows(
        self, cluster: UUID, deployment: str, since: datetime, most: int
    ) -> list[SeenFlow]:
        """A deployment's flows with what is outside, open or seen since, the latest first."""
        rows = await self._pool.fetch(
            "SELECT source_type, source, target_type, target, port, protocol, last_seen, closed FROM network_flows"
            " WHERE cluster = $1 AND (closed IS NULL OR last_seen >= $3)"
            " AND ((source_type = 'DEPLOYMENT' AND source = $2 AND target_type IN ('INTERNET', 'EXTERNAL_SOURCE'))"
            " OR (target_type = 'DEPLOYMENT' AND target = $2 AND source_type IN ('INTERNET', 'EXTERNAL_SOURCE')))"
            " ORDER BY last_seen DESC LIMIT $4",
            cluster,
            deployment,
            since,
            most,
        )
        return [SeenFlow(**dict(row)) for row in rows]

    async def ports(self, cluster: UUID) -> list[tuple[str, int, str]]:
        """Deployment, port and protocol of all that is listened on in a cluster."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT deployment, port, protocol FROM listening_endpoints"
            " WHERE cluster = $1 AND closed IS NULL ORDER BY 1, 2, 3",
            cluster,
        )
        return [tuple(row) for row in rows]

    async def nodes(
        self, cluster: UUID, condition: str, values: Sequence[object], most: int, *, scope: str = "TRUE"
    ) -> list[Node]:
        """Deployments of a cluster within ``scope``; ``condition`` says which were asked for.

        Both are conditions on ``o`` and its cluster ``c``, made of constants.
        """
        given = [*values, cluster, most]
        rows = await self._pool.fetch(
            f"SELECT o.id, o.name, o.namespace, ({condition}) AS matched FROM cluster_objects o"  # noqa: S608
            " JOIN clusters c ON c.id = o.cluster"
            f" WHERE o.cluster = ${len(given) - 1} AND o.kind = 'deployment' AND ({scope})"
            f" ORDER BY o.namespace, o.name, o.id LIMIT ${len(given)}",
            *given,
        )
        return [Node(**dict(row)) for row in rows]

    async def blocks(self, cluster: UUID | None) -> list[Block]:
        """Networks that have a name, by it: those of a cluster and of all; every one where none is named."""
        rows = await self._pool.fetch(
            "SELECT id, name, block::text, coalesce(cluster::text, '') FROM network_entities"
            " WHERE $1::uuid IS NULL OR cluster IS NULL OR cluster = $1 ORDER BY name, id",
            cluster,
        )
        return [Block(*row) for row in rows]

    async def block(self, identifier: str) -> Block | None:
        """One, by its identifier."""
        row = await self._pool.fetchrow(
            "SELECT id, name, block::text, coalesce(cluster::text, '') FROM network_entities WHERE id = $1",
            identifier,
        )
        return None if row is None else Block(*row)

    async def add_block(self, block: Block) -> None:
        """Add one. Raises ``AlreadyExists`` where the cluster has the network already."""
        try:
            await self._pool.execute(
                "INSERT INTO network_entities (id, cluster, name, block) VALUES ($1, $2, $3, $4)",
                block.id,
                UUID(block.cluster) if block.cluster else None,
                block.name,
                ip_network(block.block),
            )
        except asyncpg.UniqueViolationError:
            raise AlreadyExists(f"there is a name for {block.block} already") from None

    async def rename_block(self, identifier: str, name: str) -> bool:
        """Call one otherwise; False where there is none."""
        tag = await self._pool.execute(
            "UPDATE network_entities SET name = $2, revision = nextval('network_entity_revisions') WHERE id = $1",
            identifier,
            name,
        )
        return affected(tag) == 1

    async def remove_block(self, identifier: str) -> bool:
        """Forget one; False where there is none."""
        return (
            affected(await self._pool.execute("DELETE FROM network_entities WHERE id = $1", identifier)) == 1
        )
