"""YAML of network policies, and what they then let through between a few workloads."""

from __future__ import annotations

import msgspec

from redoubt.central.networkpolicies.told import told
from redoubt.errors import RedoubtError
from redoubt.networkpolicies import writing
from redoubt.networkpolicies.evaluating import Workload, World, evaluated
from redoubt.networkpolicies.outside import Network, Outside
from redoubt.networkpolicies.ports import LAST
from targets.interface import Target, require_clean

_WORLD = World(
    [
        Workload(id="a", namespace="web", labels={"app": "shop"}, named={("TCP", "http"): frozenset({8080})}),
        Workload(id="b", namespace="db", labels={"app": "base"}, addresses=("10.1.0.1", "fd00::1")),
        Workload(id="c", namespace="web", host_network=True),
    ],
    {"db": {"tier": "data"}},
    Outside([Network("office", "198.51.100.0/24")]),
)


def _policies(data: bytes) -> int:
    """How many policies a text has, and how many connections they let through."""
    try:
        policies = writing.read(data.decode("utf-8", "replace"))
    except RedoubtError as error:
        require_clean(str(error))
        return 0
    assert writing.read(writing.written(policies)) == policies
    msgspec.json.encode([told(each) for each in policies])
    allowed = evaluated(_WORLD, policies)
    number = len(policies)
    for source in range(_WORLD.all.bit_length()):
        for target, ports in allowed.reached(source, _WORLD.all).items():
            assert source != target
            assert ports == tuple(sorted(ports))
            assert all(0 <= first <= last <= LAST for _, first, last in ports)
            number += 1
    return number


def _seeds() -> list[bytes]:
    one = b"""apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shop, namespace: web, labels: {a: b}}
spec:
  podSelector: {matchLabels: {app: shop}, matchExpressions: [{key: app, operator: In, values: [shop]}]}
  policyTypes: [Ingress, Egress]
  ingress:
  - {from: [{namespaceSelector: {matchLabels: {tier: data}}, podSelector: {}}], ports: [{port: http}, {port: 80, endPort: 90, protocol: UDP}]}
  egress:
  - {to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}
"""
    return [
        one,
        b"kind: List\nitems:\n- " + one.strip().replace(b"\n", b"\n  "),
        one + b"---\n" + one.replace(b"web", b"db"),
    ]


TARGETS = {"network-policies": Target(_policies, _seeds)}
