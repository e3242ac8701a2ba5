"""What is told of policies that do not hold: ``storage.Alert``, in the original's form. Pure.

Field names and values are those of StackRox's ``proto/storage/alert.proto``. Made wherever policies are asked; kept by
Central, which decides what is new, what is the same as before, and what is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from redoubt.model.happening import Process
from redoubt.model.workload import ContainerImage, Deployment
from redoubt.policies.compiling import Violation
from redoubt.policies.policy import Policy

#: Enforcements of the DEPLOY stage, the one that counts first.
DEPLOY_ENFORCEMENTS = ("SCALE_TO_ZERO_ENFORCEMENT", "UNSATISFIABLE_NODE_CONSTRAINT_ENFORCEMENT")
#: Violations that an alert keeps of what happens, at most.
MOST_VIOLATIONS = 40


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class Attribute(Message, frozen=True, kw_only=True):
    """A criterion, and what the object said."""

    key: str
    value: str


class Attributes(Message, frozen=True, kw_only=True):
    """What broke the policy."""

    attrs: tuple[Attribute, ...]


class AlertViolation(Message, frozen=True, kw_only=True):
    """``Alert.Violation``. ``type`` is ``GENERIC``, ``K8S_EVENT``, ``NETWORK_FLOW``, ``NETWORK_POLICY`` or ``FILE_ACCESS``."""

    message: str
    key_value_attrs: Attributes
    type: str = "GENERIC"
    time: datetime | None = None


class ProcessViolation(Message, frozen=True, kw_only=True):
    """``Alert.ProcessViolation``: processes that broke the policy, the oldest first."""

    message: str
    processes: tuple[Process, ...] = ()


class AlertImageName(Message, frozen=True, kw_only=True):
    """``storage.ImageName``."""

    registry: str = ""
    remote: str = ""
    tag: str = ""
    full_name: str = ""


class AlertImage(Message, frozen=True, kw_only=True):
    """``storage.ContainerImage``."""

    id: str
    name: AlertImageName
    not_pullable: bool = False
    is_cluster_local: bool = False


class AlertContainer(Message, frozen=True, kw_only=True):
    """``Alert.Deployment.Container``."""

    image: ContainerImage | None
    name: str


class AlertDeployment(Message, frozen=True, kw_only=True):
    """``Alert.Deployment``."""

    id: str
    name: str
    type: str
    namespace: str
    namespace_id: str = ""
    labels: dict[str, str]
    cluster_id: str = ""
    cluster_name: str = ""
    containers: tuple[AlertContainer, ...]
    annotations: dict[str, str]
    inactive: bool = False


class AlertResource(Message, frozen=True, kw_only=True):
    """``Alert.Resource``: what an audit event was about."""

    resource_type: str
    name: str
    cluster_id: str = ""
    cluster_name: str = ""
    namespace: str = ""
    namespace_id: str = ""


class AlertNode(Message, frozen=True, kw_only=True):
    """``Alert.Node``."""

    id: str
    name: str
    cluster_id: str = ""
    cluster_name: str = ""


class AlertEnforcement(Message, frozen=True, kw_only=True):
    """``Alert.Enforcement``: what is, or would be, done."""

    action: str
    message: str


class Alert(Message, frozen=True, kw_only=True):
    """``storage.Alert``. One of ``image``, ``deployment``, ``resource`` and ``node`` is what it is about, as ``entity_type`` says."""

    id: str
    policy: Policy
    lifecycle_stage: str
    cluster_id: str = ""
    cluster_name: str = ""
    namespace: str = ""
    namespace_id: str = ""
    image: AlertImage | None = None
    deployment: AlertDeployment | None = None
    resource: AlertResource | None = None
    node: AlertNode | None = None
    violations: tuple[AlertViolation, ...]
    process_violation: ProcessViolation | None = None
    enforcement: AlertEnforcement | None = None
    time: datetime
    first_occurred: datetime | None = None
    resolved_at: datetime | None = None
    state: str = "ACTIVE"
    platform_component: bool = False
    entity_type: str
    enforcement_count: int = 0


def moved(given: Alert, by: timedelta) -> Alert:
    """With all its moments later by as much: they were told by another clock."""
    if not by:
        return given
    programs = given.process_violation
    return msgspec.structs.replace(
        given,
        time=_later(given.time, by),
        first_occurred=None if given.first_occurred is None else _later(given.first_occurred, by),
        violations=tuple(
            each if each.time is None else msgspec.structs.replace(each, time=_later(each.time, by))
            for each in given.violations
        ),
        process_violation=programs
        and msgspec.structs.replace(
            programs, processes=tuple(_moved(each, by) for each in programs.processes)
        ),
    )


def _moved(given: Process, by: timedelta) -> Process:
    signal = given.signal
    if signal is None or signal.time is None:
        return given
    return msgspec.structs.replace(
        given, signal=msgspec.structs.replace(signal, time=_later(signal.time, by))
    )


def _later(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return moment


def violation(given: Violation, *, kind: str = "GENERIC", time: datetime | None = None) -> AlertViolation:
    """What broke a policy, in the original's form."""
    return AlertViolation(
        message=given.message,
        key_value_attrs=Attributes(
            attrs=tuple(Attribute(key=held.criterion, value=held.value) for held in given.held)
        ),
        type=kind,
        time=time,
    )


def told(given: Deployment) -> AlertDeployment:
    """A workload, as an alert tells of it."""
    return AlertDeployment(
        id=given.id,
        name=given.name,
        type=given.type,
        namespace=given.namespace,
        namespace_id=given.namespace_id,
        labels=given.labels,
        cluster_id=given.cluster_id,
        cluster_name=given.cluster_name,
        containers=tuple(AlertContainer(image=each.image, name=each.name) for each in given.containers),
        annotations=given.annotations,
        inactive=given.inactive,
    )
