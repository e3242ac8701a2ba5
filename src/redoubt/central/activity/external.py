"""Connections with what is outside, address by address where addresses are told of. Pure.

An address without a name is an entity of its own here: its identifier is the address, and it is ``discovered``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_network

import msgspec

from redoubt.central.activity.blocks import Block, Blocks
from redoubt.central.activity.graph import (
    INTERNET,
    ExternalSource,
    GraphDeployment,
    GraphEntity,
    external,
)
from redoubt.central.refusals import InvalidArgument
from redoubt.central.search import Asked
from redoubt.central.store.activity import Node, SeenFlow

OUTSIDE = ("INTERNET", "EXTERNAL_SOURCE")
#: What networks outside are searched by.
FIELDS = frozenset({"external source name", "external source address", "discovered external source"})


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class FlowProperties(_Message, frozen=True, kw_only=True):
    """``NetworkFlowProperties``."""

    src_entity: GraphEntity
    dst_entity: GraphEntity
    dst_port: int
    l4protocol: str


class ExternalFlow(_Message, frozen=True, kw_only=True):
    """``storage.NetworkFlow``; ``lastSeenTimestamp`` is null where it is open."""

    props: FlowProperties
    last_seen_timestamp: datetime | None
    cluster_id: str
    updated_at: datetime


class ExternalCount(_Message, frozen=True, kw_only=True):
    """``ExternalNetworkFlowMetadata``."""

    entity: GraphEntity
    flows_count: int


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    """The outer end of a flow: as it is told, and the named network that it is in."""

    entity: GraphEntity
    block: Block | None


def outer(of_type: str, identifier: str, blocks: Blocks) -> Outer:
    """Who is at the outer end."""
    block = blocks.all.get(identifier) or blocks.smallest(identifier)
    try:
        network = ip_network(identifier, strict=False)
    except ValueError:
        entity = GraphEntity(type="INTERNET", id=INTERNET) if block is None else external(block)
        return Outer(entity=entity, block=block)
    if block is not None and str(network) == block.block:
        return Outer(entity=external(block), block=block)
    source = ExternalSource(name=identifier, cidr=str(network), discovered=True)
    return Outer(
        entity=GraphEntity(type="EXTERNAL_SOURCE", id=identifier, external_source=source), block=block
    )


class Externals:
    """Flows between deployments that were asked for and what is outside."""

    def __init__(
        self,
        cluster: str,
        nodes: Iterable[Node],
        flows: Iterable[SeenFlow],
        blocks: Blocks,
        asked: Sequence[Asked] = (),
    ) -> None:
        self._cluster = cluster
        self._nodes = {each.id: each for each in nodes if each.matched}
        self._blocks = blocks
        self._found: list[tuple[Outer, SeenFlow]] = []
        for flow in flows:
            ends = ((flow.source_type, flow.source), (flow.target_type, flow.target))
            for (of_type, identifier), (inner_type, inner) in (ends, ends[::-1]):
                if of_type in OUTSIDE and inner_type == "DEPLOYMENT" and inner in self._nodes:
                    end = outer(of_type, identifier, blocks)
                    if fits(end, asked):
                        self._found.append((end, flow))

    def counts(self) -> list[ExternalCount]:
        """Who there is, by identifier, and how many flows each has."""
        entities: dict[str, GraphEntity] = {}
        numbers: dict[str, int] = {}
        for end, _ in self._found:
            if end.entity.type == "EXTERNAL_SOURCE":
                entities[end.entity.id] = end.entity
                numbers[end.entity.id] = numbers.get(end.entity.id, 0) + 1
        return [ExternalCount(entity=entities[each], flows_count=numbers[each]) for each in sorted(entities)]

    def entity(self, identifier: str) -> GraphEntity | None:
        """An entity by its identifier; None where there is none."""
        if identifier == INTERNET:
            return GraphEntity(type="INTERNET", id=INTERNET)
        if (block := self._blocks.all.get(identifier)) is not None:
            return external(block)
        return next((end.entity for end, _ in self._found if end.entity.id == identifier), None)

    def flows(self, identifier: str) -> list[ExternalFlow]:
        """Those of an entity, the latest first: of a network all that are in it and in no smaller one."""
        return [
            self._told(end, flow)
            for end, flow in self._found
            if identifier == end.entity.id
            or (end.block is not None and end.block.id == identifier)
            or (end.block is None and identifier == INTERNET)
        ]

    def _told(self, end: Outer, flow: SeenFlow) -> ExternalFlow:
        ends = [
            end.entity if of_type in OUTSIDE else self._deployment(identifier)
            for of_type, identifier in (
                (flow.source_type, flow.source),
                (flow.target_type, flow.target),
            )
        ]
        return ExternalFlow(
            props=FlowProperties(
                src_entity=ends[0], dst_entity=ends[1], dst_port=flow.port, l4protocol=flow.protocol
            ),
            last_seen_timestamp=flow.closed,
            cluster_id=self._cluster,
            updated_at=flow.last_seen,
        )

    def _deployment(self, identifier: str) -> GraphEntity:
        node = self._nodes[identifier]
        about = GraphDeployment(name=node.name, namespace=node.namespace, cluster="", listen_ports=[])
        return GraphEntity(type="DEPLOYMENT", id=identifier, deployment=about)


def fits(end: Outer, asked: Iterable[Asked]) -> bool:
    """Whether a search finds an outer end. Raises ``InvalidArgument`` for a field that there is not."""
    source = end.entity.external_source
    values: Mapping[str, str] = {
        "external source name": "" if source is None else source.name,
        "external source address": "" if source is None else source.cidr,
        "discovered external source": "true" if source is not None and source.discovered else "false",
    }
    for each in asked:
        if (value := values.get(each.field.lower())) is None:
            raise InvalidArgument(f"there is no field {each.field[:80]!r} to search by here")
        if not any(_is(value, term.text) != term.negated for term in each.terms):
            return False
    return True


def _is(value: str, wanted: str) -> bool:
    if value.lower().startswith(wanted.lower()):
        return True
    try:
        inner, around = ip_network(value), ip_network(wanted, strict=False)
    except ValueError:
        return False
    return inner.version == around.version and inner.subnet_of(around)  # type: ignore[arg-type]  # of one version
