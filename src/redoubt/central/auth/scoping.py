"""Where a caller may look: in which clusters, and in which of their namespaces.

Roles hold in access scopes; a scope's rules are asked of the clusters and namespaces that there are now. What is of no
namespace is seen by those who may see its whole cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from redoubt.central.auth.caller import Caller
from redoubt.central.auth.roles import Access, Level, Resource, ScopeRules, Selector
from redoubt.central.store import Pool


class Visible(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody may look. ``clusters`` are seen whole, ``namespaces`` in addition."""

    everywhere: bool = False
    clusters: frozenset[UUID] = frozenset()
    namespaces: frozenset[tuple[UUID, str]] = frozenset()

    def cluster(self, cluster: UUID) -> bool:
        """Whether a cluster is seen whole."""
        return self.everywhere or cluster in self.clusters

    def sees(self, cluster: UUID, namespace: str) -> bool:
        """Whether what is in a namespace is seen."""
        return self.cluster(cluster) or (cluster, namespace) in self.namespaces

    def condition(self, cluster: str, namespace: str, first: int) -> tuple[str, tuple[object, ...]]:
        """The same in SQL: a condition on two columns, and its values from ``$first`` on.

        ``namespace`` is empty where the table has none: then only whole clusters count. Both are constants of the caller's.
        """
        if self.everywhere:
            return "true", ()
        whole = f"{cluster} = ANY (${first}::uuid[])"
        clusters = sorted(self.clusters)
        if not namespace or not self.namespaces:
            return whole, (clusters,)
        several = sorted(self.namespaces)
        text = (
            f"({whole} OR ({cluster}, {namespace}) IN"  # noqa: S608  # constants
            f" (SELECT * FROM unnest(${first + 1}::uuid[], ${first + 2}::text[])))"
        )
        return text, (clusters, [each for each, _ in several], [name for _, name in several])


class _Cluster(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    labels: Mapping[str, str]


async def visible(pool: Pool, caller: Caller, resource: Resource, access: Access = Access.READ) -> Visible:
    """Where ``caller`` may do that. Nowhere is an answer, too."""
    rules: list[ScopeRules] = []
    for role in caller.roles:
        if role.gives(resource) < access:
            continue
        if role.unrestricted or resource.level is Level.GLOBAL:
            return Visible(everywhere=True)
        if role.scope.rules is not None:
            rules.append(role.scope.rules)
    if not rules:
        return Visible()
    clusters = [
        _Cluster(row["id"], row["name"], msgspec.json.decode(row["labels"] or "{}", type=dict[str, str]))
        for row in await pool.fetch("SELECT id, name, record->>'labels' AS labels FROM clusters")
    ]
    whole = {each.id for each in clusters for rule in rules if _included(each, rule)}
    if resource.level is Level.CLUSTER:
        return Visible(clusters=frozenset(whole))
    namespaces = {
        (each.id, named.namespace_name)
        for each in clusters
        for rule in rules
        for named in rule.included_namespaces
        if str(each.id) == named.cluster_id or (each.name == named.cluster_name and not named.cluster_id)
    }
    if any(rule.namespace_label_selectors for rule in rules):
        rows = await pool.fetch(
            "SELECT cluster, name, labels FROM cluster_objects WHERE kind = 'namespace' AND cluster <> ALL ($1::uuid[])",
            sorted(whole),
        )
        for row in rows:
            labels = msgspec.json.decode(row["labels"], type=dict[str, str])
            if any(_any(rule.namespace_label_selectors, labels) for rule in rules):
                namespaces.add((row["cluster"], row["name"]))
    return Visible(
        clusters=frozenset(whole), namespaces=frozenset(each for each in namespaces if each[0] not in whole)
    )


def _included(cluster: _Cluster, rules: ScopeRules) -> bool:
    return (
        str(cluster.id) in rules.included_cluster_ids
        or cluster.name in rules.included_clusters
        or _any(rules.cluster_label_selectors, cluster.labels)
    )


def _any(selectors: Sequence[Selector], labels: Mapping[str, str]) -> bool:
    return any(_selects(each, labels) for each in selectors)


def _selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    """All requirements have to hold; where there is none, nothing is selected."""
    return bool(selector.requirements) and all(
        _holds(each.op, labels.get(each.key), each.values) for each in selector.requirements
    )


def _holds(operator: str, value: str | None, values: Sequence[str]) -> bool:
    """As in Kubernetes' selectors: what has no such label is not in, and so ``NOT_IN`` holds for it."""
    match operator:
        case "IN":
            return value is not None and value in values
        case "NOT_IN":
            return value is None or value not in values
        case "EXISTS":
            return value is not None
        case "NOT_EXISTS":
            return value is None
        case _:
            return False
