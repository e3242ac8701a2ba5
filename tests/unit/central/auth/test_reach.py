"""In which clusters and namespaces a caller may look."""

from __future__ import annotations

from uuid import UUID

from redoubt.central.auth.reach import EVERYWHERE, KnownCluster, Reach, within
from redoubt.central.auth.roles import Requirement, ScopeNamespace, ScopeRules, Selector

A, B = UUID(int=1), UUID(int=2)
CLUSTERS = [
    KnownCluster(A, "alpha", {"stage": "prod"}, {"web": {"team": "shop"}, "db": {}}),
    KnownCluster(B, "beta", {}, {"web": {"team": "shop"}}),
]


def selector(key: str, op: str, *values: str) -> Selector:
    return Selector(requirements=[Requirement(key=key, op=op, values=list(values))])


def test_no_rule_lets_nothing_in() -> None:
    assert within([ScopeRules()], CLUSTERS) == Reach()
    assert within([ScopeRules(cluster_label_selectors=[Selector()])], CLUSTERS) == Reach()
    assert (
        within([ScopeRules(included_namespaces=[ScopeNamespace(namespace_name="web")])], CLUSTERS) == Reach()
    )


def test_clusters_by_identifier_name_and_labels() -> None:
    for rules in (
        ScopeRules(included_cluster_ids=[str(A)]),
        ScopeRules(included_clusters=["alpha"]),
        ScopeRules(cluster_label_selectors=[selector("stage", "IN", "prod", "test")]),
        ScopeRules(cluster_label_selectors=[selector("stage", "EXISTS")]),
    ):
        assert within([rules], CLUSTERS) == Reach(clusters=frozenset({A}))
    for op in ("NOT_IN", "NOT_EXISTS"):
        rules = ScopeRules(cluster_label_selectors=[selector("stage", op, "prod")])
        assert within([rules], CLUSTERS).clusters == {B}
    assert within([ScopeRules(cluster_label_selectors=[selector("stage", "ODD")])], CLUSTERS) == Reach()


def test_namespaces_of_one_cluster_or_by_labels() -> None:
    one = ScopeRules(included_namespaces=[ScopeNamespace(cluster_name="alpha", namespace_name="web")])
    assert within([one], CLUSTERS).namespaces == {(A, "web")}
    labels = ScopeRules(namespace_label_selectors=[selector("team", "IN", "shop")])
    assert within([labels], CLUSTERS).namespaces == {(A, "web"), (B, "web")}


def test_what_is_within() -> None:
    reach = Reach(clusters=frozenset({A}), namespaces=frozenset({(B, "web")}))
    assert reach.has(A, "anything")
    assert reach.has(B, "web")
    assert not reach.has(B, "db")
    assert not reach.has(B)
    assert EVERYWHERE.has(B)
    values: list[object] = ["before"]
    assert "$2" in reach.condition(values)
    assert values[1:] == [[A], [B], ["web"]]
    assert EVERYWHERE.condition(values) == "TRUE"
