"""Kubernetes' label selectors, and network policies as far as they say whom they are about. Pure.

Rules: the API reference of ``meta/v1`` LabelSelector and ``networking.k8s.io/v1`` NetworkPolicySpec. A set of objects is a
number of which each object is a bit, so that thousands are selected in one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from redoubt.jsonfields import part, parts, text, texts, words
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.model.workload import NetworkPolicies

_encode = msgspec.json.Encoder(order="sorted").encode


class Labelled:
    """Objects by their labels. Bit ``n`` of a set stands for the ``n``-th of them."""

    def __init__(self, labels: Sequence[Mapping[str, str]]) -> None:
        self.all = (1 << len(labels)) - 1
        named: dict[str, list[int]] = {}
        valued: dict[tuple[str, str], list[int]] = {}
        for at, of in enumerate(labels):
            for name, value in of.items():
                named.setdefault(name, []).append(at)
                valued.setdefault((name, value), []).append(at)
        size = len(labels) // 8 + 1
        self._named = {name: bits_of(several, size) for name, several in named.items()}
        self._valued = {pair: bits_of(several, size) for pair, several in valued.items()}
        self._known: dict[bytes, int] = {}

    def taken(self, selector: Mapping[str, Any]) -> int:
        """Those that a LabelSelector takes. An empty one takes all; an operator that is not known takes none."""
        key = _encode(selector)
        if (found := self._known.get(key)) is None:
            found = self._known[key] = self._taken(selector)
        return found

    def _taken(self, selector: Mapping[str, Any]) -> int:
        found = self.all
        for pair in texts(selector, "matchLabels").items():
            found &= self._valued.get(pair, 0)
        for each in parts(selector, "matchExpressions"):
            found &= self._expressed(text(each, "operator"), text(each, "key"), words(each, "values"))
        return found

    def _expressed(self, operator: str, name: str, values: tuple[str, ...]) -> int:
        there = self._named.get(name, 0)
        match operator:
            case "In" | "NotIn":
                found = 0
                for value in values:
                    found |= self._valued.get((name, value), 0)
                return found if operator == "In" else self.all & ~found
            case "Exists":
                return there
            case "DoesNotExist":
                return self.all & ~there
            case _:
                return 0


def bits_of(several: Iterable[int], size: int) -> int:
    """The set of these bits, all of them within ``size`` bytes."""
    made = bytearray(size)
    for at in several:
        made[at >> 3] |= 1 << (at & 7)
    return int.from_bytes(made, "little")


def members(bits: int) -> list[int]:
    """Which bits a set has, the lowest first."""
    written = bin(bits)[:1:-1]
    found, at = [], written.find("1")
    while at >= 0:
        found.append(at)
        at = written.find("1", at + 1)
    return found


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a service with this selector leads to pods with these labels. An empty one leads nowhere."""
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector takes these labels."""
    return bool(Labelled([labels]).taken(selector))


def applying(policies: Iterable[ClusterNetworkPolicy], labels: Mapping[str, str]) -> NetworkPolicies:
    """Those of a namespace's network policies that are about pods with these labels."""
    one = Labelled([labels])
    found = [each for each in policies if one.taken(part(each.spec, "podSelector"))]
    kinds = [directions(each.spec) for each in found]
    return NetworkPolicies(
        ingress=any("Ingress" in each for each in kinds),
        egress=any("Egress" in each for each in kinds),
        names={each.id: each.name for each in found},
    )


def directions(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Which directions a policy limits: ingress unless said, egress where it has rules for that."""
    said = words(spec, "policyTypes")
    return said or (("Ingress", "Egress") if spec.get("egress") else ("Ingress",))
