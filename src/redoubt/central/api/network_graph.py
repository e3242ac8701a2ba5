"""``/v1/networkgraph``: who talks to whom in a cluster, and networks outside that have a name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Annotated, TypeVar
from uuid import UUID, uuid4

import msgspec
from litestar import Controller, delete, get, patch, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from redoubt.central import search as searching
from redoubt.central.activity.blocks import Block, Blocks
from redoubt.central.activity.external import FIELDS as OUTER_FIELDS
from redoubt.central.activity.external import ExternalCount, ExternalFlow, Externals
from redoubt.central.activity.graph import GraphEntity, ListenPort, NetworkGraph, drawn, external
from redoubt.central.api import checks
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import Reach, reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.networkpolicies.isolation import with_policies
from redoubt.central.objects.looking import FIELDS
from redoubt.central.refusals import InvalidArgument, NotFound
from redoubt.central.search import Asked
from redoubt.central.store.activity import ActivityStore, Node
from redoubt.central.store.network_policies import NetworkPolicyStore

_READ = allow(Resource.NETWORK_GRAPH, Access.READ, scoped=True)
_WRITE = allow(Resource.NETWORK_GRAPH, Access.READ_WRITE)
_ENTITIES = allow(Resource.NETWORK_GRAPH, Access.READ)

#: Deployments that one graph shows (the original: 2,000), and those that are looked through for them.
_MOST_NODES, _MOST_DEPLOYMENTS = 20_000, 50_000
#: Flows that are looked at, the latest.
_MOST_FLOWS = 100_000
#: What was seen within that time is shown, if nobody says otherwise.
_SINCE = timedelta(hours=1)
#: Flows and entities in an answer.
_PAGE = 10_000
_CONFIG = "network_graph_hide_default"

Query = Annotated[str, QueryParameter(name="query")]
Scope = Annotated[str, QueryParameter(name="scope.query")]
Limit = Annotated[int, QueryParameter(name="pagination.limit", ge=0, le=_PAGE)]
Offset = Annotated[int, QueryParameter(name="pagination.offset", ge=0, le=10_000_000)]

T = TypeVar("T")


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class EntityScope(_Message, frozen=True, kw_only=True):
    """Of which cluster; of all where it is empty."""

    cluster_id: str


class NetworkEntity(_Message, frozen=True, kw_only=True):
    """``storage.NetworkEntity``."""

    info: GraphEntity
    scope: EntityScope


class Entities(_Message, frozen=True, kw_only=True):
    """``GetExternalNetworkEntitiesResponse``."""

    entities: list[NetworkEntity]


class NewSource(_Message, frozen=True, kw_only=True):
    """A name and a CIDR."""

    name: str = ""
    cidr: str = ""


class NewEntity(_Message, frozen=True, kw_only=True):
    """``CreateNetworkEntityRequest``."""

    cluster_id: str = ""
    entity: NewSource = NewSource()


class Renamed(_Message, frozen=True, kw_only=True):
    """``PatchNetworkEntityRequest``."""

    id: str = ""
    name: str = ""


class GraphConfig(_Message, frozen=True, kw_only=True):
    """``NetworkGraphConfig``. There are no default external sources here."""

    id: str = ""
    hide_default_external_srcs: bool = False


class PutGraphConfig(_Message, frozen=True, kw_only=True):
    """``PutNetworkGraphConfigRequest``."""

    config: GraphConfig = GraphConfig()


class ExternalFlows(_Message, frozen=True, kw_only=True):
    """``GetExternalNetworkFlowsResponse``."""

    entity: GraphEntity
    total_flows: int
    flows: list[ExternalFlow]


class ExternalCounts(_Message, frozen=True, kw_only=True):
    """``GetExternalNetworkFlowsMetadataResponse``."""

    entities: list[ExternalCount]
    total_entities: int


class NetworkGraphController(Controller):
    """The network graph."""

    path = "/v1/networkgraph"
    tags = ("Network graph",)

    @get("/cluster/{cluster:uuid}", opt=_READ, summary="Who talks to whom")
    async def graph(
        self,
        request: Call,
        services: Given,
        cluster: FromPath[UUID],
        search: Query = "",
        scoped: Scope = "",
        since: FromQuery[datetime | None] = None,
        include_policies: Annotated[bool, QueryParameter(name="includePolicies")] = False,
    ) -> NetworkGraph:
        """Deployments that the query finds and what they talk to: open flows, and those seen ``since`` (an hour ago).

        Only what is within ``scope.query`` is looked at. ``includePolicies``: which network policies each is subject to.
        """
        within = await _within(request, services, cluster)
        store = ActivityStore(services.pool)
        nodes = await _nodes(store, cluster, within, searching.parse(search), searching.parse(scoped))
        if sum(each.matched for each in nodes) > _MOST_NODES:
            raise InvalidArgument(
                f"there are more than {_MOST_NODES} deployments; ask for some of them by a query"
            )
        name = await services.pool.fetchval("SELECT name FROM clusters WHERE id = $1", cluster)
        if name is None:
            raise NotFound(f"there is no cluster {cluster}")
        flows = await store.flows(cluster, seen_since(since), _MOST_FLOWS + 1)
        blocks = await store.blocks(cluster)
        ports: dict[str, list[ListenPort]] = {}
        for deployment, port, protocol in await store.ports(cluster):
            ports.setdefault(deployment, []).append(ListenPort(port=port, l4protocol=protocol))
        found = await asyncio.to_thread(
            lambda: drawn(nodes, flows[:_MOST_FLOWS], Blocks(blocks), name, ports)
        )
        if include_policies:
            policies = await reach(services.pool, request.user, Resource.NETWORK_POLICY)
            found = await with_policies(services.pool, cluster, found, policies)
        epoch = await NetworkPolicyStore(services.pool).epoch(cluster) % 2**32
        return msgspec.structs.replace(found, epoch=epoch, incomplete=len(flows) > _MOST_FLOWS)

    @get("/cluster/{cluster:uuid}/externalentities", opt=_READ, summary="Networks outside that have a name")
    async def entities(
        self, request: Call, services: Given, cluster: FromPath[UUID], search: Query = ""
    ) -> Entities:
        """Of a cluster, and of all; ``query``: ``External Source Name``, ``External Source Address``."""
        await _within(request, services, cluster)
        asked = searching.parse(search)
        found = await ActivityStore(services.pool).blocks(cluster)
        return Entities(entities=[_entity(each) for each in found if _fits(each, asked)])

    @get(
        "/cluster/{cluster:uuid}/externalentities/metadata",
        opt=_READ,
        summary="Who outside connections were seen with, and how many",
    )
    async def counts(
        self,
        request: Call,
        services: Given,
        cluster: FromPath[UUID],
        search: Query = "",
        since: FromQuery[datetime | None] = None,
        limit: Limit = 0,
        offset: Offset = 0,
    ) -> ExternalCounts:
        """Addresses, where they are told of (``externalIps``), and networks; ``query`` as for flows."""
        found = await _externals(request, services, cluster, search, since)
        counts = await asyncio.to_thread(found.counts)
        return ExternalCounts(entities=_page(counts, limit, offset), total_entities=len(counts))

    @get(
        "/cluster/{cluster:uuid}/externalentities/{entity:str}/flows",
        opt=_READ,
        summary="Connections with somebody outside",
    )
    async def flows(
        self,
        request: Call,
        services: Given,
        cluster: FromPath[UUID],
        entity: FromPath[str],
        search: Query = "",
        since: FromQuery[datetime | None] = None,
        limit: Limit = 0,
        offset: Offset = 0,
    ) -> ExternalFlows:
        """Open ones and those seen ``since`` (an hour ago), the latest first.

        ``query``: ``External Source Address`` (a beginning, or a network around it), ``External Source Name``, and deployments' fields.
        """
        found = await _externals(request, services, cluster, search, since)
        about = found.entity(entity)
        if about is None:
            raise NotFound(f"nobody outside is called {entity[:100]!r}")
        flows = await asyncio.to_thread(found.flows, entity)
        return ExternalFlows(entity=about, total_flows=len(flows), flows=_page(flows, limit, offset))

    @post(
        "/cluster/{cluster:uuid}/externalentities",
        opt=_WRITE,
        status_code=200,
        summary="Name a network outside",
    )
    async def add(self, services: Given, cluster: FromPath[UUID], data: JSONBody[NewEntity]) -> NetworkEntity:
        """``entity``: a name and a CIDR. Flows to addresses in it are shown there at once, unless a smaller one has them."""
        checks.same(cluster, data.cluster_id)
        if not await services.pool.fetchval("SELECT true FROM clusters WHERE id = $1", cluster):
            raise NotFound(f"there is no cluster {cluster}")
        try:
            network = ip_network(data.entity.cidr.strip(), strict=False)
        except ValueError:
            raise InvalidArgument("entity.cidr is no network, as in 198.51.100.0/24") from None
        if network.prefixlen == 0:
            raise InvalidArgument("entity.cidr is all there is")
        name = checks.name(data.entity.name, "entity.name") if data.entity.name else str(network)
        made = Block(str(uuid4()), name, str(network), str(cluster))
        await ActivityStore(services.pool).add_block(made)
        return _entity(made)

    @patch("/externalentities/{id:str}", opt=_WRITE, summary="Call a network otherwise")
    async def rename(self, services: Given, id: FromPath[str], data: JSONBody[Renamed]) -> NetworkEntity:  # noqa: A002
        """``name``."""
        checks.same(id, data.id)
        store = ActivityStore(services.pool)
        await store.rename_block(id.replace("\x00", ""), checks.name(data.name))
        found = await store.block(id.replace("\x00", ""))
        if found is None:
            raise NotFound(f"there is no such network {id[:100]!r}")
        return _entity(found)

    @delete("/externalentities/{id:str}", opt=_WRITE, status_code=200, summary="Forget a network's name")
    async def remove(self, services: Given, id: FromPath[str]) -> Empty:  # noqa: A002
        """Its flows are then those of the next larger one that has a name, or the internet's."""
        await ActivityStore(services.pool).remove_block(id.replace("\x00", ""))
        return Empty()

    @get("/config", opt=_ENTITIES, summary="How the graph is shown")
    async def config(self, services: Given) -> GraphConfig:
        """Kept for the original's programs."""
        kept = await services.pool.fetchval("SELECT value FROM settings WHERE name = $1", _CONFIG)
        return GraphConfig(id="networkGraphConfig", hide_default_external_srcs=kept == "true")

    @put("/config", opt=_WRITE, summary="Say how the graph is shown")
    async def put_config(self, services: Given, data: JSONBody[PutGraphConfig]) -> GraphConfig:
        """``hideDefaultExternalSrcs``."""
        await services.pool.execute(
            "INSERT INTO settings (name, value) VALUES ($1, $2)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed = now()",
            _CONFIG,
            "true" if data.config.hide_default_external_srcs else "false",
        )
        return GraphConfig(
            id="networkGraphConfig", hide_default_external_srcs=data.config.hide_default_external_srcs
        )


