"""Network policies that let through what a deployment is known to take, and nothing else. Pure.

Ingress only, as the original: what a deployment calls is known less well than who calls it. Who calls from the internet, from a
private address that is nobody's, or cannot be named to the caller makes a rule wide: a policy that is too narrow breaks things.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.networkpolicies.evaluating import NAMESPACE_NAME
from redoubt.networkpolicies.ports import PROTOCOLS

#: The original's labels of what was generated out of connections, and out of a baseline.
GENERATED = "network-policy-generator.stackrox.io/generated"
FROM_BASELINE = "network-policy-generator.stackrox.io/from-baseline"
#: Where nothing is generated for.
_SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease", "stackrox", "istio-system"})
_LONGEST = 253

#: Protocol and port; an empty protocol is all there is.
At = tuple[str, int]
ALL: At = ("", 0)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A workload. ``selector`` is Kubernetes'; ``exposed`` are ports that lead to it from outside of the cluster."""

    id: str
    name: str
    namespace: str
    selector: Mapping[str, Any]
    exposed: frozenset[At] = frozenset()


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls a workload: another one, a network, some pod that may not be named, or (none of these) anybody."""

    member: Member | None = None
    block: str = ""
    hidden: bool = False


def system(namespace: str) -> bool:
    """Whether a namespace is Kubernetes' or OpenShift's own, or the original's."""
    return namespace in _SYSTEM or namespace.startswith("openshift-") or namespace == "openshift"


def policy(
    member: Member,
    calls: Iterable[tuple[At, Caller]],
    namespaces: Mapping[str, Mapping[str, str]],
    *,
    prefix: str,
    label: str,
    taken: Iterable[str] = (),
) -> ClusterNetworkPolicy:
    """A policy for a workload that takes these calls, or with an exposed port anybody's. ``taken`` are names in its namespace."""
    at: dict[At, list[Caller]] = {each: [Caller()] for each in member.exposed}
    for port, caller in calls:
        at.setdefault(port, []).append(caller)
    rules = [_rule(member, port, callers, namespaces) for port, callers in sorted(at.items(), key=_first)]
    return ClusterNetworkPolicy(
        name=_name(prefix, member, frozenset(taken)),
        namespace=member.namespace,
        labels={label: "true"},
        spec={"podSelector": dict(member.selector), "ingress": rules, "policyTypes": ["Ingress"]},
    )


def _first(pair: tuple[At, Sequence[Caller]]) -> At:
    return pair[0]


def _rule(
    member: Member, port: At, callers: Sequence[Caller], namespaces: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    protocol, number = port
    if protocol in PROTOCOLS[1:]:
        rule["ports"] = [{"protocol": protocol, **({"port": number} if number else {})}]
    if all(each.member or each.block or each.hidden for each in callers):
        rule["from"] = _peers(member, callers, namespaces)
    return rule


def _peers(
    member: Member, callers: Sequence[Caller], namespaces: Mapping[str, Mapping[str, str]]
) -> list[dict[str, Any]]:
    found: dict[bytes, dict[str, Any]] = {}
    for each in callers:
        peer: dict[str, Any]
        if each.member is not None:
            peer = {"podSelector": dict(each.member.selector)}
            if each.member.namespace != member.namespace:
                peer["namespaceSelector"] = _named(each.member.namespace, namespaces)
        elif each.block:
            peer = {"ipBlock": {"cidr": each.block}}
        else:
            peer = {"namespaceSelector": {}, "podSelector": {}}
        found[msgspec.json.encode(peer, order="sorted")] = peer
    return [found[key] for key in sorted(found)]


def _named(namespace: str, namespaces: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """What selects a namespace: the label that Kubernetes gives to each since 1.21, else all of its labels."""
    labels = namespaces.get(namespace, {})
    if labels.get(NAMESPACE_NAME, namespace) == namespace and (NAMESPACE_NAME in labels or not labels):
        return {"matchLabels": {NAMESPACE_NAME: namespace}}
    return {"matchLabels": dict(labels)}


def _name(prefix: str, member: Member, taken: frozenset[str]) -> str:
    """``prefix`` and the workload's name; where that is too long or taken, with a piece of a digest."""
    name = f"{prefix}{member.name}"
    if len(name) <= _LONGEST and name not in taken:
        return name
    digest = hashlib.sha256(member.id.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - 9].rstrip('.-')}-{digest}"
