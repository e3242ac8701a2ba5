"""What is said of policies that do not hold: to whoever made the request, and to Central as alerts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

import msgspec

from redoubt.model.happening import KubernetesEvent
from redoubt.model.workload import Deployment
from redoubt.policies import Broken
from redoubt.policies.alerts import Alert, AlertDeployment, AlertEnforcement, AlertViolation, told, violation
from redoubt.policies.showing import text

BREAK_GLASS = "admission.stackrox.io/break-glass"
BREAK_GLASS_EVENTS = "admission.stackrox.io/bypass-kube-event-enforcement"
#: Of each policy so many violations are told to people, and of a workload so much is told to Central.
_MOST, _CONTAINERS, _LABEL = 10, 100, 2048


def refusal(what: str, broken: Sequence[Broken], *, hint: bool, waiting: int = 0) -> str:
    """Why a request is refused. ``what`` is such as "this Deployment"; ``waiting`` policies were not asked any more."""
    count = f"{len(broken)} enforced polic{'y' if len(broken) == 1 else 'ies'}"
    lines = ["", f"{what} violates {count}:", ""]
    for each in broken:
        lines.append(f"Policy: {text(each.policy.name)}")
        for label, said in (
            ("Description", each.policy.description),
            ("Rationale", each.policy.rationale),
            ("Remediation", each.policy.remediation),
        ):
            if said:
                lines += [f"- {label}:", f"    {text(said, 1000)}"]
        found = each.violations
        lines += ["- Violations:", *(f"    - {one.message}" for one in found[:_MOST])]
        if len(found) > _MOST:
            lines.append(f"    - and {len(found) - _MOST} more")
        lines.append("")
    if waiting:
        lines += [f"{waiting} more hang on what is in the images, and were not asked before these hold.", ""]
    if hint:
        lines += [
            f"In an emergency, add the annotation {BREAK_GLASS} with the number of a ticket to it.",
            "That it was added is recorded.",
        ]
    return "\n".join(lines) + "\n"


def attempted(
    broken: Sequence[Broken], deployment: Deployment, action: str, now: datetime
) -> tuple[Alert, ...]:
    """Alerts about a workload that was refused."""
    words = (
        f"The admission controller refused the {deployment.type or 'workload'}, as it violates the policy."
    )
    enforced = AlertEnforcement(action=action, message=words)
    about = _about(deployment)
    return tuple(
        _alert(each, deployment, about, "DEPLOY", enforced, [violation(one) for one in each.violations], now)
        for each in broken
    )


def happened(
    broken: Sequence[Broken],
    deployment: Deployment,
    event: KubernetesEvent,
    refused: frozenset[str],
    action: str,
    now: datetime,
) -> tuple[Alert, ...]:
    """Alerts about a request to a pod. ``refused`` are the ids of the policies because of which it was."""
    about, line = _about(deployment), _line(event)
    enforced = AlertEnforcement(action=action, message="The admission controller refused the request.")
    alerts = []
    for each in broken:
        found = [
            msgspec.structs.replace(
                violation(one, kind="K8S_EVENT", time=now), message=f"{line} ({one.message})"
            )
            for one in each.violations
        ]
        attempt = enforced if each.policy.id in refused else None
        alerts.append(_alert(each, deployment, about, "RUNTIME", attempt, found, now))
    return tuple(alerts)


def _alert(
    broken: Broken,
    deployment: Deployment,
    about: AlertDeployment,
    stage: str,
    enforced: AlertEnforcement | None,
    violations: Sequence[AlertViolation],
    now: datetime,
) -> Alert:
    """An attempt where something was ``enforced``, else what happened."""
    return Alert(
        id=str(uuid4()),
        policy=broken.policy,
        lifecycle_stage=stage,
        state="ACTIVE" if enforced is None else "ATTEMPTED",
        entity_type="DEPLOYMENT",
        deployment=about,
        cluster_id=deployment.cluster_id,
        cluster_name=deployment.cluster_name,
        namespace=deployment.namespace,
        namespace_id=deployment.namespace_id,
        violations=tuple(violations),
        enforcement=enforced,
        enforcement_count=int(enforced is not None),
        time=now,
        first_occurred=now,
    )


def _line(event: KubernetesEvent) -> str:
    """Who did what to which pod. What was to be run is told as the original does: it is what people look for."""
    thing = event.object
    user = text(event.user.username) if event.user is not None else "somebody"
    pod = "" if thing is None else f"{text(thing.namespace)}/{text(thing.name)}"
    if event.pod_exec_args is not None:
        command = text(" ".join(event.pod_exec_args.commands))
        return f"{user} asked to run '{command}' in pod {pod}"
    if event.pod_port_forward_args is not None:
        ports = ", ".join(str(port) for port in event.pod_port_forward_args.ports[:10])
        return f"{user} asked to forward ports {ports or '(none named)'} of pod {pod}"
    return f"{user} asked to attach to pod {pod}"


def _about(deployment: Deployment) -> AlertDeployment:
    """The workload, without what is too much of it."""
    about = told(deployment)
    return msgspec.structs.replace(
        about,
        containers=about.containers[:_CONTAINERS],
        labels=_short(about.labels),
        annotations=_short(about.annotations),
    )


def _short(given: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in list(given.items())[:_CONTAINERS] if len(value) <= _LABEL}
