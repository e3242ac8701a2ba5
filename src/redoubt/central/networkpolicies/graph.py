"""What network policies let through, as the original draws it. Pure.

A connection between two that are both free in its direction is not drawn: ``nonIsolatedEgress`` of the one and
``nonIsolatedIngress`` of the other say it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from redoubt.central.activity.graph import (
    INTERNAL,
    INTERNET,
    GraphDeployment,
    GraphEntity,
    external,
)
from redoubt.central.networkpolicies.loading import Cluster
from redoubt.central.refusals import InvalidArgument
from redoubt.networkpolicies.evaluating import Allowed
from redoubt.networkpolicies.outside import Outside
from redoubt.networkpolicies.ports import LAST, NOTHING, PROTOCOLS, Ports, difference
from redoubt.networkpolicies.selectors import bits_of, members

#: Connections in one graph.
_MOST_EDGES = 500_000
#: Deployments times different ways to be reached, of those that are asked for.
_MOST_STEPS = 20_000_000

Edges = dict[int, dict[int, Ports]]


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """A message of the original."""


class AllowedPort(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """``NetworkEdgeProperties``. Port 0 is all of them; ``endPort`` is ours: the last of a range."""

    port: int
    protocol: str
    end_port: int = 0


class AllowedPorts(_Message, frozen=True, kw_only=True):
    """``NetworkEdgePropertiesBundle``; empty unless ports are asked for."""

    properties: list[AllowedPort]


class AllowedNode(_Message, frozen=True, kw_only=True):
    """``NetworkNode``. Keys of ``outEdges`` are places in the list of nodes."""

    entity: GraphEntity
    internet_access: bool
    policy_ids: list[str]
    non_isolated_ingress: bool
    non_isolated_egress: bool
    query_match: bool
    out_edges: dict[str, AllowedPorts]


class AllowedGraph(_Message, frozen=True, kw_only=True):
    """``NetworkGraph``."""

    epoch: int
    nodes: list[AllowedNode]


class NodeDifference(_Message, frozen=True, kw_only=True):
    """``NetworkNodeDiff``. Keys of ``outEdges`` are identifiers of entities."""

    policy_ids: list[str]
    out_edges: dict[str, AllowedPorts]
    non_isolated_ingress: bool
    non_isolated_egress: bool


class GraphDifference(_Message, frozen=True, kw_only=True):
    """``NetworkGraphDiff``: only what is different."""

    node_diffs: dict[str, NodeDifference]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What of a cluster is drawn: deployments that may be seen, whether they were asked for; policies that may be named."""

    deployments: Mapping[str, bool]
    policy: Callable[[str], bool]
    include_ports: bool = True


