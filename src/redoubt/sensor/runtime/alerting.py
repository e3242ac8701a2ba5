"""What policies say of what happened → alerts of the RUNTIME stage, and what is to be enforced. Pure.

One alert for each policy and deployment in a batch; Central merges those of several batches.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime

import msgspec

from redoubt.model.cluster import Enforcement
from redoubt.model.happening import KubernetesEvent, NetworkFlow, Process
from redoubt.model.workload import Deployment
from redoubt.policies import Broken, Policy
from redoubt.policies.alerts import (
    MOST_VIOLATIONS,
    Alert,
    AlertEnforcement,
    AlertResource,
    AlertViolation,
    Attribute,
    Attributes,
    ProcessViolation,
    told,
    violation,
)
from redoubt.policies.showing import text

KILL_POD = "KILL_POD_ENFORCEMENT"
#: What identifiers of audit events' alerts are made within.
_AUDITED = uuid.UUID("97cabdb4-d342-4b02-b494-1a58b65b1b59")


class _Gathered(msgspec.Struct):
    policy: Policy
    deployment: Deployment
    time: datetime
    processes: list[Process] = []
    violations: list[AlertViolation] = []
    #: Pods to be killed: names by UID.
    pods: dict[str, str] = {}


class Gathering:
    """Alerts of one batch, in the making. ``cluster`` gives its identifier and name."""

    def __init__(self, cluster: Callable[[], tuple[str, str]]) -> None:
        self._cluster = cluster
        self._gathered: dict[tuple[str, str], _Gathered] = {}

    def __len__(self) -> int:
        return len(self._gathered)

    def process(self, broken: Broken, deployment: Deployment, process: Process, now: datetime) -> None:
        """A program that broke a policy."""
        found = self._of(broken, deployment, now)
        if len(found.processes) < MOST_VIOLATIONS:
            found.processes.append(process)
        if KILL_POD in broken.policy.enforcement_actions:
            found.pods[process.pod_uid] = process.pod_id

    def flow(self, broken: Broken, deployment: Deployment, flow: NetworkFlow, now: datetime) -> None:
        """A connection that broke one."""
        found = self._of(broken, deployment, now)
        if len(found.violations) < MOST_VIOLATIONS:
            found.violations.append(_flow(flow, now))

    def _of(self, broken: Broken, deployment: Deployment, now: datetime) -> _Gathered:
        key = (broken.policy.id, deployment.id)
        found = self._gathered.get(key)
        if found is None:
            found = self._gathered[key] = _Gathered(broken.policy, deployment, now)
        return found

    def finished(self) -> tuple[dict[str, list[Alert]], list[Enforcement]]:
        """Alerts by deployment, and what they ask for. Begins anew."""
        gathered, self._gathered = self._gathered, {}
        alerts: dict[str, list[Alert]] = {}
        cluster = self._cluster()
        enforcements: list[Enforcement] = []
        for each in gathered.values():
            alert = _alert(each, cluster)
            alerts.setdefault(each.deployment.id, []).append(alert)
            enforcements += [
                Enforcement(
                    action=KILL_POD,
                    deployment_id=each.deployment.id,
                    deployment_type=each.deployment.type,
                    namespace=each.deployment.namespace,
                    name=each.deployment.name,
                    pod_id=pod,
                    pod_uid=uid,
                    alert_id=alert.id,
                )
                for uid, pod in each.pods.items()
            ]
        return alerts, enforcements


def _alert(given: _Gathered, cluster: tuple[str, str]) -> Alert:
    deployment = given.deployment
    enforcement = None
    if given.pods:
        pods = ", ".join(sorted(given.pods.values()))
        enforcement = AlertEnforcement(action=KILL_POD, message=text(f"Pods killed: {pods}"))
    return Alert(
        id=str(uuid.uuid4()),
        policy=given.policy,
        lifecycle_stage="RUNTIME",
        cluster_id=cluster[0],
        cluster_name=cluster[1],
        namespace=deployment.namespace,
        namespace_id=deployment.namespace_id,
        deployment=told(deployment),
        violations=tuple(given.violations),
        process_violation=_processes(given.processes) if given.processes else None,
        enforcement=enforcement,
        time=given.time,
        first_occurred=given.time,
        platform_component=deployment.platform_component,
        entity_type="DEPLOYMENT",
        enforcement_count=len(given.pods),
    )


def audited(broken: Broken, event: KubernetesEvent, cluster: tuple[str, str], now: datetime) -> Alert:
    """The alert of an audit event that broke a policy: about a resource, and about no deployment.

    Its identifier is the event's and the policy's: told again, it is the same one.
    """
    about = event.object
    assert about is not None
    same = f"{cluster[0]}/{event.id}/{broken.policy.id}"
    return Alert(
        id=str(uuid.uuid5(_AUDITED, same) if event.id else uuid.uuid4()),
        policy=broken.policy,
        lifecycle_stage="RUNTIME",
        cluster_id=cluster[0],
        cluster_name=cluster[1],
        namespace=about.namespace,
        resource=AlertResource(
            resource_type=about.resource,
            name=about.name,
            cluster_id=cluster[0],
            cluster_name=cluster[1],
            namespace=about.namespace,
        ),
        violations=tuple(
            violation(each, kind="K8S_EVENT", time=event.timestamp) for each in broken.violations[:1]
        )
        if not event.user
        else (_request(event, now),),
        time=event.timestamp or now,
        first_occurred=event.timestamp or now,
        entity_type="RESOURCE",
    )


def _processes(processes: list[Process]) -> ProcessViolation:
    ordered = sorted(processes, key=lambda each: _time(each))
    paths = list(dict.fromkeys(_path(each) for each in ordered))
    arguments = {each.signal.args for each in ordered if each.signal}
    users = sorted({each.signal.uid for each in ordered if each.signal})
    if len(paths) == 1:
        said = f"Binary '{text(paths[0])}' executed"
    else:
        shown = ", ".join(f"'{text(each)}'" for each in paths[:3])
        said = f"Binaries {shown}{f' and {len(paths) - 3} more' if len(paths) > 3 else ''} executed"
    if len(arguments) == 1:
        (only,) = arguments
        said += f" with arguments '{text(only)}'" if only else " without arguments"
    else:
        said += f" with {len(arguments)} different arguments"
    if len(users) == 1:
        said += f" under user ID {users[0]}"
    else:
        said += f" under {len(users)} different user IDs"
    return ProcessViolation(message=said, processes=tuple(ordered))


def _time(process: Process) -> float:
    signal = process.signal
    return signal.time.timestamp() if signal and signal.time else 0.0


def _path(process: Process) -> str:
    return process.signal.exec_file_path if process.signal else ""


def _flow(flow: NetworkFlow, now: datetime) -> AlertViolation:
    protocol = flow.l4_protocol.removeprefix("L4_PROTOCOL_")
    source, destination = text(flow.src_entity_name), text(flow.dst_entity_name)
    pairs = {
        "NetworkFlowSource": source,
        "NetworkFlowSourceType": flow.src_entity_type,
        "NetworkFlowDestination": destination,
        "NetworkFlowDestinationType": flow.dst_entity_type,
        "NetworkFlowDestinationPort": str(flow.dst_port),
        "NetworkFlowProtocol": protocol,
    }
    return AlertViolation(
        message=f"Unexpected network flow found in deployment. Source name: '{source}'. Destination name: "
        f"'{destination}'. Destination port: '{flow.dst_port}'. Protocol: '{protocol}'.",
        key_value_attrs=_attributes(pairs),
        type="NETWORK_FLOW",
        time=now,
    )


def _request(event: KubernetesEvent, now: datetime) -> AlertViolation:
    about, user, impersonated = event.object, event.user, event.impersonated_user
    assert about is not None
    assert user is not None
    resource = about.resource.lower().replace("_", " ")
    pairs = {
        "Kubernetes API Verb": event.api_verb,
        "username": text(user.username),
        "user groups": text(", ".join(user.groups)),
        "resource": f"/{text(about.namespace)}/{text(about.name)}" if about.namespace else text(about.name),
        "user agent": text(event.user_agent),
        "IP address": text(", ".join(event.source_ips)),
    }
    if impersonated is not None:
        pairs["Impersonated Username"] = text(impersonated.username)
        pairs["Impersonated User Groups"] = text(", ".join(impersonated.groups))
    where = f" in '{text(about.namespace)}'" if about.namespace else ""
    return AlertViolation(
        message=f"Access to {resource} '{text(about.name)}'{where}",
        key_value_attrs=_attributes({name: value for name, value in pairs.items() if value}),
        type="K8S_EVENT",
        time=event.timestamp or now,
    )


def _attributes(pairs: dict[str, str]) -> Attributes:
    return Attributes(attrs=tuple(Attribute(key=key, value=value) for key, value in pairs.items()))
