"""Network policies in the original's words, and label selectors from and to them. Pure."""

from __future__ import annotations

from typing import Any

from redoubt.central.objects.looking import whole
from redoubt.jsonfields import part, parts, text, texts, words
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.model.workload import LabelSelector
from redoubt.networkpolicies import writing
from redoubt.networkpolicies.selectors import directions

_OPERATORS = {"In": "IN", "NotIn": "NOT_IN", "Exists": "EXISTS", "DoesNotExist": "NOT_EXISTS"}
_TYPES = {"Ingress": "INGRESS_NETWORK_POLICY_TYPE", "Egress": "EGRESS_NETWORK_POLICY_TYPE"}


def told(policy: ClusterNetworkPolicy) -> dict[str, Any]:
    """``storage.NetworkPolicy``; ``endPort`` is ours."""
    found: dict[str, Any] = whole(policy)
    found["apiVersion"] = writing.API
    found["yaml"] = writing.written([policy])
    found["spec"] = {
        "podSelector": _selector(part(policy.spec, "podSelector")),
        "ingress": [_rule(each, "from") for each in parts(policy.spec, "ingress")],
        "egress": [_rule(each, "to") for each in parts(policy.spec, "egress")],
        "policyTypes": [_TYPES.get(each, "UNSET_NETWORK_POLICY_TYPE") for each in directions(policy.spec)],
    }
    return found


def selector(given: LabelSelector) -> dict[str, Any]:
    """As Kubernetes writes it."""
    operators = {ours: theirs for theirs, ours in _OPERATORS.items()}
    found: dict[str, Any] = {}
    if given.match_labels:
        found["matchLabels"] = dict(given.match_labels)
    if given.requirements:
        found["matchExpressions"] = [
            {"key": each.key, "operator": operators.get(each.op, "")}
            | ({"values": list(each.values)} if each.values else {})
            for each in given.requirements
        ]
    return found


def _selector(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "matchLabels": texts(given, "matchLabels"),
        "requirements": [
            {
                "key": text(each, "key"),
                "op": _OPERATORS.get(text(each, "operator"), "UNKNOWN"),
                "values": list(words(each, "values")),
            }
            for each in parts(given, "matchExpressions")
        ],
    }


def _rule(given: dict[str, Any], side: str) -> dict[str, Any]:
    return {
        "ports": [_port(each) for each in parts(given, "ports")],
        side: [_peer(each) for each in parts(given, side)],
    }


def _port(given: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"protocol": f"{text(given, 'protocol') or 'TCP'}_PROTOCOL"}
    port = given.get("port")
    if isinstance(port, str):
        found["portName"] = port
    elif port is not None:
        found["port"] = port
    if given.get("endPort") is not None:
        found["endPort"] = given["endPort"]
    return found


def _peer(given: dict[str, Any]) -> dict[str, Any]:
    block = given.get("ipBlock")
    return {
        **{
            name: _selector(part(given, name)) if isinstance(given.get(name), dict) else None
            for name in ("podSelector", "namespaceSelector")
        },
        "ipBlock": {"cidr": text(block, "cidr"), "except": list(words(block, "except"))}
        if isinstance(block, dict)
        else None,
    }