class Drawing:
    """What policies let through between what is shown."""

    def __init__(self, cluster: Cluster, allowed: Allowed, shown: Shown) -> None:
        self.cluster = cluster
        self.allowed = allowed
        self.shown = shown
        self._number = cluster.world.number
        size = self._number // 8 + 1
        places = {each.id: at for at, each in enumerate(cluster.deployments)}
        seen = {places[each]: asked for each, asked in shown.deployments.items() if each in places}
        self._outside = cluster.world.outside.all << self._number
        self._seen = bits_of(seen, size)
        #: All that may be told of.
        self.everybody = self._seen | self._outside
        self._asked = bits_of((at for at, asked in seen.items() if asked), size)
        self.edges: Edges = {}
        if self._seen.bit_count() * min(self._asked.bit_count(), allowed.ways) > _MOST_STEPS:
            raise InvalidArgument("these are too many deployments for one graph; ask for less by a query")
        number = 0
        for source in members(self.everybody):
            if found := allowed.reached(source, self._targets(source)):
                self.edges[source] = found
                if (number := number + len(found)) > _MOST_EDGES:
                    raise InvalidArgument(
                        f"there are more than {_MOST_EDGES} connections; ask for less by a query"
                    )

    def _targets(self, source: int) -> int:
        """Whom a place's connections are drawn to."""
        among = self._asked
        if self._has(self._asked, source):
            among = self.everybody
        if not self._has(self.allowed.isolated_egress, source):
            among &= self.allowed.isolated_ingress
        return among

    def reaching(self, place: int) -> Iterator[tuple[int, Ports]]:
        """Everybody that may reach a place, and at which ports."""
        for source in members(self.everybody):
            if found := self.allowed.reached(source, 1 << place):
                yield source, found[place]

    def nodes(self) -> list[int]:
        """Places that are drawn: what was asked for, what that is connected with, and what is free where that is free."""
        found = self._asked
        for source, targets in self.edges.items():
            found |= 1 << source
            found |= bits_of(targets, self.cluster.world.all.bit_length() // 8 + 1)
        reachable = self._asked & ~self.allowed.isolated_ingress
        reaching = self._asked & ~self.allowed.isolated_egress
        if reachable:
            found |= self._seen & ~self.allowed.isolated_egress
        if reaching:
            found |= self._seen & ~self.allowed.isolated_ingress
        if reachable or reaching:
            found |= 1 << self._number
        return members(found)

    def graph(self) -> AllowedGraph:
        """All of it."""
        places = self.nodes()
        order = {place: str(at) for at, place in enumerate(places)}
        return AllowedGraph(epoch=self.cluster.epoch, nodes=[self._node(place, order) for place in places])

    def _node(self, place: int, order: Mapping[int, str]) -> AllowedNode:
        edges = self.edges.get(place, {})
        free_in = not self._has(self.allowed.isolated_ingress, place)
        free_out = not self._has(self.allowed.isolated_egress, place)
        return AllowedNode(
            entity=self.entity(place),
            internet_access=place >= self._number or free_out or self._online(place),
            policy_ids=self._policies(place),
            non_isolated_ingress=free_in,
            non_isolated_egress=free_out,
            query_match=self._has(self._asked, place),
            out_edges={order[target]: self.ports(ports) for target, ports in edges.items()},
        )

    def entity(self, place: int) -> GraphEntity:
        """Who has a place."""
        if place < self._number:
            found = self.cluster.deployments[place]
            about = GraphDeployment(
                name=found.name, namespace=found.namespace, cluster=self.cluster.name, listen_ports=[]
            )
            return GraphEntity(type="DEPLOYMENT", id=found.id, deployment=about)
        match place - self._number:
            case Outside.INTERNET:
                return GraphEntity(type="INTERNET", id=INTERNET)
            case Outside.INTERNAL:
                return GraphEntity(type="INTERNAL_ENTITIES", id=INTERNAL)
            case other:
                return external(self.cluster.blocks[other - 2])

    def ports(self, these: Ports) -> AllowedPorts:
        """As they are told, where they are asked for."""
        return AllowedPorts(properties=properties(these) if self.shown.include_ports else [])

    def _online(self, place: int) -> bool:
        inside = 1 << (self._number + Outside.INTERNAL)
        return bool(self.allowed.reached(place, self._outside & ~inside))

    def _policies(self, place: int) -> list[str]:
        if place >= self._number:
            return []
        return sorted(each for each in self.allowed.policies[place] if self.shown.policy(each))

    @staticmethod
    def _has(places: int, place: int) -> bool:
        return bool(places >> place & 1)

    def beyond(self, other: Drawing) -> GraphDifference:
        """What is here and was not let through, said or meant there."""
        found: dict[str, NodeDifference] = {}
        for place in self.nodes():
            edges = self.edges.get(place, {})
            there = other.allowed.reached(place, bits_of(edges, self.cluster.world.all.bit_length() // 8 + 1))
            more = {
                target: left
                for target, ports in edges.items()
                if (left := difference(ports, there.get(target, NOTHING)))
            }
            policies = set(self._policies(place)) - set(other._policies(place))
            free = [
                not self._has(mine, place) and self._has(theirs, place)
                for mine, theirs in (
                    (self.allowed.isolated_ingress, other.allowed.isolated_ingress),
                    (self.allowed.isolated_egress, other.allowed.isolated_egress),
                )
            ]
            if more or policies or any(free):
                found[self.entity(place).id] = NodeDifference(
                    policy_ids=sorted(policies),
                    out_edges={self.entity(each).id: self.ports(ports) for each, ports in more.items()},
                    non_isolated_ingress=free[0],
                    non_isolated_egress=free[1],
                )
        return GraphDifference(node_diffs=found)


def properties(these: Ports) -> list[AllowedPort]:
    """Protocols and ports in the original's words."""
    return list(_properties(these))


def _properties(these: Ports) -> Iterable[AllowedPort]:
    for protocol, first, last in these:
        name = f"L4_PROTOCOL_{PROTOCOLS[protocol] or 'ANY'}"
        if (first, last) == (0, LAST) or first == last:
            yield AllowedPort(port=first, protocol=name)
        else:
            yield AllowedPort(port=first, protocol=name, end_port=last)
