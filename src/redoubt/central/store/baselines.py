"""Baselines: what programs a container is known to run. What is learned comes in by ``activity_intake``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from redoubt.central.auth.reach import EVERYWHERE, Reach
from redoubt.central.search import Asked, Column, parse, where
from redoubt.central.store import Connection, Store, affected
from redoubt.central.store.activity import USUAL
from redoubt.model.cluster import ContainerBaseline

#: What can be searched by.
FIELDS: dict[str, Column] = {
    "cluster id": Column("b.cluster::text"),
    "cluster": Column("(SELECT name FROM clusters WHERE id = b.cluster)"),
    "namespace": Column("b.namespace"),
    "deployment id": Column("b.deployment"),
    "deployment": Column(
        "(SELECT o.name FROM cluster_objects o WHERE o.cluster = b.cluster AND o.kind = 'deployment' AND o.id = b.deployment)"
    ),
    "container name": Column("b.container"),
}


class BaselineKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``ProcessBaselineKey``: whose baseline. ``cluster_id`` and ``namespace`` need not be said."""

    deployment_id: str
    container_name: str
    cluster_id: str = ""
    namespace: str = ""


class Element(msgspec.Struct, frozen=True):
    """A program. ``auto``: it was learned. ``buried``: somebody removed it."""

    path: str
    auto: bool
    buried: bool


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A container's baseline. ``learned`` is when learning ends, ``locked`` since when somebody locked it."""

    cluster: UUID
    deployment: str
    container: str
    namespace: str
    created: datetime
    learned: datetime
    locked: datetime | None
    changed: datetime
    elements: tuple[Element, ...] = ()


_COLUMNS = "b.cluster, b.deployment, b.container, b.namespace, b.created, b.learned, b.locked, b.changed"
#: Of several clusters' the one of the deployment that was there first, as where the deployment itself is asked for.
_FIRST = (
    "(SELECT o.added FROM cluster_objects o WHERE o.cluster = b.cluster AND o.kind = 'deployment' AND o.id = b.deployment)"
    " NULLS LAST, b.created"
)
_KEY = "b.deployment = $1 AND b.container = $2 AND ($3 = '' OR b.cluster::text = $3) AND ($4 = '' OR b.namespace = $4)"


class BaselineStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``ContainerNameAndBaselineStatus``: ``UNLOCKED`` or ``LOCKED``, and whether something ran that is not in it."""

    container_name: str
    baseline_status: str
    anomalous_processes_executed: bool


class BaselineStore(Store):
    """Tables ``process_baselines`` and ``process_baseline_elements``."""

    async def get(self, key: BaselineKey, reach: Reach = EVERYWHERE) -> Baseline | None:
        """One, with its programs."""
        async with self._pool.acquire() as connection:
            return await found(connection, key, reach)

    async def select(self, query: str, reach: Reach, limit: int = 100_000) -> list[BaselineKey]:
        """Those that a query finds. Raises ``InvalidArgument``."""
        return await self._select(parse(query), reach, limit)

    async def within(self, cluster: str, namespaces: Sequence[str], reach: Reach) -> list[BaselineKey]:
        """Those of some namespaces of a cluster; of all where none is named."""
        values: list[object] = [cluster, list(namespaces)]
        condition = reach.condition(values, "b.cluster", "b.namespace")
        rows = await self._pool.fetch(
            "SELECT b.deployment, b.container, b.cluster::text, b.namespace FROM process_baselines b"  # noqa: S608
            " WHERE b.cluster::text = $1 AND (cardinality($2::text[]) = 0 OR b.namespace = ANY($2))"
            f" AND {condition} ORDER BY b.cluster, b.deployment, b.container",
            *values,
        )
        return [_as_key(row) for row in rows]

    async def learned(self, grace: timedelta, limit: int = 1000) -> list[BaselineKey]:
        """Those that are to be locked by themselves, the longest learned first.

        Not before ``grace`` after their learning ended, and after their cluster's Sensor connected: what it tells late counts.
        """
        rows = await self._pool.fetch(
            "SELECT b.deployment, b.container, b.cluster::text, b.namespace FROM process_baselines b"
            " JOIN clusters c ON c.id = b.cluster JOIN sensor_sessions s ON s.cluster = b.cluster"
            " WHERE b.locked IS NULL AND NOT b.unlocked AND b.learned >= c.auto_lock_since AND b.learned <= now() - $1::interval"
            " AND s.connected AND s.since <= now() - $1::interval ORDER BY b.learned LIMIT $2",
            grace,
            limit,
        )
        return [_as_key(row) for row in rows]

    async def _select(self, asked: Sequence[Asked], reach: Reach, limit: int) -> list[BaselineKey]:
        values: list[object] = []
        conditions = [reach.condition(values, "b.cluster", "b.namespace"), *where(asked, FIELDS, values)]
        rows = await self._pool.fetch(
            "SELECT b.deployment, b.container, b.cluster::text, b.namespace FROM process_baselines b"  # noqa: S608
            f" WHERE {' AND '.join(conditions)} ORDER BY b.cluster, b.deployment, b.container LIMIT {int(limit)}",
            *values,
        )
        return [_as_key(row) for row in rows]

    async def statuses(
        self, deployments: Collection[tuple[UUID, str]]
    ) -> dict[tuple[UUID, str], dict[str, BaselineStatus]]:
        """Of deployments' containers that have a baseline, by deployment and container."""
        rows = await self._pool.fetch(
            "SELECT b.cluster, b.deployment, b.container, b.locked IS NOT NULL AS locked, EXISTS (SELECT FROM processes p"  # noqa: S608
            " WHERE (p.cluster, p.deployment, p.container) = (b.cluster, b.deployment, b.container)"
            f" AND NOT ({USUAL})) AS odd FROM process_baselines b"
            " WHERE (b.cluster, b.deployment) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))",
            [cluster for cluster, _ in deployments],
            [deployment for _, deployment in deployments],
        )
        found: dict[tuple[UUID, str], dict[str, BaselineStatus]] = {}
        for row in rows:
            status = BaselineStatus(
                container_name=row["container"],
                baseline_status="LOCKED" if row["locked"] else "UNLOCKED",
                anomalous_processes_executed=row["odd"],
            )
            found.setdefault((row["cluster"], row["deployment"]), {})[row["container"]] = status
        return found

    async def locked(self, cluster: UUID) -> list[ContainerBaseline]:
        """All that are locked in a cluster, as a Sensor is told."""
        rows = await self._pool.fetch(
            "SELECT b.deployment, b.container, TRUE AS locked,"
            " array_agg(e.path ORDER BY e.path) FILTER (WHERE e.path IS NOT NULL) AS paths FROM process_baselines b"
            " LEFT JOIN process_baseline_elements e ON NOT e.buried"
            " AND (e.cluster, e.deployment, e.container) = (b.cluster, b.deployment, b.container)"
            " WHERE b.cluster = $1 AND b.locked IS NOT NULL GROUP BY b.deployment, b.container",
            cluster,
        )
        return [
            ContainerBaseline(
                deployment_id=row["deployment"],
                container_name=row["container"],
                locked=True,
                paths=tuple(row["paths"] or ()),
            )
            for row in rows
        ]


async def found(
    connection: Connection, key: BaselineKey, reach: Reach = EVERYWHERE, *, lock: bool = False
) -> Baseline | None:
    """One, with its programs; ``lock``: nobody else changes it until the transaction ends."""
    values: list[object] = [key.deployment_id, key.container_name, key.cluster_id.lower(), key.namespace]
    condition = reach.condition(values, "b.cluster", "b.namespace")
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM process_baselines b WHERE {_KEY} AND {condition}"  # noqa: S608
        f" ORDER BY {_FIRST} LIMIT 1{' FOR UPDATE' if lock else ''}",
        *values,
    )
    if row is None:
        return None
    elements = await connection.fetch(
        "SELECT path, auto, buried FROM process_baseline_elements"
        " WHERE (cluster, deployment, container) = ($1, $2, $3) ORDER BY path",
        row["cluster"],
        row["deployment"],
        row["container"],
    )
    return Baseline(**dict(row), elements=tuple(Element(*each) for each in elements))


