"""The network graph: deployments, what is outside, and who talks to whom. Pure.

An address outside belongs to the smallest network that has a name, else to the internet. That is found out each time, so a
network that is named, or forgotten, moves its flows at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from redoubt.central.activity.blocks import Block, Blocks
from redoubt.central.store.activity import Node, SeenFlow

#: The original's identifiers of what is outside all networks that have a name, and of what is inside without one.
INTERNET = "afa12424-bde3-4313-b810-bb463cbe8f90"
INTERNAL = "ada12424-bde3-4313-b810-bb463cbe8f90"


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class ListenPort(_Message, frozen=True, kw_only=True):
    """``NetworkEntityInfo.Deployment.ListenPort``."""

    port: int
    l4protocol: str


class GraphDeployment(_Message, frozen=True, kw_only=True):
    """``NetworkEntityInfo.Deployment``."""

    name: str
    namespace: str
    cluster: str
    listen_ports: list[ListenPort]


class ExternalSource(_Message, frozen=True, kw_only=True):
    """``NetworkEntityInfo.ExternalSource``. None of them come with Central."""

    name: str
    cidr: str
    default: bool = False
    discovered: bool = False


class GraphEntity(_Message, frozen=True, kw_only=True):
    """``NetworkEntityInfo``."""

    type: str
    id: str
    deployment: GraphDeployment | None = None
    external_source: ExternalSource | None = None


class EdgeProperties(_Message, frozen=True, kw_only=True):
    """``NetworkEdgeProperties``; ``lastActiveTimestamp`` is null where it is open."""

    port: int
    protocol: str
    last_active_timestamp: datetime | None


class Edges(_Message, frozen=True, kw_only=True):
    """``NetworkEdgePropertiesBundle``."""

    properties: list[EdgeProperties]


class GraphNode(_Message, frozen=True, kw_only=True):
    """``NetworkNode``. Keys of ``outEdges`` are places in the list of nodes.

    What is said of network policies is said of deployments, and where it is asked for.
    """

    entity: GraphEntity
    internet_access: bool
    policy_ids: list[str] = []
    non_isolated_ingress: bool = False
    non_isolated_egress: bool = False
    query_match: bool
    out_edges: dict[str, Edges]


class NetworkGraph(_Message, frozen=True, kw_only=True):
    """``NetworkGraph``. ``incomplete`` is ours: there were more flows than are looked at."""

    nodes: list[GraphNode]
    epoch: int = 0
    incomplete: bool = False


def drawn(
    nodes: Iterable[Node],
    flows: Iterable[SeenFlow],
    blocks: Blocks,
    cluster: str,
    ports: Mapping[str, list[ListenPort]],
) -> NetworkGraph:
    """Deployments that were asked for, and what they talk to."""
    known = {each.id: each for each in nodes}
    shown: dict[str, GraphEntity] = {
        each.id: _deployment(each, cluster, ports) for each in known.values() if each.matched
    }
    edges: dict[str, dict[str, dict[tuple[int, str], SeenFlow]]] = {}
    for flow in flows:
        ends = [
            _end(*each, known, blocks, cluster, ports)
            for each in ((flow.source_type, flow.source), (flow.target_type, flow.target))
        ]
        source, target = ends
        if source is None or target is None:
            continue
        if not any(each.id in known and known[each.id].matched for each in (source, target)):
            continue
        shown.setdefault(source.id, source)
        shown.setdefault(target.id, target)
        between = edges.setdefault(source.id, {}).setdefault(target.id, {})
        there = between.get((flow.port, flow.protocol))
        if there is None or _latest(flow) > _latest(there):
            between[flow.port, flow.protocol] = flow
    order = {identifier: at for at, identifier in enumerate(shown)}
    return NetworkGraph(
        nodes=[
            GraphNode(
                entity=entity,
                internet_access=any(_outside(shown[each]) for each in edges.get(identifier, ())),
                query_match=identifier in known and known[identifier].matched,
                out_edges={
                    str(order[target]): Edges(properties=_properties(between))
                    for target, between in edges.get(identifier, {}).items()
                },
            )
            for identifier, entity in shown.items()
        ]
    )


def external(block: Block) -> GraphEntity:
    """A network that has a name, as an entity."""
    return GraphEntity(
        type="EXTERNAL_SOURCE",
        id=block.id,
        external_source=ExternalSource(name=block.name, cidr=block.block),
    )


def _end(
    of_type: str,
    identifier: str,
    known: Mapping[str, Node],
    blocks: Blocks,
    cluster: str,
    ports: Mapping[str, list[ListenPort]],
) -> GraphEntity | None:
    """One end of a flow; None where it is a deployment that is not there, or not for the caller to see."""
    if of_type == "DEPLOYMENT":
        node = known.get(identifier)
        return None if node is None else _deployment(node, cluster, ports)
    if of_type == "INTERNAL_ENTITIES":
        return GraphEntity(type=of_type, id=INTERNAL)
    if (block := blocks.all.get(identifier) or blocks.smallest(identifier)) is not None:
        return external(block)
    return GraphEntity(type="INTERNET", id=INTERNET)


def _deployment(node: Node, cluster: str, ports: Mapping[str, list[ListenPort]]) -> GraphEntity:
    return GraphEntity(
        type="DEPLOYMENT",
        id=node.id,
        deployment=GraphDeployment(
            name=node.name, namespace=node.namespace, cluster=cluster, listen_ports=ports.get(node.id, [])
        ),
    )


def _outside(entity: GraphEntity) -> bool:
    return entity.type in ("INTERNET", "EXTERNAL_SOURCE")


def _latest(flow: SeenFlow) -> tuple[bool, datetime]:
    return flow.closed is None, flow.last_seen


def _properties(between: Mapping[tuple[int, str], SeenFlow]) -> list[EdgeProperties]:
    return [
        EdgeProperties(port=port, protocol=protocol, last_active_timestamp=flow.closed)
        for (port, protocol), flow in sorted(between.items())
    ]
