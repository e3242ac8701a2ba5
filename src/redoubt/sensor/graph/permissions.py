"""What a service account may do, as one of five levels. Pure.

Rules: StackRox's ``sensor/kubernetes/listener/resources/rbac``. Each rule of a role is looked at by itself: everything with
every verb; something that changes a resource; listing; reading. A cluster-wide binding makes all of these cluster-wide, one
in a namespace makes the first three "elevated in namespace", the last "default". Names of resources and URLs do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from redoubt.model.cluster import K8sRole, PolicyRule
from redoubt.model.workload import PERMISSION_LEVELS
from redoubt.sensor.conversion.objects import SeenBinding

_NOTHING, _READ, _LIST, _WRITE, _EVERYTHING = range(5)
_WRITES = frozenset({"create", "bind", "patch", "update", "delete", "deletecollection"})
_IN_CLUSTER = (
    "NONE",
    "ELEVATED_CLUSTER_WIDE",
    "ELEVATED_CLUSTER_WIDE",
    "ELEVATED_CLUSTER_WIDE",
    "CLUSTER_ADMIN",
)
_IN_NAMESPACE = ("NONE", "DEFAULT", "ELEVATED_IN_NAMESPACE", "ELEVATED_IN_NAMESPACE", "ELEVATED_IN_NAMESPACE")

#: Namespace and name of a role; a ClusterRole's namespace is empty.
RoleKey = tuple[str, str]
#: Namespace and name of a service account.
Account = tuple[str, str]


def role_key(role: K8sRole) -> RoleKey:
    """What bindings call it by."""
    return ("" if role.cluster_role else role.namespace, role.name)


def bound_role(seen: SeenBinding) -> RoleKey:
    """The role that a binding is for."""
    return ("" if seen.of_cluster_role else seen.binding.namespace, seen.binding.role_name)


def power(rules: Iterable[PolicyRule]) -> int:
    """How much a role's rules allow: 0 for nothing, 4 for everything."""
    return max((_power(rule) for rule in rules), default=_NOTHING)


def _power(rule: PolicyRule) -> int:
    verbs = set(rule.verbs)
    # A rule about URLs alone allows nothing on resources.
    if not verbs or not rule.resources or not rule.api_groups:
        return _NOTHING
    if "*" in verbs:
        return _EVERYTHING if "*" in rule.resources and "*" in rule.api_groups else _WRITE
    if verbs & _WRITES:
        return _WRITE
    if "list" in verbs:
        return _LIST
    return _READ if verbs & {"get", "watch"} else _NOTHING


def levels(roles: Mapping[RoleKey, K8sRole], bindings: Iterable[SeenBinding]) -> dict[Account, str]:
    """The level of every service account that a binding names. Others have ``NONE``."""
    powers = {key: power(role.rules) for key, role in roles.items()}
    found: dict[Account, str] = {}
    for seen in bindings:
        strength = powers.get(bound_role(seen))
        if strength is None:
            continue
        level = (_IN_CLUSTER if seen.binding.cluster_role else _IN_NAMESPACE)[strength]
        for subject in seen.binding.subjects:
            if subject.kind != "SERVICE_ACCOUNT":
                continue
            account = (subject.namespace or seen.binding.namespace, subject.name)
            found[account] = _higher(level, found.get(account, "NONE"))
    return found


def _higher(one: str, other: str) -> str:
    return max(one, other, key=PERMISSION_LEVELS.index)
