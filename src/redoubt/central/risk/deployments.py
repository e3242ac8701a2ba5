"""How risky a deployment is: what it breaks, what is unusual in it, how it is set up and reached, what its images are. Pure.

Factors, saturations and maxima are StackRox's. Of several images the riskiest counts, factor by factor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from redoubt.central.risk import images
from redoubt.central.risk.scores import Result, Risk, listed, normalised, reasons, together
from redoubt.model.workload import Deployment

VIOLATIONS = "Policy Violations"
PROCESSES = "Suspicious Process Executions"
CONFIGURATION = "Service Configuration"
REACHABILITY = "Service Reachability"

#: What a violation of a severity adds.
SEVERITIES = {"LOW_SEVERITY": 1, "MEDIUM_SEVERITY": 2, "HIGH_SEVERITY": 3, "CRITICAL_SEVERITY": 4}
#: What a port adds, by how far it is reachable.
EXPOSURES = {"EXTERNAL": 3, "ROUTE": 3, "NODE": 2, "HOST": 2, "INTERNAL": 1}
#: Each further suspicious process adds so much of what the one before added: all of them together saturate.
DECAY = 0.9
#: Reasons of a factor that are told.
_MOST = 20


class BrokenPolicy(msgspec.Struct, frozen=True):
    """A policy that the deployment breaks now."""

    name: str
    severity: str


class Suspicious(msgspec.Struct, frozen=True):
    """A program, with its arguments, that the container's baseline does not know."""

    container: str
    path: str
    args: str


def assessed(
    deployment: Deployment,
    broken: Iterable[BrokenPolicy],
    suspicious: Sequence[Suspicious],
    of_images: Iterable[Risk],
) -> Risk:
    """The risk of a deployment."""
    return together(
        (
            _violations(broken),
            _processes(suspicious),
            *_vulnerabilities_first(of_images),
            _configuration(deployment),
            _reachability(deployment),
        )
    )


def _violations(broken: Iterable[BrokenPolicy]) -> Result | None:
    given = sorted(set(broken), key=lambda each: (-SEVERITIES.get(each.severity, 0), each.name))
    if not given:
        return None
    return Result(
        name=VIOLATIONS,
        factors=reasons(
            f"{each.name} (severity: {each.severity.removesuffix('_SEVERITY').capitalize()})"
            for each in given[:_MOST]
        ),
        score=normalised(sum(SEVERITIES.get(each.severity, 0) for each in given), 50, 4),
    )


def _processes(suspicious: Sequence[Suspicious]) -> Result | None:
    given = list(dict.fromkeys(suspicious))
    if not given:
        return None
    weight = (1 - DECAY ** len(given)) / (1 - DECAY)
    return Result(
        name=PROCESSES,
        factors=reasons(_ran(each) for each in given[:_MOST]),
        score=normalised(weight, 10, 4),
    )


def _ran(each: Suspicious) -> str:
    arguments = each.args if len(each.args) <= 100 else each.args[:99] + "…"
    with_ = f" with arguments {arguments!r}" if arguments else ""
    return f"Container {each.container!r} ran {each.path!r}{with_}, which its baseline does not know"


def _vulnerabilities_first(of_images: Iterable[Risk]) -> list[Result]:
    """Of each factor the image in which it is highest."""
    highest: dict[str, Result] = {}
    for risk in of_images:
        for result in risk.results:
            there = highest.get(result.name)
            if there is None or result.score > there.score:
                highest[result.name] = result
    return [highest[name] for name in images.NAMES if name in highest]


def _configuration(deployment: Deployment) -> Result | None:
    volumes: dict[str, None] = {}
    secrets: dict[str, None] = {}
    added: dict[str, None] = {}
    undropped: list[str] = []
    privileged: list[str] = []
    for container in deployment.containers:
        volumes |= {each.name or each.destination: None for each in container.volumes if not each.read_only}
        secrets |= {each.name: None for each in container.secrets}
        context = container.security_context
        added |= dict.fromkeys(() if context is None else context.add_capabilities)
        if context is None or not context.drop_capabilities:
            undropped.append(container.name)
        if context is not None and context.privileged:
            privileged.append(container.name)
    messages = []
    for words, what in (
        (volumes, "Volumes that can be written to are mounted: {}"),
        (secrets, "Secrets are used: {}"),
        (added, "Capabilities are added: {}"),
        (undropped, "No capabilities are dropped in containers {}"),
        (privileged, "Containers are privileged: {}"),
    ):
        if words:
            messages.append(what.format(listed(repr(each) for each in words)))
    weight = len(volumes) + len(secrets) + len(added) + len(undropped)
    if privileged:
        weight = max(weight, 1) * 2
    if not weight:
        return None
    return Result(name=CONFIGURATION, factors=reasons(messages), score=normalised(weight, 8, 2))


def _reachability(deployment: Deployment) -> Result | None:
    ports = {
        (each.container_port, each.protocol, each.exposure): EXPOSURES[each.exposure]
        for each in deployment.ports
        if each.exposure in EXPOSURES
    }
    if not ports:
        return None
    order = sorted(ports, key=lambda port: (-ports[port], port))
    return Result(
        name=REACHABILITY,
        factors=reasons(
            f"Port {port} ({protocol or 'TCP'}) is reachable: {_HOW[exposure]}"
            for port, protocol, exposure in order[:_MOST]
        ),
        score=normalised(sum(ports.values()), 10, 2),
    )


_HOW = {
    "EXTERNAL": "from outside, by a load balancer or an external address",
    "ROUTE": "from outside, by a route or an ingress",
    "NODE": "at every node",
    "HOST": "at its host",
    "INTERNAL": "within the cluster",
}
