"""Alerts that are over for a reason that no Sensor tells: their policy is gone, or no longer meant for what they are about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime

import msgspec

from redoubt.central.store import Store, affected
from redoubt.model.workload import Deployment, Surroundings
from redoubt.policies.alerts import Alert

_PAGE = 1000
_alert = msgspec.json.Decoder(Alert)


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is not over, and what is around what it is about."""

    id: str
    policy: str
    stage: str
    alert: Alert
    around: Surroundings

    @property
    def deployment(self) -> Deployment | None:
        """The workload, as much of it as scopes look at."""
        about = self.alert.deployment
        if about is None:
            return None
        return Deployment(
            id=about.id,
            name=about.name,
            namespace=about.namespace,
            cluster_id=self.alert.cluster_id,
            labels=about.labels,
        )


class AlertUpkeep(Store):
    """Table ``alerts``."""

    async def resolve_of(self, asked: Collection[tuple[str, str]], disabled: Collection[str]) -> int:
        """What is about policies that are disabled, are there no more, or are not asked in that stage (``asked``: policy and stage)
        is over; how many."""
        tag = await self._pool.execute(
            "UPDATE alerts a SET state = 'RESOLVED', resolved = now() WHERE state <> 'RESOLVED' AND ("
            " policy = ANY($1::text[]) OR NOT EXISTS (SELECT FROM policies p WHERE p.id = a.policy)"
            " OR policy = ANY($2::text[]) AND (policy, stage) NOT IN (SELECT * FROM unnest($2::text[], $3::text[])))",
            list(disabled),
            [policy for policy, _ in asked],
            [stage for _, stage in asked],
        )
        return affected(tag)

    async def resolve(self, ids: Sequence[str], now: datetime) -> int:
        """These are over; how many were not yet."""
        tag = await self._pool.execute(
            "UPDATE alerts SET state = 'RESOLVED', resolved = $2 WHERE id = ANY($1::text[]) AND state <> 'RESOLVED'",
            list(ids),
            now,
        )
        return affected(tag)

    async def open_of(self, policies: Collection[str]) -> AsyncIterator[list[Open]]:
        """What is not over of some policies, in pages."""
        last = ""
        while True:
            rows = await self._pool.fetch(
                "SELECT a.id, a.policy, a.stage, a.record,"  # noqa: S608
                " coalesce((SELECT record -> 'labels' FROM clusters WHERE id = a.cluster), '{}')::text AS cluster_labels,"
                " coalesce((SELECT labels::text FROM cluster_objects WHERE cluster = a.cluster AND kind = 'namespace'"
                " AND name = a.namespace LIMIT 1), '{}') AS namespace_labels"
                " FROM alerts a WHERE a.state <> 'RESOLVED' AND a.policy = ANY($1::text[]) AND a.id > $2"
                f" ORDER BY a.id LIMIT {_PAGE}",
                list(policies),
                last,
            )
            if rows:
                yield [
                    Open(
                        id=row["id"],
                        policy=row["policy"],
                        stage=row["stage"],
                        alert=_alert.decode(row["record"]),
                        around=Surroundings(
                            cluster_labels=msgspec.json.decode(row["cluster_labels"]),
                            namespace_labels=msgspec.json.decode(row["namespace_labels"]),
                        ),
                    )
                    for row in rows
                ]
            if len(rows) < _PAGE:
                return
            last = rows[-1]["id"]

    async def of_what_is_gone(self) -> int:
        """Mark what is about deployments that are not there any more; how many."""
        tag = await self._pool.execute(
            "UPDATE alerts a SET inactive = TRUE,"
            " state = CASE WHEN stage = 'DEPLOY' AND state = 'ACTIVE' THEN 'RESOLVED' ELSE state END,"
            " resolved = CASE WHEN stage = 'DEPLOY' AND state = 'ACTIVE' THEN now() ELSE resolved END"
            " WHERE state = 'ACTIVE' AND deployment <> '' AND NOT inactive AND occurred < now() - interval '10 minutes'"
            " AND NOT EXISTS (SELECT FROM cluster_objects o"
            " WHERE o.cluster = a.cluster AND o.kind = 'deployment' AND o.id = a.deployment)"
        )
        return affected(tag)

    async def name_clusters(self) -> None:
        """Call clusters as they are called now."""
        await self._pool.execute(
            "UPDATE alerts a SET cluster_name = c.name FROM clusters c WHERE c.id = a.cluster AND a.cluster_name <> c.name"
        )
