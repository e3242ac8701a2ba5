"""Alerts, as they are asked for: found, counted, resolved and deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec

from redoubt.central.auth.reach import EVERYWHERE, Reach
from redoubt.central.refusals import InvalidArgument
from redoubt.central.search import Asked, Column, Kind, parse, where
from redoubt.central.store import Connection, Store, affected, several
from redoubt.central.store.alert_intake import SEVERITIES
from redoubt.policies.alerts import Alert
from redoubt.policies.policy import Policy

_STATES = ("ACTIVE", "RESOLVED", "ATTEMPTED")
_words = {name.removesuffix("_SEVERITY"): number for number, name in enumerate(SEVERITIES)}
_alert = msgspec.json.Decoder(Alert)

#: What can be searched by, in any case, as the original calls it.
FIELDS: dict[str, Column] = {
    "alert id": Column("a.id"),
    "policy": Column("a.policy_name"),
    "policy id": Column("a.policy"),
    "category": Column("a.categories", Kind.TEXTS),
    "severity": Column("a.severity", Kind.ENUM, _words),
    "lifecycle stage": Column("a.stage", Kind.ENUM, {"DEPLOY": "DEPLOY", "RUNTIME": "RUNTIME"}),
    "violation state": Column("a.state", Kind.ENUM, {each: each for each in _STATES}),
    "violation time": Column("a.occurred", Kind.TIME),
    "first occurred": Column("a.first_occurred", Kind.TIME),
    "entity type": Column(
        "a.entity_type",
        Kind.ENUM,
        {each: each for each in ("UNSET", "DEPLOYMENT", "CONTAINER_IMAGE", "RESOURCE", "NODE")},
    ),
    "resource": Column("CASE WHEN a.entity_type = 'RESOURCE' THEN a.entity_name ELSE '' END"),
    "resource type": Column("a.resource_type"),
    "deployment": Column("CASE WHEN a.entity_type = 'DEPLOYMENT' THEN a.entity_name ELSE '' END"),
    "deployment id": Column("a.deployment"),
    "deployment type": Column("a.deployment_type"),
    "inactive deployment": Column("a.inactive", Kind.BOOLEAN),
    "node": Column("CASE WHEN a.entity_type = 'NODE' THEN a.entity_name ELSE '' END"),
    "cluster": Column("a.cluster_name"),
    "cluster id": Column("a.cluster::text"),
    "namespace": Column("a.namespace"),
    "namespace id": Column("a.namespace_id"),
    "platform component": Column("a.platform", Kind.BOOLEAN),
    "enforcement": Column("a.enforcement"),
}
#: What can be sorted by.
_SORTED = {
    "violation time": "a.occurred",
    "severity": "a.severity",
    "policy": "a.policy_name",
    "deployment": "a.entity_name",
    "resource": "a.entity_name",
    "cluster": "a.cluster_name",
    "namespace": "a.namespace",
    "violation state": "a.state",
    "lifecycle stage": "a.stage",
    "entity type": "a.entity_type",
    "enforcement": "a.enforcement",
    "enforcement count": "a.enforced",
    "first occurred": "a.first_occurred",
}
_LISTED = (
    "a.id, a.cluster, a.cluster_name, a.namespace, a.namespace_id, a.entity_type, a.entity_name, a.deployment,"
    " a.deployment_type, a.resource_type, a.policy, a.policy_name, a.categories, a.severity, a.stage, a.state, a.occurred,"
    " a.first_occurred, a.enforcement, a.enforced, a.inactive, a.platform"
)


class Wanted(msgspec.Struct, frozen=True):
    """Which alerts: what is searched for, and where whoever asks may look. Without a state: what is not over."""

    asked: tuple[Asked, ...] = ()
    reach: Reach = EVERYWHERE

    @property
    def states(self) -> bool:
        """Whether it says in which state."""
        return any(each.field.lower() == "violation state" for each in self.asked)

    def where(self, values: list[object], *, resolved: bool = False) -> str:
        """The condition; ``resolved``: what is over too, where no state is named."""
        conditions = [self.reach.condition(values, "a.cluster", "a.namespace")]
        conditions += where(self.asked, FIELDS, values)
        if not self.states and not resolved:
            conditions.append("a.state <> 'RESOLVED'")
        return " AND ".join(conditions)


def wanted(query: str, reach: Reach = EVERYWHERE) -> Wanted:
    """Raises ``InvalidArgument`` for what is not understood."""
    found = Wanted(parse(query), reach)
    found.where([])
    return found


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """An alert without its violations."""

    id: str
    cluster: UUID
    cluster_name: str
    namespace: str
    namespace_id: str
    entity_type: str
    entity_name: str
    deployment: str
    deployment_type: str
    resource_type: str
    policy: str
    policy_name: str
    policy_record: str
    categories: list[str]
    severity: int
    stage: str
    state: str
    occurred: datetime
    first_occurred: datetime
    enforcement: str
    enforced: int
    inactive: bool
    platform: bool


class Counted(msgspec.Struct, frozen=True):
    """How many alerts of a group have a severity."""

    name: str
    severity: int
    number: int


class PolicyGroup(msgspec.Struct, frozen=True):
    """A policy, and how many alerts there are of it."""

    policy_record: str
    number: int


class Moment(msgspec.Struct, frozen=True):
    """When an alert came and went."""

    id: str
    cluster_name: str
    severity: int
    first_occurred: datetime
    resolved: datetime | None


class AlertStore(Store):
    """Table ``alerts``, read; and what people decide of alerts."""

    async def find(
        self, wanted: Wanted, *, limit: int, offset: int = 0, sort: str = "", descending: bool = False
    ) -> list[Listed]:
        """A page. Without ``sort`` the newest first. Raises ``InvalidArgument``."""
        values: list[object] = []
        condition = wanted.where(values)
        values += [limit, offset]
        order = _order(sort, descending=descending)
        # The page first: policies are looked up for what is shown of it.
        page = (
            f"SELECT a.* FROM alerts a WHERE {condition} ORDER BY {order}"  # noqa: S608  # parts are constants
            f" LIMIT ${len(values) - 1} OFFSET ${len(values)}"
        )
        return several(
            Listed,
            await self._fetch(
                f"SELECT {_LISTED}, p.record AS policy_record FROM ({page}) a"  # noqa: S608
                f" JOIN alert_policies p ON p.digest = a.policy_digest ORDER BY {order}",
                values,
            ),
        )

    async def count(self, wanted: Wanted) -> int:
        """How many there are."""
        values: list[object] = []
        rows = await self._fetch(
            f"SELECT count(*) AS number FROM alerts a WHERE {wanted.where(values)}",  # noqa: S608
            values,
        )
        return int(rows[0]["number"])

    async def get(self, identifier: str, reach: Reach = EVERYWHERE) -> Alert | None:
        """A whole alert."""
        values: list[object] = [identifier]
        row = await self._pool.fetchrow(
            "SELECT a.*, p.record AS policy_record FROM alerts a JOIN alert_policies p ON p.digest = a.policy_digest"  # noqa: S608
            f" WHERE a.id = $1 AND {reach.condition(values, 'a.cluster', 'a.namespace')}",
            *values,
        )
        return None if row is None else _whole(row)

    async def groups(self, wanted: Wanted) -> list[PolicyGroup]:
        """How many alerts each policy has; those with the most severe policies first."""
        values: list[object] = []
        rows = await self._fetch(
            "SELECT policy, policy_digest, max(policy_name) AS name, max(severity) AS severity, count(*) AS number,"  # noqa: S608
            f" max(occurred) AS last FROM alerts a WHERE {wanted.where(values)} GROUP BY 1, 2 ORDER BY last",
            values,
        )
        numbers: dict[str, int] = {}
        last: dict[str, asyncpg.Record] = {}
        for row in rows:  # a policy that was changed stands there as it was last
            numbers[row["policy"]] = numbers.get(row["policy"], 0) + row["number"]
            last[row["policy"]] = row
        records = await self._pool.fetch(
            "SELECT digest, record FROM alert_policies WHERE digest = ANY($1::bytea[])",
            [row["policy_digest"] for row in last.values()],
        )
        record = {row["digest"]: row["record"] for row in records}
        return [
            PolicyGroup(record[row["policy_digest"]], numbers[row["policy"]])
            for row in sorted(last.values(), key=lambda row: (-row["severity"], row["name"]))
            if row["policy_digest"] in record
        ]

    async def counts(self, wanted: Wanted, by: str) -> list[Counted]:
        """How many alerts have each severity, by ``CLUSTER``, by ``CATEGORY``, or (``UNSET``) all together."""
        name, more = {
            "CLUSTER": ("a.cluster_name", ""),
            "CATEGORY": ("c.name", ", unnest(a.categories) AS c (name)"),
            "UNSET": ("''", ""),
        }[by]
        values: list[object] = []
        rows = await self._fetch(
            f"SELECT {name} AS name, a.severity, count(*) AS number FROM alerts a{more} WHERE {wanted.where(values)}"  # noqa: S608
            " GROUP BY 1, 2 ORDER BY 1, 2",
            values,
        )
        return several(Counted, rows)

    async def moments(self, wanted: Wanted, most: int) -> list[Moment]:
        """When alerts came and went, the oldest first; those that are over are among them."""
        values: list[object] = []
        condition = wanted.where(values, resolved=True)
        values.append(most)
        rows = await self._fetch(
            "SELECT id, cluster_name, severity, first_occurred, resolved FROM alerts a"  # noqa: S608
            f" WHERE {condition} ORDER BY first_occurred DESC, id LIMIT ${len(values)}",
            values,
        )
        return several(Moment, reversed(rows))

    async def resolve(self, wanted: Wanted) -> int:
        """They are over; how many were not yet."""
        values: list[object] = []
        condition = wanted.where(values)
        values.append(datetime.now(UTC))
        tag = await self._pool.execute(
            f"UPDATE alerts a SET state = 'RESOLVED', resolved = ${len(values)}"  # noqa: S608
            f" WHERE {condition} AND a.state <> 'RESOLVED'",
            *values,
        )
        return affected(tag)

    async def delete(self, wanted: Wanted) -> int:
        """Forget them; how many."""
        values: list[object] = []
        condition = wanted.where(values)
        return affected(await self._pool.execute(f"DELETE FROM alerts a WHERE {condition}", *values))  # noqa: S608

    async def _fetch(self, statement: str, values: list[object]) -> list[asyncpg.Record]:
        try:
            return await self._pool.fetch(statement, *values)
        except asyncpg.InvalidRegularExpressionError:
            raise InvalidArgument("the query has an expression that is none") from None


async def open_of(connection: Connection, identifier: str) -> Alert | None:
    """A whole alert that is not over, locked until the transaction ends."""
    row = await connection.fetchrow(
        "SELECT a.*, p.record AS policy_record FROM alerts a JOIN alert_policies p ON p.digest = a.policy_digest"
        " WHERE a.id = $1 AND a.state <> 'RESOLVED' FOR UPDATE OF a",
        identifier,
    )
    return None if row is None else _whole(row)


def _whole(row: asyncpg.Record) -> Alert:
    alert = _alert.decode(row["record"])
    if (deployment := alert.deployment) is not None:
        deployment = msgspec.structs.replace(deployment, inactive=row["inactive"])
    return msgspec.structs.replace(
        alert,
        id=row["id"],
        policy=msgspec.json.decode(row["policy_record"], type=Policy),
        deployment=deployment,
        cluster_name=row["cluster_name"],
        time=row["occurred"],
        first_occurred=row["first_occurred"],
        resolved_at=row["resolved"],
        state=row["state"],
        enforcement_count=row["enforced"],
    )


def _order(sort: str, *, descending: bool) -> str:
    column = _SORTED.get(sort.lower()) if sort else "a.occurred"
    if column is None:
        raise InvalidArgument(f"alerts are not sorted by {sort[:80]!r}; one of {', '.join(_SORTED)}")
    # All in one direction, as indexes are: they are read forwards or backwards.
    direction = " DESC" if descending or not sort else ""
    several = dict.fromkeys((column, "a.occurred", "a.id"))
    return ", ".join(each + direction for each in several)
