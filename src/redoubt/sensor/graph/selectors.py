"""Kubernetes' label selectors, and network policies as far as they say whom they are about. Pure.

Rules: the API reference of ``meta/v1`` LabelSelector and ``networking.k8s.io/v1`` NetworkPolicySpec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.model.workload import NetworkPolicies
from redoubt.sensor.conversion.fields import part, parts, text, texts, words


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a service with this selector leads to pods with these labels. An empty one leads nowhere."""
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector takes these labels. An empty one takes all; an operator that is not known takes none."""
    wanted = texts(selector, "matchLabels")
    if any(labels.get(name) != value for name, value in wanted.items()):
        return False
    return all(_expression(each, labels) for each in parts(selector, "matchExpressions"))


def _expression(given: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    name, values = text(given, "key"), words(given, "values")
    match text(given, "operator"):
        case "In":
            return labels.get(name) in values
        case "NotIn":
            return labels.get(name) not in values
        case "Exists":
            return name in labels
        case "DoesNotExist":
            return name not in labels
        case _:
            return False


def applying(policies: Iterable[ClusterNetworkPolicy], labels: Mapping[str, str]) -> NetworkPolicies:
    """Those of a namespace's network policies that are about pods with these labels."""
    found = [each for each in policies if matches(part(each.spec, "podSelector"), labels)]
    kinds = [_kinds(each) for each in found]
    return NetworkPolicies(
        ingress=any("Ingress" in each for each in kinds),
        egress=any("Egress" in each for each in kinds),
        names={each.id: each.name for each in found},
    )


def _kinds(policy: ClusterNetworkPolicy) -> tuple[str, ...]:
    """Which directions it limits: ingress unless said, egress where it has rules for that."""
    said = words(policy.spec, "policyTypes")
    return said or (("Ingress", "Egress") if policy.spec.get("egress") else ("Ingress",))