async def ensure(
    connection: Connection, cluster: UUID, key: BaselineKey, now: datetime, period: timedelta
) -> None:
    """Have a baseline for a container that ran nothing yet."""
    await connection.execute(
        "INSERT INTO process_baselines (cluster, deployment, container, namespace, created, learned, changed)"
        " VALUES ($1, $2, $3, $4, $5, $6, $5) ON CONFLICT DO NOTHING",
        cluster,
        key.deployment_id,
        key.container_name,
        key.namespace,
        now,
        now + period,
    )


async def put_elements(
    connection: Connection, of: Baseline, paths: Sequence[str], now: datetime, *, buried: bool
) -> None:
    """Add programs, or remove them so that they are not learned again."""
    await connection.execute(
        "INSERT INTO process_baseline_elements (cluster, deployment, container, path, auto, buried, added)"
        " SELECT $1, $2, $3, path, FALSE, $5, $6 FROM unnest($4::text[]) AS g (path) GROUP BY path ORDER BY path"
        " ON CONFLICT (cluster, deployment, container, path)"
        " DO UPDATE SET auto = FALSE, buried = excluded.buried, added = excluded.added",
        of.cluster,
        of.deployment,
        of.container,
        list(paths),
        buried,
        now,
    )
    await _touch(connection, of, now)


async def set_locked(connection: Connection, of: Baseline, now: datetime, *, locked: bool) -> None:
    """Lock or unlock, as somebody says. Once it was locked nothing is learned any more."""
    await connection.execute(
        "UPDATE process_baselines SET locked = CASE WHEN $4 THEN coalesce(locked, $5) END, unlocked = NOT $4,"
        " learned = CASE WHEN $4 THEN least(learned, $5) ELSE learned END, changed = $5"
        " WHERE (cluster, deployment, container) = ($1, $2, $3)",
        of.cluster,
        of.deployment,
        of.container,
        locked,
        now,
    )


async def lock_learned(connection: Connection, of: Baseline, now: datetime) -> None:
    """Lock one by itself, unless somebody has unlocked it, or has it learned anew."""
    await connection.execute(
        "UPDATE process_baselines SET locked = $4, changed = $4"
        " WHERE (cluster, deployment, container) = ($1, $2, $3) AND locked IS NULL AND NOT unlocked AND learned <= $4",
        of.cluster,
        of.deployment,
        of.container,
        now,
    )


async def forget(connection: Connection, of: Baseline, now: datetime, period: timedelta) -> bool:
    """Begin anew: nothing is known, not even what was removed, but for what pods that are still there were started with.

    A container's own program is told of once, when it begins; unlearned, it would be a stranger from then on.
    """
    key = of.cluster, of.deployment, of.container
    await connection.execute(
        "DELETE FROM process_baseline_elements e WHERE (cluster, deployment, container) = ($1, $2, $3)"
        " AND (buried OR NOT EXISTS (SELECT FROM processes p JOIN cluster_objects o"
        " ON o.cluster = p.cluster AND o.kind = 'pod' AND o.id = p.pod_uid"
        " WHERE (p.cluster, p.deployment, p.container, p.path) = ($1, $2, $3, e.path)))",
        *key,
    )
    await connection.execute(
        "UPDATE process_baseline_elements SET auto = TRUE WHERE (cluster, deployment, container) = ($1, $2, $3)",
        *key,
    )
    tag = await connection.execute(
        "UPDATE process_baselines SET created = $4, learned = $5, locked = NULL, unlocked = FALSE, changed = $4"
        " WHERE (cluster, deployment, container) = ($1, $2, $3)",
        *key,
        now,
        now + period,
    )
    return affected(tag) == 1


async def _touch(connection: Connection, of: Baseline, now: datetime) -> None:
    await connection.execute(
        "UPDATE process_baselines SET changed = $4 WHERE (cluster, deployment, container) = ($1, $2, $3)",
        of.cluster,
        of.deployment,
        of.container,
        now,
    )


def _as_key(row: asyncpg.Record) -> BaselineKey:
    return BaselineKey(
        deployment_id=row["deployment"],
        container_name=row["container"],
        cluster_id=row["cluster"],
        namespace=row["namespace"],
    )
