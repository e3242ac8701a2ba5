"""What network policies let through: rule by rule, and against a reference that looks at one connection at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.model.noderecords import PRIVATE
from redoubt.networkpolicies import evaluating
from redoubt.networkpolicies.evaluating import Allowed, Workload, World, evaluated
from redoubt.networkpolicies.outside import Network, Outside
from redoubt.networkpolicies.ports import ANYTHING, NOTHING, has

NAMESPACES = {"web": {"team": "a"}, "db": {"team": "b", "tier": "back"}, "ops": {}}
NETWORKS = [
    Network("office", "198.51.100.0/24"),
    Network("desk", "198.51.100.64/26"),
    Network("plant", "10.9.0.0/16"),
]
OUTSIDE = Outside(NETWORKS)
INTERNET, INTERNAL, OFFICE, DESK = range(3, 7)
HTTP = {("TCP", "http"): frozenset({8080})}
SHOP = Workload(id="shop", namespace="web", labels={"app": "shop"}, named=HTTP, addresses=("10.1.0.1",))
TILL = Workload(id="till", namespace="web", labels={"app": "till"}, addresses=("10.1.0.2", "fd00::2"))
BASE = Workload(id="base", namespace="db", labels={"app": "base"}, addresses=("10.1.1.1",))


def policy(spec: dict[str, Any], namespace: str = "web", name: str = "one") -> ClusterNetworkPolicy:
    return ClusterNetworkPolicy(id=f"{namespace}/{name}", name=name, namespace=namespace, spec=spec)


def seen(*policies: ClusterNetworkPolicy, workloads: Sequence[Workload] = (SHOP, TILL, BASE)) -> Allowed:
    return evaluated(World(workloads, NAMESPACES, OUTSIDE), policies)


def test_without_policies_everything_is_let_through() -> None:
    allowed = seen()
    assert allowed.between(0, 1) == allowed.between(2, 0) == allowed.between(0, INTERNET) == ANYTHING
    assert allowed.between(DESK, 1) == ANYTHING
    assert allowed.isolated_ingress | allowed.isolated_egress == 0


def test_a_policy_without_rules_lets_nothing_in_and_leaves_the_way_out() -> None:
    allowed = seen(policy({"podSelector": {}}))
    assert allowed.between(2, 0) == allowed.between(INTERNET, 0) == allowed.between(1, 0) == NOTHING
    assert allowed.between(0, 2) == allowed.between(0, INTERNET) == ANYTHING
    assert allowed.policies == [["web/one"], ["web/one"], []]


def test_both_ends_have_to_let_it_through() -> None:
    into = policy({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}],
                                                   "ports": [{"port": 8000, "endPort": 8100}]}]})  # fmt: skip
    out = policy(
        {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"ports": [{"port": "http"}, {"port": 9}]}],
        },
        "db",
    )
    allowed = seen(into, out)
    assert allowed.between(2, 0) == ((1, 8080, 8080),)
    assert allowed.between(2, 1) == NOTHING  # it has no port of that name
    assert allowed.between(2, INTERNET) == ((1, 9, 9),)
    assert seen(into).between(2, 1) == ((1, 8000, 8100),)


def test_rules_of_several_policies_add_up() -> None:
    one = policy({"podSelector": {}, "ingress": [{"ports": [{"port": 80}, {"protocol": "UDP"}]}]})
    two = policy(
        {"podSelector": {"matchLabels": {"app": "shop"}}, "ingress": [{"ports": [{"port": 81}]}]}, name="two"
    )
    allowed = seen(one, two)
    assert allowed.between(2, 0) == ((1, 80, 81), (2, 0, 65535))
    assert allowed.between(2, 1) == ((1, 80, 80), (2, 0, 65535))


def test_a_pod_selector_alone_is_about_the_policys_namespace() -> None:
    allowed = seen(policy({"ingress": [{"from": [{"podSelector": {}}]}]}))
    assert allowed.between(1, 0) == ANYTHING
    assert allowed.between(2, 0) == NOTHING


def test_blocks_are_about_who_has_an_address_in_them() -> None:
    block = {"cidr": "198.51.0.0/16", "except": ["198.51.100.64/26"]}
    allowed = seen(policy({"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": block}]}]}))
    assert [allowed.between(0, each) != NOTHING for each in (INTERNET, INTERNAL, OFFICE, DESK)] == [
        True, False, True, False,
    ]  # fmt: skip
    inner = {"cidr": "10.0.0.0/8", "except": ["10.1.1.0/24"]}
    allowed = seen(policy({"policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": inner}]}]}))
    assert allowed.between(0, 1) == ANYTHING
    assert allowed.between(0, 2) == NOTHING
    assert [allowed.between(0, each) != NOTHING for each in (INTERNET, INTERNAL, 7)] == [False, True, True]


def test_pods_on_the_hosts_network_are_subject_to_none() -> None:
    host = Workload(
        id="agent", namespace="web", labels={"app": "agent"}, host_network=True, addresses=("10.7.0.1",)
    )
    allowed = seen(
        policy(
            {
                "ingress": [
                    {"from": [{"podSelector": {}}]},
                    {"from": [{"ipBlock": {"cidr": "10.7.0.0/24"}}], "ports": [{"port": 5}]},
                ]
            }
        ),
        workloads=(SHOP, host),
    )
    assert allowed.between(0, 1) == ANYTHING
    assert allowed.between(1, 0) == ((1, 5, 5),)
    assert allowed.policies == [["web/one"], []]


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": 5},
        {"ingress": [{"from": [{}]}]},
        {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}]},
        {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}}]}]},
        {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]},
        {"ingress": [{"ports": [{"port": 0}]}]},
        {"ingress": [{"ports": [{"port": 80, "endPort": 79}]}]},
        {"ingress": [{"ports": [{"port": "http", "endPort": 90}]}]},
        {"ingress": [{"ports": [{"port": 80, "protocol": "ICMP"}]}]},
        {"ingress": [{"from": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}]}]},
        {"policyTypes": ["Sideways"]},
        {"egress": {"to": []}},
    ],
)
def test_what_kubernetes_would_not_take_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(UnreadableInput, match="web/one"):
        seen(policy(spec))


# The reference: one connection at a time, written from Kubernetes' documentation and sharing nothing with the above.

#: Addresses outside.
Remote = tuple[str, ...]


def _fits(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    for name, value in (selector.get("matchLabels") or {}).items():
        if name not in labels or labels[name] != value:
            return False
    for each in selector.get("matchExpressions") or []:
        there, values = labels.get(each["key"]), each.get("values")
        if each["operator"] == "In" and (there is None or there not in values):
            return False
        if each["operator"] == "NotIn" and there is not None and there in values:
            return False
        if each["operator"] == "Exists" and there is None:
            return False
        if each["operator"] == "DoesNotExist" and there is not None:
            return False
    return True


def _about(peer: Mapping[str, Any], namespace: str, other: Workload | Remote) -> bool:
    if "ipBlock" in peer:
        addresses = other.addresses if isinstance(other, Workload) else other
        for text in addresses:
            address = ip_address(text)
            if address in ip_network(peer["ipBlock"]["cidr"]) and not any(
                address in ip_network(each) for each in peer["ipBlock"].get("except", ())
            ):
                return True
        return False
    if not isinstance(other, Workload) or other.host_network:
        return False
    if "namespaceSelector" in peer:
        if not _fits(peer["namespaceSelector"], NAMESPACES[other.namespace]):
            return False
    elif other.namespace != namespace:
        return False
    return _fits(peer.get("podSelector", {}), other.labels)


def _at(rule: Mapping[str, Any], target: Workload | Remote, protocol: str, port: int) -> bool:
    if not rule.get("ports"):
        return True
    for each in rule["ports"]:
        if each.get("protocol", "TCP") != protocol:
            continue
        wanted = each.get("port")
        if wanted is None:
            return True
        if isinstance(wanted, str):
            if isinstance(target, Workload) and port in target.named.get((protocol, wanted), ()):
                return True
        elif wanted <= port <= each.get("endPort", wanted):
            return True
    return False


def _passes(
    policies: Sequence[ClusterNetworkPolicy],
    way: str,
    of: Workload | Remote,
    other: Workload | Remote,
    protocol: str,
    port: int,
) -> bool:
    if not isinstance(of, Workload) or of.host_network:
        return True
    limited = False
    for each in policies:
        spec = each.spec
        kinds = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
        if (
            each.namespace != of.namespace
            or way not in kinds
            or not _fits(spec.get("podSelector", {}), of.labels)
        ):
            continue
        limited = True
        for rule in spec.get(way.lower(), []):
            peers = rule.get("from" if way == "Ingress" else "to")
            if (not peers or any(_about(peer, each.namespace, other) for peer in peers)) and _at(
                rule, of if way == "Ingress" else other, protocol, port
            ):
                return True
    return not limited


_LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["a", "b", "c"]), max_size=2)
_EXPRESSION = st.builds(
    lambda key, operator, values: (
        {"key": key, "operator": operator} | ({"values": values} if operator in ("In", "NotIn") else {})
    ),
    st.sampled_from(["app", "tier", "team"]),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2),
)
_SELECTOR = st.fixed_dictionaries(
    {}, optional={"matchLabels": _LABELS, "matchExpressions": st.lists(_EXPRESSION, max_size=2)}
)
_BLOCKS = st.sampled_from(
    [
        {"cidr": "0.0.0.0/0"},
        {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "198.51.100.64/26"]},
        {"cidr": "10.1.0.0/24", "except": ["10.1.0.1/32"]},
        {"cidr": "198.51.100.64/26"},
        {"cidr": "::/0"},
    ]
)
_PEER = st.one_of(
    st.fixed_dictionaries({"ipBlock": _BLOCKS}),
    st.fixed_dictionaries({"podSelector": _SELECTOR}, optional={"namespaceSelector": _SELECTOR}),
    st.fixed_dictionaries({"namespaceSelector": _SELECTOR}),
)
_PORT = st.sampled_from(
    [{}, {"port": 80}, {"port": 79, "endPort": 90}, {"port": "http"}, {"protocol": "UDP"}, {"protocol": "UDP", "port": 53}, {"port": "dns", "protocol": "UDP"}]
)  # fmt: skip


def _rules(side: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    parts = {side: st.lists(_PEER, max_size=2), "ports": st.lists(_PORT, max_size=2)}
    return st.lists(st.fixed_dictionaries({}, optional=parts), max_size=3)


_SPEC = st.fixed_dictionaries(
    {"podSelector": _SELECTOR},
    optional={
        "ingress": _rules("from"),
        "egress": _rules("to"),
        "policyTypes": st.lists(st.sampled_from(["Ingress", "Egress"]), max_size=2, unique=True),
    },
)
_WORKLOAD = st.builds(
    lambda namespace, labels, named, host, addresses: Workload(
        id="w", namespace=namespace, labels=labels, named=named, host_network=host, addresses=tuple(addresses)
    ),
    st.sampled_from(sorted(NAMESPACES)),
    _LABELS,
    st.dictionaries(
        st.sampled_from([("TCP", "http"), ("UDP", "dns")]),
        st.frozensets(st.sampled_from([53, 80, 8080]), min_size=1, max_size=2),
        max_size=2,
    ),
    st.booleans(),
    st.lists(st.sampled_from(["10.1.0.1", "10.1.0.2", "198.51.100.70", "fd00::1"]), max_size=2, unique=True),
)
#: Addresses of each of those outside, in their order.
_REMOTE: tuple[Remote, ...] = (
    ("203.0.113.5", "2001:db8::1"),
    ("192.168.9.9", "10.1.0.200", "fd00::9"),
    ("198.51.100.1",),
    ("198.51.100.65",),
    ("10.9.0.1",),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(_WORKLOAD, min_size=1, max_size=4),
    st.lists(st.tuples(_SPEC, st.sampled_from(sorted(NAMESPACES))), max_size=5),
)
def test_it_is_what_one_connection_at_a_time_comes_to(
    workloads: list[Workload], specs: list[tuple[dict[str, Any], str]]
) -> None:
    policies = [policy(spec, namespace, str(at)) for at, (spec, namespace) in enumerate(specs)]
    allowed = seen(*policies, workloads=workloads)
    ends: list[Workload | Remote] = [*workloads, *_REMOTE]
    for source, one in enumerate(ends):
        reached = allowed.reached(source, allowed.world.all)
        for target, other in enumerate(ends):
            if source == target or (isinstance(one, tuple) and isinstance(other, tuple)):
                assert target not in reached
                continue
            for protocol, port in (("TCP", 80), ("TCP", 85), ("UDP", 53), ("UDP", 8080), ("TCP", 8080)):
                expected = _passes(policies, "Egress", one, other, protocol, port) and _passes(
                    policies, "Ingress", other, one, protocol, port
                )
                assert has(reached.get(target, NOTHING), protocol, port) is expected


def test_each_address_is_the_smallest_networks() -> None:
    for at, addresses in enumerate(_REMOTE):
        for address in map(ip_address, addresses):
            assert OUTSIDE.within([(address.version, int(address), int(address))]) == 1 << at
    assert OUTSIDE.within([(6, 1, 1)]) == 1 << Outside.INTERNET
    for each in PRIVATE:
        found = OUTSIDE.within([(each.version, int(each.network_address), int(each.broadcast_address))])
        assert not found & 1 << Outside.INTERNET


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluating, "_MOST_PAIRS", 1000)
    monkeypatch.setattr(evaluating, "_MOST_STEPS", 1000)
    workloads = [Workload(id=str(at), namespace="web", labels={"app": str(at)}) for at in range(100)]
    with pytest.raises(LimitExceeded, match="workloads"):
        seen(*(policy({}, name=str(at)) for at in range(11)), workloads=workloads)
    odd = [
        {"from": [{"podSelector": {"matchLabels": {"app": str(at)}}}], "ports": [{"port": at + 1}]}
        for at in range(100)
    ]
    with pytest.raises(LimitExceeded, match="rules"):
        seen(policy({"ingress": odd}), workloads=workloads)


def test_many_ports_are_no_hindrance() -> None:
    many = policy({"ingress": [{"ports": [{"port": at} for at in range(1, 20_000, 2)]}]})
    assert len(seen(many).between(2, 0)) == 10_000
