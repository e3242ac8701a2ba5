"""Risks, what they are made of, and which are due to be looked at again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from redoubt.central.risk.deployments import BrokenPolicy, Suspicious
from redoubt.central.risk.scores import Result, Risk
from redoubt.central.store import Connection, Pool, Store, one
from redoubt.central.store.activity import USUAL
from redoubt.central.store.alert_intake import SEVERITIES
from redoubt.model.workload import Deployment

DEPLOYMENT, IMAGE, NODE = "deployment", "image", "node"
#: Images belong to no cluster.
NOWHERE = UUID(int=0)
#: Suspicious processes that are looked at: more add nothing that counts.
_MOST = 100
_results = msgspec.json.Decoder(tuple[Result, ...])
_deployment = msgspec.json.Decoder(Deployment)


class KeptRisk(msgspec.Struct, frozen=True, kw_only=True):
    """A risk as it is kept. ``priority`` 0: not ranked yet."""

    kind: str
    cluster: UUID
    subject: str
    namespace: str
    risk: Risk
    basis: str = ""
    computed: datetime
    priority: int = 0


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment's risk is made of, beside its images. ``images`` are digests, or names where these are not known, and names."""

    deployment: Deployment
    images: tuple[tuple[str, str], ...]
    broken: tuple[BrokenPolicy, ...]
    suspicious: tuple[Suspicious, ...]


class KnownImage(msgspec.Struct, frozen=True, kw_only=True):
    """Digest of an image, what is known of it by now, and the cluster whose own Indexer looked at it; empty for Central's."""

    id: str
    basis: str
    cluster: str


async def due(connection: Connection | Pool, cluster: UUID, deployments: Collection[str]) -> None:
    """Have deployments looked at again."""
    await connection.execute(
        "INSERT INTO risk_due (cluster, deployment) SELECT $1, one FROM unnest($2::text[]) AS g (one)",
        cluster,
        list(deployments),
    )


async def unusual(connection: Connection, cluster: UUID, keys: Sequence[bytes]) -> list[str]:
    """Deployments among whose processes are some that a baseline does not know."""
    rows = await connection.fetch(
        "SELECT DISTINCT p.deployment FROM processes p"  # noqa: S608
        f" WHERE p.cluster = $1 AND p.key = ANY($2::bytea[]) AND NOT ({USUAL})",
        cluster,
        list(keys),
    )
    return [row["deployment"] for row in rows]


async def gone(connection: Connection, cluster: UUID, deployments: Sequence[str]) -> None:
    """Deployments were deleted."""
    await connection.execute(
        "DELETE FROM risks WHERE kind = 'deployment' AND cluster = $1 AND subject = ANY($2::text[])",
        cluster,
        list(deployments),
    )


