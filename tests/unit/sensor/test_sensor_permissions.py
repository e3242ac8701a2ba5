"""What a service account may do, weighed out of roles and bindings."""

from __future__ import annotations

import pytest

from redoubt.model.cluster import K8sRole, K8sRoleBinding, PolicyRule, Subject
from redoubt.sensor.conversion.objects import SeenBinding
from redoubt.sensor.graph.permissions import levels, role_key
from redoubt.sensor.graph.rights import Rights

ACCOUNT = ("shop", "till")


def _rule(*verbs: str, resources: tuple[str, ...] = ("pods",), groups: tuple[str, ...] = ("",)) -> PolicyRule:
    return PolicyRule(verbs=verbs, resources=resources, api_groups=groups)


def _bound(cluster: bool, *, of_cluster_role: bool = True, name: str = "role") -> SeenBinding:
    subject = Subject(kind="SERVICE_ACCOUNT", name="till", namespace="shop")
    namespace = "" if cluster else "shop"
    binding = K8sRoleBinding(
        id="b", name="b", namespace=namespace, cluster_role=cluster, role_name=name, subjects=(subject,)
    )
    return SeenBinding(binding, of_cluster_role)


EVERYTHING = _rule("*", resources=("*",), groups=("*",))


@pytest.mark.parametrize(
    ("rule", "in_cluster", "in_namespace"),
    [
        (EVERYTHING, "CLUSTER_ADMIN", "ELEVATED_IN_NAMESPACE"),
        (_rule("*"), "ELEVATED_CLUSTER_WIDE", "ELEVATED_IN_NAMESPACE"),
        (_rule("create"), "ELEVATED_CLUSTER_WIDE", "ELEVATED_IN_NAMESPACE"),
        (_rule("list"), "ELEVATED_CLUSTER_WIDE", "ELEVATED_IN_NAMESPACE"),
        (_rule("get"), "ELEVATED_CLUSTER_WIDE", "DEFAULT"),
        (_rule("watch"), "ELEVATED_CLUSTER_WIDE", "DEFAULT"),
        (_rule("impersonate"), "NONE", "NONE"),
        (PolicyRule(verbs=("get",), non_resource_urls=("/healthz",)), "NONE", "NONE"),
        (_rule(), "NONE", "NONE"),
    ],
)
def test_a_rule_gives_a_level(rule: PolicyRule, in_cluster: str, in_namespace: str) -> None:
    role = K8sRole(id="r", name="role", cluster_role=True, rules=(rule,))
    roles = {role_key(role): role}
    assert levels(roles, [_bound(cluster=True)])[ACCOUNT] == in_cluster
    assert levels(roles, [_bound(cluster=False)])[ACCOUNT] == in_namespace


def test_the_highest_of_several_counts() -> None:
    roles = {
        ("", "admin"): K8sRole(name="admin", cluster_role=True, rules=(EVERYTHING,)),
        ("shop", "role"): K8sRole(name="role", namespace="shop", rules=(_rule("get"),)),
    }
    bindings = [_bound(cluster=True, name="admin"), _bound(cluster=False, of_cluster_role=False)]
    assert levels(roles, bindings)[ACCOUNT] == "CLUSTER_ADMIN"
    assert levels(roles, reversed(bindings))[ACCOUNT] == "CLUSTER_ADMIN"


def test_a_binding_of_a_role_that_is_not_there_gives_nothing() -> None:
    assert levels({}, [_bound(cluster=True)]) == {}


def test_who_has_another_level_is_said_once() -> None:
    rights = Rights()
    rights.put_binding("b", _bound(cluster=True))
    assert rights.weigh() == []
    role = K8sRole(id="r", name="role", cluster_role=True, rules=(EVERYTHING,))
    assert rights.put_role(role) == {"b"}
    assert rights.weigh() == [ACCOUNT]
    assert rights.weigh() == []
    assert rights.level(ACCOUNT) == "CLUSTER_ADMIN"
    assert rights.role_of("b") == "r"
    rights.lose_binding("b")
    assert rights.weigh() == [ACCOUNT]
    assert rights.level(ACCOUNT) == "NONE"
