"""What network policies of a cluster are looked at by, and what was done to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from redoubt.central.store import Connection, Store
from redoubt.model.cluster import KINDS

#: Kinds that network policies are looked at with, and what is kept of the ends of connections.
KINDS_THAT_COUNT = frozenset({"deployment", "namespace", "networkpolicy"})


async def changed(connection: Connection, cluster: UUID) -> None:
    """What network policies come to may be something else from now on."""
    await connection.execute(
        "INSERT INTO network_epochs (cluster, epoch) SELECT id, 1 FROM clusters WHERE id = $1"
        " ON CONFLICT (cluster) DO UPDATE SET epoch = network_epochs.epoch + 1",
        cluster,
    )


class NetworkPolicyStore(Store):
    """Tables ``network_epochs`` and ``network_policy_undos``; ``cluster_objects``, read."""

    async def epoch(self, cluster: UUID | None) -> int:
        """Of a cluster, or of all together."""
        return int(
            await self._pool.fetchval(
                "SELECT coalesce(sum(epoch), 0)::bigint FROM network_epochs WHERE $1::uuid IS NULL OR cluster = $1",
                cluster,
            )
        )

    async def name(self, cluster: UUID) -> str | None:
        """What a cluster is called; None where there is none."""
        found: str | None = await self._pool.fetchval("SELECT name FROM clusters WHERE id = $1", cluster)
        return found

    async def texts(self, cluster: UUID, kind: str, most: int) -> list[str]:
        """All objects of a kind, by namespace and name, as JSON; one more than ``most`` at most."""
        assert kind in KINDS
        rows = await self._pool.fetch(
            "SELECT object FROM cluster_objects WHERE cluster = $1 AND kind = $2"
            " ORDER BY namespace, name, id LIMIT $3",
            cluster,
            kind,
            most + 1,
        )
        return [row["object"] for row in rows]

    async def matched(
        self, cluster: UUID, scope: str, query: str, values: Sequence[object]
    ) -> dict[str, bool]:
        """Deployments within ``scope``, and whether ``query`` finds them: conditions on ``o`` and ``c``, made of constants."""
        rows = await self._pool.fetch(
            f"SELECT o.id, ({query}) AS matched FROM cluster_objects o JOIN clusters c ON c.id = o.cluster"  # noqa: S608
            f" WHERE o.cluster = ${len(values) + 1} AND o.kind = 'deployment' AND ({scope})",
            *values,
            cluster,
        )
        return {row["id"]: bool(row["matched"]) for row in rows}

    async def calls(
        self, cluster: UUID, targets: Sequence[str], since: datetime, most: int
    ) -> list[tuple[str, str, str, int, str]]:
        """Who called deployments, open or seen since: target, caller's type and identifier, port, protocol. One more than ``most``."""
        rows = await self._pool.fetch(
            "SELECT target, source_type, source, port, protocol FROM network_flows"
            " WHERE cluster = $1 AND target_type = 'DEPLOYMENT' AND target = ANY ($2::text[])"
            " AND (closed IS NULL OR last_seen >= $3) ORDER BY key LIMIT $4",
            cluster,
            list(targets),
            since,
            most + 1,
        )
        return [tuple(row) for row in rows]

    async def undo(self, cluster: UUID, deployment: str = "") -> str | None:
        """What was applied last, as JSON."""
        found: str | None = await self._pool.fetchval(
            "SELECT record FROM network_policy_undos WHERE cluster = $1 AND deployment = $2",
            cluster,
            deployment,
        )
        return found

    async def put_undo(self, cluster: UUID, deployment: str, record: str) -> None:
        """Keep it in place of what was applied before."""
        await self._pool.execute(
            "INSERT INTO network_policy_undos (cluster, deployment, record) VALUES ($1, $2, $3)"
            " ON CONFLICT (cluster, deployment) DO UPDATE SET record = excluded.record",
            cluster,
            deployment,
            record,
        )