async def _nodes(
    store: ActivityStore, cluster: UUID, within: Reach, asked: Sequence[Asked], scoped: Sequence[Asked] = ()
) -> list[Node]:
    """Deployments of the scope, as far as the caller may see them, and whether they were asked for."""
    values: list[object] = []
    scope, condition = (
        " AND ".join(searching.where(each, FIELDS["deployment"], values)) or "TRUE"
        for each in (scoped, asked)
    )
    found = await store.nodes(cluster, condition, values, _MOST_DEPLOYMENTS, scope=scope)
    return [each for each in found if within.has(cluster, each.namespace)]


async def _externals(
    request: Call, services: Given, cluster: UUID, search: str, since: datetime | None
) -> Externals:
    within = await _within(request, services, cluster)
    asked = searching.parse(search)
    outer = tuple(each for each in asked if each.field.lower() in OUTER_FIELDS)
    store = ActivityStore(services.pool)
    nodes = await _nodes(store, cluster, within, [each for each in asked if each not in outer])
    flows = await store.flows(cluster, seen_since(since), _MOST_FLOWS)
    blocks = Blocks(await store.blocks(cluster))
    return await asyncio.to_thread(Externals, str(cluster), nodes, flows, blocks, outer)


def seen_since(since: datetime | None) -> datetime:
    """From when on connections count; an hour ago, if nobody says otherwise."""
    since = since or datetime.now(UTC) - _SINCE
    return since if since.tzinfo else since.replace(tzinfo=UTC)


def _page(several: list[T], limit: int, offset: int) -> list[T]:
    return several[offset : offset + (limit or _PAGE)]


async def _within(request: Call, services: Given, cluster: UUID) -> Reach:
    """What the caller may see. Raises ``NotFound`` where that is nothing of the cluster."""
    found = await reach(services.pool, request.user, Resource.NETWORK_GRAPH)
    if not found.some(cluster):
        raise NotFound(f"there is no cluster {cluster}")
    return found


def _entity(block: Block) -> NetworkEntity:
    return NetworkEntity(info=external(block), scope=EntityScope(cluster_id=block.cluster))


def _fits(block: Block, asked: tuple[searching.Asked, ...]) -> bool:
    given = {"external source name": block.name, "external source address": block.block}
    for each in asked:
        value = given.get(each.field.lower())
        if value is None:
            raise InvalidArgument(f"there is no field {each.field[:80]!r} to search by here")
        if not any(value.lower().startswith(term.text.lower()) != term.negated for term in each.terms):
            return False
    return True
