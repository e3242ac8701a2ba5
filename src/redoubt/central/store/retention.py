"""What is forgotten after a while: alerts by the days that are set, activity by what it is good for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from redoubt.central.store import Store, affected

_NAME, _OTHERS = "alert_retention", "retention"
#: Rows that one statement deletes.
_GO = 10_000
#: Different arguments that are kept of a program of a container: those seen last.
MOST_ARGUMENTS = 1000


class AlertRetention(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``AlertRetentionConfig``: days; 0: kept for ever. The numbers are the original's."""

    resolved_deploy_retention_duration_days: int = 7
    deleted_runtime_retention_duration_days: int = 7
    all_runtime_retention_duration_days: int = 30
    attempted_deploy_retention_duration_days: int = 7
    attempted_runtime_retention_duration_days: int = 7


class ClusterRetention(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``DecommissionedClusterRetentionConfig``: days; 0: kept for ever. Clusters with one of these labels stay. The moments are Central's."""

    retention_duration_days: int = 0
    ignore_cluster_labels: dict[str, str] = {}
    last_updated: datetime | None = None
    created_at: datetime | None = None

    def excludes(self, labels: Mapping[str, str]) -> bool:
        """Whether a cluster with these labels stays."""
        return any(labels.get(name) == value for name, value in self.ignore_cluster_labels.items())


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What else is forgotten, after how many days; 0: never. The numbers are the original's."""

    image_days: int = 7
    event_days: int = 4
    clusters: ClusterRetention = ClusterRetention()


#: What goes after how many days (``$1``), by the field that says so.
_ALERTS = {
    "resolved_deploy_retention_duration_days": "state = 'RESOLVED' AND stage = 'DEPLOY' AND resolved < now() - $1 * interval '1 day'",
    "deleted_runtime_retention_duration_days": (
        "state <> 'ATTEMPTED' AND stage = 'RUNTIME' AND inactive AND occurred < now() - $1 * interval '1 day'"
    ),
    "all_runtime_retention_duration_days": (
        "state <> 'ATTEMPTED' AND stage = 'RUNTIME' AND occurred < now() - $1 * interval '1 day'"
    ),
    "attempted_deploy_retention_duration_days": (
        "state = 'ATTEMPTED' AND stage = 'DEPLOY' AND occurred < now() - $1 * interval '1 day'"
    ),
    "attempted_runtime_retention_duration_days": (
        "state = 'ATTEMPTED' AND stage = 'RUNTIME' AND occurred < now() - $1 * interval '1 day'"
    ),
}
_OF_NO_CLUSTER = "cluster NOT IN (SELECT id FROM clusters)"
#: It was told late, after its deployment was gone and had taken along what was known of it.
_OF_NO_DEPLOYMENT = (
    "{1} < now() - interval '1 day' AND NOT EXISTS (SELECT FROM cluster_objects o"
    " WHERE (o.cluster, o.kind, o.id) = ({0}.cluster, 'deployment', {0}.deployment))"
)
#: What goes of activity, by table.
_ACTIVITY = (
    ("processes", "last_seen < now() - interval '7 days'"),
    ("network_flows", "closed IS NOT NULL AND last_seen < now() - interval '7 days'"),
    ("network_flows", "last_seen < now() - interval '30 days'"),
    ("scan_failures", "failed < now() - interval '7 days'"),
    ("listening_endpoints", "closed IS NOT NULL AND last_seen < now() - interval '1 day'"),
    (
        "alert_policies",
        "added < now() - interval '1 day' AND digest NOT IN (SELECT policy_digest FROM alerts)",
    ),
    *(
        (table, _OF_NO_DEPLOYMENT.format(table, since))
        for table, since in (
            ("listening_endpoints", "last_seen"),
            ("process_baselines", "created"),
            ("network_baselines", "created"),
        )
    ),
    *(
        (table, _OF_NO_CLUSTER)
        for table in (
            "processes",
            "network_flows",
            "listening_endpoints",
            "process_baselines",
            "network_baselines",
        )
    ),
)
_ARGUMENTS = """
DELETE FROM processes WHERE key IN (
    SELECT key FROM (
        SELECT key, row_number() OVER (PARTITION BY deployment, container, path, cluster ORDER BY last_seen DESC) AS place
        FROM processes WHERE (deployment, container, path, cluster) IN (
            SELECT deployment, container, path, cluster FROM processes GROUP BY 1, 2, 3, 4 HAVING count(*) > $1::bigint)
    ) p WHERE place > $1::bigint
)
"""


class RetentionStore(Store):
    """The setting, and what it comes to."""

    async def get(self) -> AlertRetention:
        """As it is set."""
        kept = await self._pool.fetchval("SELECT value FROM settings WHERE name = $1", _NAME)
        return AlertRetention() if kept is None else msgspec.json.decode(kept, type=AlertRetention)

    async def others(self) -> Retention:
        """What is set of all but alerts."""
        kept = await self._pool.fetchval("SELECT value FROM settings WHERE name = $1", _OTHERS)
        return Retention() if kept is None else msgspec.json.decode(kept, type=Retention)

    async def put(self, alerts: AlertRetention, others: Retention) -> Retention:
        """Set it; what is set of others then, with the moments at which that of clusters was changed."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE settings IN SHARE ROW EXCLUSIVE MODE")
            kept = await connection.fetchval("SELECT value FROM settings WHERE name = $1", _OTHERS)
            before = (Retention() if kept is None else msgspec.json.decode(kept, type=Retention)).clusters
            others = msgspec.structs.replace(others, clusters=_dated(others.clusters, before))
            for name, given in ((_NAME, alerts), (_OTHERS, others)):
                await connection.execute(
                    "INSERT INTO settings (name, value) VALUES ($1, $2)"
                    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed = now()",
                    name,
                    msgspec.json.encode(given).decode(),
                )
        return others

    async def forget(self) -> dict[str, int]:
        """Forget what is old enough; how many rows, by table."""
        set_to = await self.get()
        gone: dict[str, int] = {}
        for field, condition in _ALERTS.items():
            if days := getattr(set_to, field):
                gone["alerts"] = gone.get("alerts", 0) + await self._delete("alerts", condition, float(days))
        if days := (await self.others()).event_days:
            condition = "last_at < now() - $1 * interval '1 day'"
            gone["events"] = await self._delete("administration_events", condition, float(days))
        for table, condition in _ACTIVITY:
            gone[table] = gone.get(table, 0) + await self._delete(table, condition)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            gone["processes"] += affected(await connection.execute(_ARGUMENTS, MOST_ARGUMENTS))
        return {table: number for table, number in gone.items() if number}

    async def _delete(self, table: str, condition: str, *values: float) -> int:
        """A few at a time, so that nobody waits for it."""
        total = 0
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute("SET LOCAL statement_timeout = 0")
                tag = await connection.execute(
                    f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT {_GO}))",  # noqa: S608
                    *values,
                )
            total += affected(tag)
            if affected(tag) < _GO:
                return total


def _dated(given: ClusterRetention, before: ClusterRetention) -> ClusterRetention:
    now = datetime.now(UTC)
    same = (given.retention_duration_days, given.ignore_cluster_labels) == (
        before.retention_duration_days,
        before.ignore_cluster_labels,
    )
    return msgspec.structs.replace(
        given,
        created_at=before.created_at or now,
        last_updated=before.last_updated if same and before.last_updated else now,
    )
