"""Alerts as Sensors tell them, merged into what is kept.

DEPLOY results are all that is wrong with a workload, so what is missing is over. RUNTIME results add to what happened
before. What was refused is kept apart from what is. What is sent again changes nothing.
A cluster speaks for itself: whatever an alert says of its cluster, it is that of the connection.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import structlog

from redoubt.central.alerts import merging
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.store import Connection, alert_intake, hub
from redoubt.central.store.alert_intake import ACTIVE, ATTEMPTED, KeptAlert, entity_of, taken
from redoubt.policies.alerts import Alert, moved
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

_STAGES = ("DEPLOY", "RUNTIME")
#: What an identifier is; people and their programs paste it into addresses and queries.
_ALERT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
#: What one telling adds to a count, at most.
_MOST_TIMES = 1_000_000
#: Alerts of a message that are looked at: those of a Sensor have some hundred bytes at least, and it sends 4 MB.
_MOST = 10_000
_several = msgspec.json.Decoder(list[msgspec.Raw])
_one = msgspec.json.Decoder(Alert, strict=False)

_log = structlog.get_logger("alerts")


class AlertReceiver:
    """Takes ``AlertResults``."""

    def __init__(self) -> None:
        #: Alerts that could not be read, since this Central began.
        self.spoilt = 0

    async def take(self, connection: Connection, cluster: ClusterRef, message: pb.FromSensor) -> None:
        """Merge a message, within the transaction of ``connection``. What cannot be read is counted and left out."""
        results, now = message.alerts, datetime.now(UTC)
        alerts, spoilt = read(results.alerts)
        state = ATTEMPTED if results.stage == pb.AlertResults.ATTEMPTED else ACTIVE
        mine = [_of(each, cluster, state, now) for each in alerts]
        match results.stage:
            case pb.AlertResults.DEPLOY:
                good = [
                    each
                    for each in mine
                    if each.lifecycle_stage == "DEPLOY"
                    and each.deployment is not None
                    and each.deployment.id == results.deployment_id
                ]
                complete = not spoilt and len(good) == len(mine)
                await _deploy(connection, cluster.id, results.deployment_id, good, complete=complete, now=now)
            case pb.AlertResults.RUNTIME | pb.AlertResults.ATTEMPTED:
                good = [each for each in mine if each.lifecycle_stage in _STAGES and entity_of(each)]
                await _add(connection, cluster.id, good, state)
            case _:
                good = []
        if spoilt := spoilt + len(mine) - len(good):
            self.spoilt += spoilt
            await hub.counted(connection, cluster.id, spoilt, 0)
            _log.debug("alerts that cannot be taken", cluster=cluster.name, number=spoilt)


async def _deploy(
    connection: Connection,
    cluster: UUID,
    deployment: str,
    alerts: Sequence[Alert],
    *,
    complete: bool,
    now: datetime,
) -> None:
    if not deployment:
        return
    before = await alert_intake.there(
        connection, cluster, [alert_intake.of_deployment(deployment)], "DEPLOY", ACTIVE
    )
    new: list[KeptAlert] = []
    changed: list[KeptAlert] = []
    told = {each.policy.id: each for each in alerts}
    for alert in told.values():
        entity = entity_of(alert)
        there = before.pop((entity, alert.policy.id, "DEPLOY"), None)
        enforced = 0 if alert.enforcement is None else _told(alert)
        if there is None:
            new.append(
                KeptAlert(alert=alert, cluster=cluster, entity=entity, enforced=enforced, taken=(alert.id,))
            )
            continue
        # What was done once is not undone by looking again.
        same = msgspec.structs.replace(
            alert,
            id=there.alert.id,
            time=there.alert.time,
            first_occurred=there.alert.first_occurred,
            enforcement=there.alert.enforcement or alert.enforcement,
        )
        if same != there.alert:
            changed.append(
                KeptAlert(
                    alert=msgspec.structs.replace(same, time=max(alert.time, there.alert.time)),
                    cluster=cluster,
                    entity=entity,
                    enforced=max(there.enforced, enforced),
                    taken=taken(there.taken, alert.id),
                )
            )
    if complete and before:
        await alert_intake.resolve(connection, [each.alert.id for each in before.values()], now)
    await alert_intake.put(connection, await _named(connection, new), changed)


async def _add(connection: Connection, cluster: UUID, alerts: Sequence[Alert], state: str) -> None:
    entities = {entity_of(each) for each in alerts}
    before = await alert_intake.there(connection, cluster, entities, "", state)
    new: dict[tuple[str, str, str], KeptAlert] = {}
    changed: dict[tuple[str, str, str], KeptAlert] = {}
    for alert in alerts:
        given = KeptAlert(
            alert=alert,
            cluster=cluster,
            entity=entity_of(alert),
            enforced=_enforced(alert, None),
            taken=(alert.id,),
        )
        key = given.key
        there = new.get(key) or changed.get(key) or before.get(key)
        if there is None:
            new[key] = given
            continue
        if alert.id in there.taken:
            continue
        together = KeptAlert(
            alert=merging.merged(there.alert, alert),
            cluster=cluster,
            entity=given.entity,
            enforced=there.enforced + _enforced(alert, there.alert),
            taken=taken(there.taken, alert.id),
        )
        (new if key in new else changed)[key] = together
    await alert_intake.put(connection, await _named(connection, list(new.values())), list(changed.values()))


def _enforced(alert: Alert, there: Alert | None) -> int:
    """How often something was done: a pod is killed once, a request refused each time, of which one telling may be about several."""
    if alert.enforcement is None:
        return 0
    if alert.enforcement.action == "KILL_POD_ENFORCEMENT" and (pods := merging.pods(alert)):
        return len(pods - merging.pods(there)) if there is not None else len(pods)
    return _told(alert)


def _told(alert: Alert) -> int:
    """How often the Sensor says it was done."""
    return min(max(alert.enforcement_count, 1), _MOST_TIMES)


async def _named(connection: Connection, new: Sequence[KeptAlert]) -> list[KeptAlert]:
    """With identifiers of their own: one that is none, or another alert's, is chosen here."""
    asked = [each.alert.id for each in new if _ALERT_ID.fullmatch(each.alert.id)]
    known = await alert_intake.ids_taken(connection, asked) if asked else set()
    named = []
    for each in new:
        identifier = each.alert.id
        if identifier in known or not _ALERT_ID.fullmatch(identifier):
            identifier = str(uuid4())
        known.add(identifier)
        named.append(msgspec.structs.replace(each, alert=msgspec.structs.replace(each.alert, id=identifier)))
    return named


