"""Policies and what they are asked about, made short: a workload with one container unless told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from redoubt.model.happening import (
    EventObject,
    EventUser,
    KubernetesEvent,
    NetworkFlow,
    Process,
    ProcessSignal,
    StartedProcess,
)
from redoubt.model.scannedimage import (
    ImageMetadata,
    ImageScan,
    ScannedComponent,
    ScannedFlaw,
    ScannedImage,
    V1Metadata,
)
from redoubt.model.workload import (
    Container,
    ContainerConfig,
    Deployment,
    ImageName,
    Resources,
    SecurityContext,
    Surroundings,
)
from redoubt.policies import PolicySet, Verdict
from redoubt.policies.policy import Policy, PolicyGroup, PolicySection, PolicyValue

NOW = datetime(2099, 6, 1, 12, tzinfo=UTC)


def ago(days: float) -> datetime:
    """So many days before ``NOW``."""
    return NOW - timedelta(days=days)


def group(name: str, *values: str, every: bool = False, negate: bool = False) -> PolicyGroup:
    """A criterion and its values."""
    return PolicyGroup(
        field_name=name,
        boolean_operator="AND" if every else "OR",
        negate=negate,
        values=tuple(PolicyValue(value=value) for value in values),
    )


def policy(*sections: Sequence[PolicyGroup], **more: Any) -> Policy:
    """A policy of the DEPLOY stage."""
    given: dict[str, Any] = {
        "id": "00000000-0000-4000-8000-000000000001",
        "name": "A policy of a test",
        "policy_version": "1.1",
        "severity": "LOW_SEVERITY",
        "categories": ("Tests",),
        "lifecycle_stages": ("DEPLOY",),
        "policy_sections": tuple(PolicySection(policy_groups=tuple(each)) for each in sections),
    }
    return Policy(**{**given, **more})


def runtime(*sections: Sequence[PolicyGroup], source: str = "DEPLOYMENT_EVENT", **more: Any) -> Policy:
    """A policy of the RUNTIME stage."""
    return policy(*sections, **{"lifecycle_stages": ("RUNTIME",), "event_source": source, **more})


def container(name: str = "web", **more: Any) -> Container:
    """A container with everything there that Sensor always says."""
    given: dict[str, Any] = {
        "name": name,
        "config": ContainerConfig(),
        "security_context": SecurityContext(),
        "resources": Resources(),
    }
    return Container(**{**given, **more})


def deployment(*containers: Container, **more: Any) -> Deployment:
    """A workload."""
    given: dict[str, Any] = {"name": "shop", "namespace": "stores", "cluster_id": "cluster-1"}
    return Deployment(**{**given, "containers": containers or (container(),), **more})


def flaw(cve: str = "CVE-2099-0001", severity: str = "LOW", **more: Any) -> ScannedFlaw:
    """A flaw; its severity's ending is put to it."""
    return ScannedFlaw(cve=cve, severity=f"{severity}_VULNERABILITY_SEVERITY", **more)


def image(*components: ScannedComponent, **v1: Any) -> ScannedImage:
    """An image that was looked at. ``v1`` is what its configuration says."""
    return ScannedImage(
        name=ImageName(
            registry="registry.example",
            remote="team/shop",
            tag="1.4",
            full_name="registry.example/team/shop:1.4",
        ),
        metadata=ImageMetadata(v1=V1Metadata(**v1)),
        scan=ImageScan(scan_time=ago(1), operating_system="debian:12", components=components),
    )


def deployed(
    policies: Policy | Sequence[Policy],
    what: Deployment,
    images: Sequence[ScannedImage | None] = (),
    around: Surroundings = Surroundings(),  # noqa: B008
    now: datetime = NOW,
) -> Verdict:
    """What DEPLOY policies say of a workload."""
    made = asked(policies)
    parts = [None if each is None else made.image(each, now) for each in images]
    parts += [None] * (len(what.containers) - len(parts))
    return made.deploy(what, parts, now, around)


def asked(policies: Policy | Sequence[Policy]) -> PolicySet:
    """A set of policies that all compile."""
    made = PolicySet([policies] if isinstance(policies, Policy) else policies)
    assert made.refused == []
    return made


def started(name: str = "sh", where: str = "web", unexpected: bool = False, **more: Any) -> StartedProcess:
    """A process in a container."""
    return StartedProcess(
        process=Process(container_name=where, signal=ProcessSignal(name=name, **more)),
        not_in_baseline=unexpected,
    )


def request(resource: str = "PODS_EXEC", verb: str = "CREATE", **more: Any) -> KubernetesEvent:
    """A request to the API server."""
    given: dict[str, Any] = {
        "object": EventObject(resource=resource, name="thing", namespace="stores", cluster_id="cluster-1"),
        "api_verb": verb,
        "user": EventUser(username="system:admin", groups=("system:masters", "developers")),
    }
    return KubernetesEvent(**{**given, **more})


def flow(unexpected: bool = True) -> NetworkFlow:
    """A connection between two workloads."""
    return NetworkFlow(
        src_entity_type="DEPLOYMENT", dst_entity_type="DEPLOYMENT", not_in_network_baseline=unexpected
    )
