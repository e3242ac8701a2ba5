"""Alerts come in: what is kept of one, and how it is changed. Every function works in the transaction of its caller."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from redoubt.central.store import Connection, affected
from redoubt.policies.alerts import Alert
from redoubt.policies.policy import Policy, written

#: Severities as they are ordered; their place is their number in the table.
SEVERITIES = ("UNSET_SEVERITY", "LOW_SEVERITY", "MEDIUM_SEVERITY", "HIGH_SEVERITY", "CRITICAL_SEVERITY")
ACTIVE, RESOLVED, ATTEMPTED = "ACTIVE", "RESOLVED", "ATTEMPTED"
#: Identifiers that an alert remembers of what was merged into it.
_TAKEN = 40
_NO_POLICY = Policy()
_LONGEST_ENTITY = 600
_alert = msgspec.json.Decoder(Alert)

_COLUMNS = [
    *("id", "cluster", "cluster_name", "namespace", "namespace_id", "entity", "entity_type", "entity_name"),
    *(
        "deployment",
        "deployment_type",
        "resource_type",
        "policy",
        "policy_name",
        "policy_digest",
        "categories",
    ),
    *("severity", "stage", "state", "occurred", "first_occurred", "enforcement", "enforced", "inactive"),
    *("platform", "taken", "record"),
]
_INSERT = f"INSERT INTO alerts ({', '.join(_COLUMNS)}) VALUES ({', '.join(f'${at}' for at in range(1, len(_COLUMNS) + 1))})"  # noqa: S608
_FIXED = ("id", "cluster", "entity", "policy", "stage", "state")
#: A deployment that is gone does not come back; what is told of it late does not say so.
_SET = {name: f"{name} = ${at}" for at, name in enumerate(_COLUMNS, 1) if name not in _FIXED}
_SET["inactive"] = f"inactive = inactive OR ${_COLUMNS.index('inactive') + 1}"
_UPDATE = (
    f"UPDATE alerts SET {', '.join(_SET.values())}"  # noqa: S608
    f" WHERE ({', '.join(_FIXED)}) = ({', '.join(f'${_COLUMNS.index(name) + 1}' for name in _FIXED)})"
)


class KeptAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as it is kept. ``entity`` says what it is about, whichever kind that is of."""

    alert: Alert
    cluster: UUID
    entity: str
    enforced: int
    taken: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """Which alert of its cluster and state it is."""
        return self.entity, self.alert.policy.id, self.alert.lifecycle_stage


def entity_of(alert: Alert) -> str:
    """What an alert is about, as one text. A workload that was refused has no identifier yet, or a new one each time."""
    if (deployment := alert.deployment) is not None:
        if deployment.id and alert.state != ATTEMPTED:
            return of_deployment(deployment.id)
        return _entity("workload", deployment.namespace, deployment.type, deployment.name)
    if (resource := alert.resource) is not None:
        return _entity("resource", resource.resource_type, resource.namespace, resource.name)
    if (node := alert.node) is not None:
        return _entity("node", node.id or node.name)
    return "" if alert.image is None else _entity("image", alert.image.id or alert.image.name.full_name)


def of_deployment(identifier: str) -> str:
    """The same of a deployment."""
    return _entity("deployment", identifier)


def _entity(*parts: str) -> str:
    """As it is, where it is as Kubernetes names things; else by its digest."""
    text = "/".join(parts)
    if len(text) <= _LONGEST_ENTITY and text.isprintable():
        return text
    return f"{parts[0]}:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


async def there(
    connection: Connection, cluster: UUID, entities: Collection[str], stage: str, state: str
) -> dict[tuple[str, str, str], KeptAlert]:
    """What is kept of some things in a state, locked until the transaction ends; ``stage`` empty: of any."""
    rows = await connection.fetch(
        "SELECT a.id, entity, policy, stage, state, occurred, first_occurred, enforced, inactive, taken, a.record,"
        " p.record AS policy_record"
        " FROM alerts a JOIN alert_policies p ON p.digest = a.policy_digest"
        " WHERE cluster = $1 AND entity = ANY($2::text[]) AND state = $3 AND state <> 'RESOLVED'"
        " AND ($4 = '' OR stage = $4) ORDER BY a.id FOR UPDATE OF a",
        cluster,
        list(entities),
        state,
        stage,
    )
    found = {}
    for row in rows:
        kept = KeptAlert(
            alert=msgspec.structs.replace(
                _alert.decode(row["record"]),
                policy=msgspec.json.decode(row["policy_record"], type=Policy),
                time=row["occurred"],
                first_occurred=row["first_occurred"],
            ),
            cluster=cluster,
            entity=row["entity"],
            enforced=row["enforced"],
            taken=tuple(row["taken"]),
        )
        found[kept.key] = kept
    return found


