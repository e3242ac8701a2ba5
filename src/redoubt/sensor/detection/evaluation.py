"""A workload, what is around it and its images in; alerts of the DEPLOY stage, and what is to be done, out. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from redoubt.model.workload import Deployment, Surroundings
from redoubt.policies import ImagePart, Policy, PolicySet
from redoubt.policies.alerts import (
    DEPLOY_ENFORCEMENTS,
    Alert,
    AlertDeployment,
    AlertEnforcement,
    told,
    violation,
)
from redoubt.sensor.detection.enforcement import CONSTRAINABLE, SCALABLE

SCALE, CONSTRAIN = DEPLOY_ENFORCEMENTS
#: Bytes of a message's alerts; and of one alert's annotations and containers, where all of them are too many.
LARGEST = 3_500_000
_ANNOTATIONS, _CONTAINERS = 4096, 50
_NEVER = datetime.min.replace(tzinfo=UTC)
_encoder = msgspec.json.Encoder(order="deterministic")


class Asked(msgspec.Struct, frozen=True):
    """What policies are asked of. ``whole``: all images are known that there are. ``fresh``: made just now."""

    deployment: Deployment
    around: Surroundings
    parts: tuple[ImagePart | None, ...]
    whole: bool
    fresh: bool


class Outcome(msgspec.Struct, frozen=True):
    """What they say. ``enforce`` is the action, and the alerts that ask for it are those of ``because``."""

    alerts: tuple[Alert, ...]
    enforce: str = ""
    because: frozenset[str] = frozenset()


def evaluate(policies: PolicySet, asked: Asked, now: datetime) -> Outcome:
    """Ask the policies."""
    given = asked.deployment
    found = policies.deploy(given, asked.parts, now, asked.around)
    about = told(given)
    alerts = tuple(
        Alert(
            id=str(uuid4()),
            policy=broken.policy,
            lifecycle_stage="DEPLOY",
            cluster_id=given.cluster_id,
            cluster_name=given.cluster_name,
            namespace=given.namespace,
            namespace_id=given.namespace_id,
            entity_type="DEPLOYMENT",
            deployment=about,
            violations=tuple(violation(each) for each in broken.violations),
            time=now,
            platform_component=given.platform_component,
        )
        for broken in found.broken
    )
    if not asked.fresh:
        return Outcome(alerts)
    wanted = {alert.policy.id: action for alert in alerts if (action := _action(alert.policy, given.type))}
    # One is enough, and no replicas are more surely none than pods that no node takes.
    chosen = SCALE if SCALE in wanted.values() else CONSTRAIN if wanted else ""
    because = frozenset(policy for policy, action in wanted.items() if action == chosen)
    return Outcome(alerts, chosen, because)


def _action(policy: Policy, kind: str) -> str:
    """What a policy has done to a new workload of this kind."""
    if SCALE in policy.enforcement_actions and kind in SCALABLE:
        return SCALE
    if CONSTRAIN in policy.enforcement_actions and kind in CONSTRAINABLE:
        return CONSTRAIN
    return ""


def enforced(outcome: Outcome) -> Outcome:
    """The alerts, saying what was done."""
    words = "scaled to no replicas" if outcome.enforce == SCALE else "made unschedulable"
    said = f"The deployment was {words}, as it violated this policy when it was created."
    alerts = tuple(
        msgspec.structs.replace(
            each, enforcement=AlertEnforcement(action=outcome.enforce, message=said), enforcement_count=1
        )
        if each.policy.id in outcome.because
        else each
        for each in outcome.alerts
    )
    return Outcome(alerts)


def fingerprint(alerts: Sequence[Alert]) -> bytes:
    """Of what alerts say: the same where only their identifiers and times differ."""
    digest = hashlib.blake2b(digest_size=16)
    for each in sorted(alerts, key=lambda alert: alert.policy.id):
        same = msgspec.structs.replace(each, id="", time=_NEVER)
        digest.update(_encoder.encode(same))
    return digest.digest()


def encoded(alerts: Sequence[Alert]) -> tuple[bytes, bool]:
    """JSON that fits into a message, and whether something was left out for that. Never leaves an alert out."""
    content = msgspec.json.encode(alerts)
    if len(content) <= LARGEST:
        return content, False
    for most in (20, 1):
        alerts = [_less(each, most) for each in alerts]
        content = msgspec.json.encode(alerts)
        if len(content) <= LARGEST:
            break
    return content, True


def _less(alert: Alert, violations: int) -> Alert:
    about, programs = alert.deployment, alert.process_violation
    return msgspec.structs.replace(
        alert,
        violations=alert.violations[:violations],
        process_violation=None
        if programs is None
        else msgspec.structs.replace(programs, processes=programs.processes[:violations]),
        deployment=None if about is None else _shorter(about),
    )


def _shorter(about: AlertDeployment) -> AlertDeployment:
    room = _ANNOTATIONS
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}
    for source, kept in ((about.annotations, annotations), (about.labels, labels)):
        for name, value in source.items():
            room -= len(name) + len(value)
            if room >= 0:
                kept[name] = value
    return msgspec.structs.replace(
        about, annotations=annotations, labels=labels, containers=about.containers[:_CONTAINERS]
    )