def _identifier(text: str) -> bool:
    return 0 < len(text) <= 200 and text.isprintable()


def read(content: bytes) -> tuple[list[Alert], int]:
    """Alerts, and how many there are beside them that cannot be read. Pure."""
    try:
        raw = _several.decode(content or b"[]")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return [], 1
    alerts, spoilt = [], len(raw[_MOST:])
    for each in raw[:_MOST]:
        try:
            alert = _one.decode(each)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            spoilt += 1
            continue
        if _identifier(alert.policy.id):
            alerts.append(alert)
        else:
            spoilt += 1
    return alerts, spoilt


def _of(alert: Alert, cluster: ClusterRef, state: str, now: datetime) -> Alert:
    """The alert as one of that cluster, in that state."""
    identity = {"cluster_id": str(cluster.id), "cluster_name": cluster.name}
    deployment, resource, node = alert.deployment, alert.resource, alert.node
    namespace = alert.namespace
    if deployment is not None:  # one of the three is what it is about
        deployment, resource, node = msgspec.structs.replace(deployment, **identity), None, None
        namespace = namespace or deployment.namespace
    elif resource is not None:
        resource, node = msgspec.structs.replace(resource, **identity), None
        namespace = namespace or resource.namespace
    elif node is not None:
        node = msgspec.structs.replace(node, **identity)
    mine = msgspec.structs.replace(
        alert,
        **identity,
        deployment=deployment,
        resource=resource,
        node=node,
        namespace=namespace,
        state=state,
    )
    return merging.kept(moved(mine, -timedelta(microseconds=cluster.ahead / 1000)), now)