async def put(connection: Connection, new: Sequence[KeptAlert], changed: Sequence[KeptAlert]) -> None:
    """Keep new alerts, and others in place of what was kept of them."""
    if not new and not changed:
        return
    await _keep_policies(connection, {each.alert.policy for each in (*new, *changed)})
    if new:
        await connection.executemany(_INSERT, [_row(each) for each in new])
    if changed:
        await connection.executemany(_UPDATE, [_row(each) for each in changed])


async def _keep_policies(connection: Connection, policies: Collection[Policy]) -> None:
    """Have policies there, and kept from whoever forgets those that no alert has, until the transaction ends."""
    given = sorted(map(written, policies))
    records = {hashlib.sha256(record).digest(): record.decode() for record in given}
    while records:
        new = await connection.fetch(
            "INSERT INTO alert_policies (digest, record) SELECT * FROM unnest($1::bytea[], $2::text[])"
            " ON CONFLICT DO NOTHING RETURNING digest",
            list(records),
            list(records.values()),
        )
        held = await connection.fetch(
            "SELECT digest FROM alert_policies WHERE digest = ANY($1::bytea[]) FOR KEY SHARE", list(records)
        )
        for row in (*new, *held):
            records.pop(row["digest"], None)


async def ids_taken(connection: Connection, ids: Collection[str]) -> set[str]:
    """Which of some identifiers alerts have."""
    rows = await connection.fetch("SELECT id FROM alerts WHERE id = ANY($1::text[])", list(ids))
    return {row["id"] for row in rows}


async def resolve(connection: Connection, ids: Sequence[str], now: datetime) -> int:
    """They are over; how many were not yet."""
    return affected(
        await connection.execute(
            "UPDATE alerts SET state = 'RESOLVED', resolved = $2 WHERE id = ANY($1::text[]) AND state <> 'RESOLVED'",
            list(ids),
            now,
        )
    )


async def deployments_gone(connection: Connection, cluster: UUID, deployments: Sequence[str]) -> None:
    """Workloads were deleted: what is wrong with how they are is over, what happened in them stays."""
    await connection.execute(
        "UPDATE alerts SET inactive = TRUE,"
        " state = CASE WHEN stage = 'DEPLOY' AND state = 'ACTIVE' THEN 'RESOLVED' ELSE state END,"
        " resolved = CASE WHEN stage = 'DEPLOY' AND state = 'ACTIVE' THEN now() ELSE resolved END"
        " WHERE cluster = $1 AND deployment = ANY($2::text[]) AND deployment <> ''"
        " AND (NOT inactive OR (stage = 'DEPLOY' AND state = 'ACTIVE'))",
        cluster,
        list(deployments),
    )


def taken(before: Sequence[str], identifier: str) -> tuple[str, ...]:
    """What an alert remembers after one more was merged into it."""
    return (*[each for each in before if each != identifier], identifier)[-_TAKEN:]


def _row(kept: KeptAlert) -> tuple[object, ...]:
    alert, policy = kept.alert, kept.alert.policy
    deployment, resource, node = alert.deployment, alert.resource, alert.node
    name = deployment.name if deployment else resource.name if resource else node.name if node else ""
    record = written(policy)
    return (
        plain(alert.id),
        kept.cluster,
        plain(alert.cluster_name),
        plain(alert.namespace),
        plain(alert.namespace_id),
        plain(kept.entity),
        plain(alert.entity_type),
        plain(name),
        plain(deployment.id) if deployment else "",
        plain(deployment.type) if deployment else "",
        plain(resource.resource_type) if resource else "",
        plain(policy.id),
        plain(policy.name),
        hashlib.sha256(record).digest(),
        [plain(each) for each in policy.categories],
        SEVERITIES.index(policy.severity),
        plain(alert.lifecycle_stage),
        alert.state,
        alert.time,
        alert.first_occurred or alert.time,
        plain(alert.enforcement.action) if alert.enforcement else "",
        min(kept.enforced, 2**31 - 1),
        deployment.inactive if deployment else False,
        alert.platform_component,
        [plain(each) for each in kept.taken],
        msgspec.json.encode(msgspec.structs.replace(alert, policy=_NO_POLICY)).decode(),
    )


def plain(text: str, most: int = 1000) -> str:
    """A text as PostgreSQL takes it into a column that is indexed."""
    return text.replace("\x00", "\ufffd")[:most]
