"""In which clusters and namespaces a caller may see a resource: what handlers of routes with ``scoped=True`` leave out the rest by.

The rules are those of access scopes: clusters by identifier, name or labels, namespaces of a cluster by name or labels. No
rule lets nothing in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from uuid import UUID

import msgspec

from redoubt.central.auth.caller import Caller
from redoubt.central.auth.roles import DENY_ALL, Access, Level, Requirement, Resource, ScopeRules, Selector
from redoubt.central.store import Pool


class Reach(msgspec.Struct, frozen=True):
    """Everywhere, or these clusters and these namespaces of clusters."""

    everywhere: bool = False
    clusters: frozenset[UUID] = frozenset()
    namespaces: frozenset[tuple[UUID, str]] = frozenset()

    def has(self, cluster: UUID, namespace: str = "") -> bool:
        """Whether it is within."""
        return self.everywhere or cluster in self.clusters or (cluster, namespace) in self.namespaces

    def some(self, cluster: UUID) -> bool:
        """Whether anything of a cluster is within."""
        return self.has(cluster) or any(each == cluster for each, _ in self.namespaces)

    def condition(self, values: list[object], cluster: str = "cluster", namespace: str = "namespace") -> str:
        """A condition of SQL on two columns; what it compares with is added to ``values``."""
        if self.everywhere:
            return "TRUE"
        several = sorted(self.namespaces)
        values += [list(self.clusters), [each[0] for each in several], [each[1] for each in several]]
        at = len(values)
        within = f"SELECT * FROM unnest(${at - 1}::uuid[], ${at}::text[])"  # noqa: S608  # numbers only
        return f"({cluster} = ANY(${at - 2}::uuid[]) OR ({cluster}, {namespace}) IN ({within}))"


EVERYWHERE = Reach(everywhere=True)


class KnownCluster(msgspec.Struct, frozen=True):
    """A cluster as scopes look at it; ``namespaces`` have their labels."""

    id: UUID
    name: str
    labels: Mapping[str, str]
    namespaces: Mapping[str, Mapping[str, str]]


async def reach(pool: Pool, caller: Caller, resource: Resource, access: Access = Access.READ) -> Reach:
    """Where ``caller`` has ``access`` to ``resource``."""
    if caller.may(resource, access, everywhere=True):
        return EVERYWHERE
    rules = [
        role.scope.rules
        for role in caller.roles
        if role.gives(resource) >= access and role.scope.id != DENY_ALL and role.scope.rules is not None
    ]
    if not rules:
        return Reach()
    found = within(rules, await _clusters(pool, labels=any(each.namespace_label_selectors for each in rules)))
    # What is a whole cluster's is not seen by who sees some of its namespaces.
    return Reach(clusters=found.clusters) if resource.level is Level.CLUSTER else found


def within(rules: Iterable[ScopeRules], clusters: Iterable[KnownCluster]) -> Reach:
    """What rules let in. Pure."""
    whole: set[UUID] = set()
    parts: set[tuple[UUID, str]] = set()
    given = list(rules)
    for cluster in clusters:
        for each in given:
            if (
                str(cluster.id) in each.included_cluster_ids
                or cluster.name in each.included_clusters
                or any(_fits(one, cluster.labels) for one in each.cluster_label_selectors)
            ):
                whole.add(cluster.id)
            parts |= {
                (cluster.id, one.namespace_name)
                for one in each.included_namespaces
                if str(cluster.id) == one.cluster_id
                or (one.cluster_name and cluster.name == one.cluster_name)
            }
            parts |= {
                (cluster.id, name)
                for name, labels in cluster.namespaces.items()
                if any(_fits(one, labels) for one in each.namespace_label_selectors)
            }
    return Reach(clusters=frozenset(whole), namespaces=frozenset(parts))


def _fits(selector: Selector, labels: Mapping[str, str]) -> bool:
    """A selector without requirements fits nothing: it would let in all."""
    return bool(selector.requirements) and all(_holds(each, labels) for each in selector.requirements)


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    there = labels.get(requirement.key)
    match requirement.op:
        case "IN":
            return there in requirement.values
        case "NOT_IN":
            return there not in requirement.values
        case "EXISTS":
            return there is not None
        case "NOT_EXISTS":
            return there is None
        case _:
            return False


async def _clusters(pool: Pool, *, labels: bool) -> list[KnownCluster]:
    """All clusters; with the ``labels`` of their namespaces where these are asked for."""
    namespaces: dict[UUID, dict[str, dict[str, str]]] = defaultdict(dict)
    if labels:
        for row in await pool.fetch(
            "SELECT cluster, name, labels FROM cluster_objects WHERE kind = 'namespace'"
        ):
            namespaces[row["cluster"]][row["name"]] = _labels(row["labels"])
    rows = await pool.fetch(
        "SELECT id, name, coalesce(record -> 'labels', '{}')::text AS labels FROM clusters"
    )
    return [
        KnownCluster(row["id"], row["name"], _labels(row["labels"]), namespaces.get(row["id"], {}))
        for row in rows
    ]


def _labels(text: str) -> dict[str, str]:
    return msgspec.json.decode(text, type=dict[str, str])
