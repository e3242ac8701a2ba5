"""What a network policy says, as far as Kubernetes would take it. Pure.

Rules: ``networking.k8s.io/v1`` NetworkPolicySpec and the API server's validation of it. What is not said is null or left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.networkpolicies.outside import Range, ranges
from redoubt.networkpolicies.ports import LAST, PROTOCOLS
from redoubt.networkpolicies.selectors import directions

Selector = dict[str, Any]


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    """A part of the specification."""


class IPBlock(_Part, frozen=True, rename={"except_": "except"}):
    """A network but for some."""

    cidr: str
    except_: tuple[str, ...] | None = None

    def ranges(self) -> list[Range]:
        """Its addresses."""
        return ranges(self.cidr, self.except_ or ())


class Peer(_Part, frozen=True):
    """Who may talk: pods by their labels and their namespace's, or addresses."""

    pod_selector: Selector | None = None
    namespace_selector: Selector | None = None
    ip_block: IPBlock | None = None


class Port(_Part, frozen=True):
    """Where to: by number, or by the name that a container has for it; all of the protocol where it is not said."""

    protocol: str | None = None
    port: int | str | None = None
    end_port: int | None = None


class IngressRule(_Part, frozen=True, rename={"from_": "from"}):
    """Who may come in."""

    ports: tuple[Port, ...] | None = None
    from_: tuple[Peer, ...] | None = None

    @property
    def peers(self) -> tuple[Peer, ...]:
        """None of them: all."""
        return self.from_ or ()


class EgressRule(_Part, frozen=True):
    """Where it may go."""

    ports: tuple[Port, ...] | None = None
    to: tuple[Peer, ...] | None = None

    @property
    def peers(self) -> tuple[Peer, ...]:
        """None of them: all."""
        return self.to or ()


class Spec(_Part, frozen=True):
    """The whole of it."""

    pod_selector: Selector | None = None
    ingress: tuple[IngressRule, ...] | None = None
    egress: tuple[EgressRule, ...] | None = None
    policy_types: tuple[str, ...] | None = None

    @property
    def rules(self) -> list[IngressRule | EgressRule]:
        """Of both directions."""
        return [*(self.ingress or ()), *(self.egress or ())]


class Requirement(_Part, frozen=True):
    """Of a selector."""

    key: str
    operator: str
    values: tuple[str, ...] | None = None


class LabelSelector(_Part, frozen=True):
    """How a selector has to be."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[Requirement, ...] | None = None


def read(policy: ClusterNetworkPolicy) -> Spec:
    """A policy's. Raises ``UnreadableInput`` where Kubernetes would not take it."""
    of = f"the network policy {policy.namespace}/{policy.name}"
    try:
        spec = msgspec.convert(policy.spec, Spec)
        for selector in _selectors(spec):
            _check_selector(msgspec.convert(selector, LabelSelector))
        for rule in spec.rules:
            _check_rule(rule)
        if not set(directions(policy.spec)) <= {"Ingress", "Egress"}:
            raise ValueError("policyTypes are Ingress and Egress")
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise UnreadableInput(f"{of[:400]}: {str(error)[:300]}") from None
    return spec


def blocks(spec: Mapping[str, Any]) -> set[str]:
    """All networks that a specification names, exceptions among them. ``read`` it before."""
    found = [peer.ip_block for rule in msgspec.convert(spec, Spec).rules for peer in rule.peers]
    texts = [text for each in found if each is not None for text in (each.cidr, *(each.except_ or ()))]
    return {str(ip_network(text, strict=False)) for text in texts}


def unknown(spec: Mapping[str, Any]) -> str:
    """The first field of a specification that Kubernetes has not; empty where there is none. ``read`` it before."""
    return _unknown(spec, Spec, "spec")


def _selectors(spec: Spec) -> list[Selector]:
    found = [spec.pod_selector]
    for rule in spec.rules:
        for peer in rule.peers:
            found += [peer.pod_selector, peer.namespace_selector]
    return [each for each in found if each is not None]


def _check_selector(selector: LabelSelector) -> None:
    for each in selector.match_expressions or ():
        match each.operator:
            case "In" | "NotIn":
                if not each.values:
                    raise ValueError(f"{each.operator} of {each.key!r} has no values")
            case "Exists" | "DoesNotExist":
                if each.values:
                    raise ValueError(f"{each.operator} of {each.key!r} has values")
            case _:
                raise ValueError(f"{each.operator[:40]!r} is no operator of a selector")


def _check_rule(rule: IngressRule | EgressRule) -> None:
    for peer in rule.peers:
        block = peer.ip_block
        if block is None:
            if peer.pod_selector is None and peer.namespace_selector is None:
                raise ValueError("a peer names neither pods, nor namespaces, nor an ipBlock")
            continue
        if peer.pod_selector is not None or peer.namespace_selector is not None:
            raise ValueError("a peer with an ipBlock names nothing else")
        _check_block(block)
    for port in rule.ports or ():
        if (port.protocol or "TCP") not in PROTOCOLS[1:]:
            raise ValueError(f"{str(port.protocol)[:40]!r} is no protocol")
        _check_port(port)


def _check_block(block: IPBlock) -> None:
    network = ip_network(block.cidr, strict=False)
    for each in block.except_ or ():
        inner = ip_network(each, strict=False)
        if inner.version != network.version or inner.prefixlen <= network.prefixlen or (
            inner.network_address not in network
        ):  # fmt: skip
            raise ValueError(f"{each[:60]} is not within {block.cidr[:60]}")


def _check_port(port: Port) -> None:
    if isinstance(port.port, int) and not 1 <= port.port <= LAST:
        raise ValueError(f"{port.port} is no port")
    if isinstance(port.port, str) and not 1 <= len(port.port) <= 15:
        raise ValueError(f"{port.port[:40]!r} is no name of a port")
    if port.end_port is not None and not (isinstance(port.port, int) and port.port <= port.end_port <= LAST):
        raise ValueError("endPort is not behind a port")


_INNER: dict[type[_Part], dict[str, type[_Part]]] = {
    Spec: {"podSelector": LabelSelector, "ingress": IngressRule, "egress": EgressRule},
    IngressRule: {"ports": Port, "from": Peer},
    EgressRule: {"ports": Port, "to": Peer},
    Peer: {"podSelector": LabelSelector, "namespaceSelector": LabelSelector, "ipBlock": IPBlock},
    LabelSelector: {"matchExpressions": Requirement},
}


def _unknown(given: Mapping[str, Any], struct: type[_Part], path: str) -> str:
    names = {each.encode_name for each in msgspec.structs.fields(struct)}
    for name, value in given.items():
        if name not in names:
            return f"{path}.{name}"
        inner = _INNER.get(struct, {}).get(name)
        if inner is None or value is None:
            continue
        for each in value if isinstance(value, list) else [value]:
            if found := _unknown(each, inner, f"{path}.{name}"):
                return found
    return ""