class RiskStore(Store):
    """Tables ``risks`` and ``risk_due``. A deployment is looked at once in ``pause`` seconds at most."""

    def __init__(self, pool: Pool, pause: float = 10.0) -> None:
        super().__init__(pool)
        self._pause = pause

    async def get(self, kind: str, subject: str, cluster: UUID = NOWHERE) -> KeptRisk | None:
        """One."""
        row = await self._pool.fetchrow(
            "SELECT * FROM risks WHERE (kind, cluster, subject) = ($1, $2, $3)", kind, cluster, subject
        )
        if row is None:
            return None
        given = dict(row)
        risk = Risk(score=given.pop("score"), results=_results.decode(given.pop("results")))
        return KeptRisk(**given, risk=risk)

    async def priorities(
        self, kind: str, subjects: Collection[tuple[UUID, str]]
    ) -> dict[tuple[UUID, str], int]:
        """Places of those that have one. A subject is a cluster's: another may have one of the same identifier."""
        rows = await self._pool.fetch(
            "SELECT cluster, subject, priority FROM risks"
            " WHERE kind = $1 AND (cluster, subject) IN (SELECT * FROM unnest($2::uuid[], $3::text[]))",
            kind,
            [cluster for cluster, _ in subjects],
            [subject for _, subject in subjects],
        )
        return {(row["cluster"], row["subject"]): row["priority"] for row in rows}

    async def put(self, given: KeptRisk) -> bool:
        """Keep one; whether its score is another than before."""
        row = await self._pool.fetchrow(
            "INSERT INTO risks AS r (kind, cluster, subject, namespace, score, results, basis, computed)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (kind, cluster, subject) DO UPDATE SET"
            " namespace = excluded.namespace, score = excluded.score, results = excluded.results,"
            " basis = excluded.basis, computed = excluded.computed,"
            # Of another score its place is not known before all are ranked.
            " priority = CASE WHEN r.score = excluded.score THEN r.priority ELSE 0 END RETURNING priority",
            given.kind,
            given.cluster,
            given.subject,
            given.namespace,
            given.risk.score,
            msgspec.json.encode(given.risk.results).decode(),
            given.basis,
            given.computed,
        )
        assert row is not None
        return bool(row["priority"] == 0)

    async def rank(self, kind: str) -> None:
        """Give each its place."""
        await self._pool.execute(
            "UPDATE risks r SET priority = n.place FROM ("
            " SELECT kind, cluster, subject, rank() OVER (ORDER BY score DESC) AS place FROM risks WHERE kind = $1) n"
            " WHERE (r.kind, r.cluster, r.subject) = (n.kind, n.cluster, n.subject) AND r.priority <> n.place",
            kind,
        )

    async def take(self, most: int) -> list[tuple[UUID, str]]:
        """Deployments that are due, were not looked at just now, and are now nobody else's to look at."""
        rows = await self._pool.fetch(
            "WITH chosen AS (SELECT d.cluster, d.deployment FROM risk_due d WHERE NOT EXISTS ("
            " SELECT FROM risks r WHERE (r.kind, r.cluster, r.subject) = ('deployment', d.cluster, d.deployment)"
            " AND r.computed > now() - $2 * interval '1 second') ORDER BY d.id LIMIT $1 FOR UPDATE SKIP LOCKED),"
            # All that was said of them until now, not only what was chosen; but for what somebody else has just chosen.
            " of_them AS (SELECT id FROM risk_due WHERE (cluster, deployment) IN (SELECT cluster, deployment FROM chosen)"
            " FOR UPDATE SKIP LOCKED)"
            " DELETE FROM risk_due WHERE id IN (SELECT id FROM of_them) RETURNING cluster, deployment",
            most,
            self._pause,
        )
        return list(dict.fromkeys((row["cluster"], row["deployment"]) for row in rows))

    async def all_due(self) -> None:
        """Have all deployments looked at again."""
        await self._pool.execute(
            "INSERT INTO risk_due (cluster, deployment) SELECT cluster, id FROM cluster_objects WHERE kind = 'deployment'"
        )

    async def due_with(self, images: Collection[str]) -> None:
        """Have the deployments of some images looked at again."""
        await self._pool.execute(
            "INSERT INTO risk_due (cluster, deployment) SELECT cluster, id FROM cluster_objects"
            " WHERE kind = 'deployment' AND images && ($1::text[] ||"
            " ARRAY(SELECT name FROM image_names WHERE image = ANY($1::text[])))",
            list(images),
        )

    async def inputs(self, cluster: UUID, deployment: str) -> Inputs | None:
        """What a deployment's risk is made of; None where it is gone."""
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            row = await connection.fetchrow(
                "SELECT object FROM cluster_objects WHERE cluster = $1 AND kind = 'deployment' AND id = $2",
                cluster,
                deployment,
            )
            if row is None:
                return None
            broken = await connection.fetch(
                "SELECT policy_name, severity FROM alerts"
                " WHERE cluster = $1 AND deployment = $2 AND state = 'ACTIVE' AND deployment <> ''",
                cluster,
                deployment,
            )
            suspicious = await connection.fetch(
                "SELECT p.container, p.path, p.args FROM processes p"  # noqa: S608
                f" WHERE p.cluster = $1 AND p.deployment = $2 AND NOT ({USUAL})"
                f" GROUP BY 1, 2, 3 ORDER BY min(p.first_seen), 1, 2, 3 LIMIT {_MOST}",
                cluster,
                deployment,
            )
        found = _deployment.decode(row["object"])
        return Inputs(
            deployment=found,
            images=tuple(dict.fromkeys(_names(found))),
            broken=tuple(BrokenPolicy(each["policy_name"], SEVERITIES[each["severity"]]) for each in broken),
            suspicious=tuple(Suspicious(*each) for each in suspicious),
        )

    async def nodes_due(self, most: int) -> list[tuple[UUID, str, str]]:
        """Nodes of which something else is known than when they were looked at: cluster, name, and what is known by now."""
        rows = await self._pool.fetch(
            "SELECT * FROM (SELECT n.cluster, n.node, n.definitions || ' ' || n.matched::text AS basis FROM node_reports n"
            " WHERE n.matched IS NOT NULL AND n.definitions IS NOT NULL) n WHERE NOT EXISTS (SELECT FROM risks r"
            " WHERE (r.kind, r.cluster, r.subject, r.basis) = ('node', n.cluster, n.node, n.basis)) LIMIT $1",
            most,
        )
        return [(row["cluster"], row["node"], row["basis"]) for row in rows]

    async def scores(self, kind: str, cluster: UUID) -> dict[str, tuple[float, int]]:
        """Score and place of all of a kind in a cluster."""
        rows = await self._pool.fetch(
            "SELECT subject, score, priority FROM risks WHERE kind = $1 AND cluster = $2", kind, cluster
        )
        return {row["subject"]: (row["score"], row["priority"]) for row in rows}

    async def image_of(self, name: str) -> KnownImage | None:
        """An image that was scanned, by its digest or name."""
        row = await self._pool.fetchrow(
            "SELECT id, definitions || ' ' || matched::text AS basis, cluster FROM images"
            " WHERE id = $1 OR id = (SELECT image FROM image_names WHERE name = $1) LIMIT 1",
            name,
        )
        return one(KnownImage, row)

    async def tidy(self) -> None:
        """Forget what is of images, clusters and deployments that are not there any more."""
        await self._pool.execute(
            "DELETE FROM risks r WHERE CASE kind WHEN 'image' THEN NOT EXISTS (SELECT FROM images WHERE id = r.subject)"
            " WHEN 'node' THEN NOT EXISTS (SELECT FROM node_reports n WHERE n.cluster = r.cluster AND n.node = r.subject)"
            " ELSE NOT EXISTS (SELECT FROM cluster_objects o"
            " WHERE o.cluster = r.cluster AND o.kind = 'deployment' AND o.id = r.subject) END"
        )


def _names(deployment: Deployment) -> list[tuple[str, str]]:
    found = []
    for container in deployment.containers:
        if (image := container.image) is not None:
            name = "" if image.name is None else image.name.full_name
            if image.id or name:
                found.append((image.id or name, name))
    return found
