"""``/v1/networkbaseline``: whom deployments are known to talk to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from ipaddress import ip_address

import msgspec
from litestar import Controller, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from redoubt.central import search as searching
from redoubt.central.activity.blocks import Blocks
from redoubt.central.activity.external import fits, outer
from redoubt.central.activity.receiving import peer_of
from redoubt.central.api import checks
from redoubt.central.api.baselines import baselines_of
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.api.network_graph import Limit, Offset, Query, seen_since
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import InvalidArgument
from redoubt.central.search import Asked
from redoubt.central.store.activity import ActivityStore, SeenFlow
from redoubt.central.store.network_baselines import NetworkBaseline, Peer

_READ = allow(Resource.DEPLOYMENT_EXTENSION, Access.READ, scoped=True)
_WRITE = allow(Resource.DEPLOYMENT_EXTENSION, Access.READ_WRITE, scoped=True)

_TYPES = ("DEPLOYMENT", "INTERNET", "EXTERNAL_SOURCE", "INTERNAL_ENTITIES")
_STATUSES = ("BASELINE", "ANOMALOUS")
_MOST = 1000
#: Connections of one deployment that are looked at.
_MOST_FLOWS = 10_000


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class EntityInfo(_Message, frozen=True, kw_only=True):
    """``NetworkEntityInfo``, as much of it as baselines say. Networks outside are named by their block."""

    type: str = "UNKNOWN_TYPE"
    id: str = ""


class BaselineEntity(_Message, frozen=True, kw_only=True):
    """``NetworkEntity``."""

    info: EntityInfo


class ConnectionProperties(_Message, frozen=True, kw_only=True):
    """``NetworkBaselineConnectionProperties``."""

    ingress: bool
    port: int
    protocol: str


class NetworkPeer(_Message, frozen=True, kw_only=True):
    """``NetworkBaselinePeer``."""

    entity: BaselineEntity
    properties: list[ConnectionProperties]


class NetworkBaselineAnswer(_Message, frozen=True, kw_only=True):
    """``storage.NetworkBaseline``."""

    deployment_id: str
    cluster_id: str
    namespace: str
    deployment_name: str
    peers: list[NetworkPeer]
    forbidden_peers: list[NetworkPeer]
    observation_period_end: datetime
    locked: bool


class PeerEntity(_Message, frozen=True, kw_only=True):
    """``NetworkBaselinePeerEntity``."""

    id: str = ""
    type: str = "DEPLOYMENT"
    name: str = ""
    discovered: bool = False


class StatusPeer(_Message, frozen=True, kw_only=True):
    """``NetworkBaselineStatusPeer``."""

    entity: PeerEntity = PeerEntity()
    port: int = 0
    protocol: str = "L4_PROTOCOL_TCP"
    ingress: bool = False


class StatusRequest(_Message, frozen=True, kw_only=True):
    """``NetworkBaselineStatusRequest``."""

    deployment_id: str = ""
    peers: tuple[StatusPeer, ...] = ()


class PeerStatus(_Message, frozen=True, kw_only=True):
    """``NetworkBaselinePeerStatus``: ``BASELINE`` or ``ANOMALOUS``."""

    peer: StatusPeer
    status: str


class StatusAnswer(_Message, frozen=True, kw_only=True):
    """``NetworkBaselineStatusResponse``."""

    statuses: list[PeerStatus]


class ExternalStatus(_Message, frozen=True, kw_only=True):
    """``NetworkBaselineExternalStatusResponse``."""

    anomalous: list[PeerStatus]
    total_anomalous: int
    baseline: list[PeerStatus]
    total_baseline: int


class ModifyPeers(_Message, frozen=True, kw_only=True):
    """``ModifyBaselineStatusForPeersRequest``."""

    deployment_id: str = ""
    peers: tuple[PeerStatus, ...] = ()


class NetworkBaselineController(Controller):
    """Network baselines."""

    path = "/v1/networkbaseline"
    tags = ("Network baselines",)

    @get("/{id:str}", opt=_READ, summary="A deployment's network baseline")
    async def one(self, request: Call, services: Given, id: FromPath[str]) -> NetworkBaselineAnswer:  # noqa: A002
        """There is one as soon as the deployment talked to somebody."""
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION)
        return _told(await baselines_of(services).network(_id(id), within))

    @post("/{id:str}/status", opt=_READ, status_code=200, summary="Whether peers are usual")
    async def status(
        self,
        request: Call,
        services: Given,
        id: FromPath[str],  # noqa: A002
        data: JSONBody[StatusRequest],
    ) -> StatusAnswer:
        """Each of those asked for."""
        checks.same(id, data.deployment_id)
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION)
        found = await baselines_of(services).network(_id(id), within)
        blocks = Blocks(await ActivityStore(services.pool).blocks(found.cluster))
        return StatusAnswer(statuses=_statuses(found, data.peers[:_MOST], blocks))

    @get("/{id:str}/status/external", opt=_READ, summary="Whether peers outside are usual")
    async def external_status(
        self,
        request: Call,
        services: Given,
        id: FromPath[str],  # noqa: A002
        search: Query = "",
        since: FromQuery[datetime | None] = None,
        limit: Limit = 0,
        offset: Offset = 0,
    ) -> ExternalStatus:
        """Each that a connection was seen with ``since`` (an hour ago); ``query``: ``External Source Address``, ``…Name``."""
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION)
        found = await baselines_of(services).network(_id(id), within)
        store = ActivityStore(services.pool)
        blocks = Blocks(await store.blocks(found.cluster))
        flows = await store.external_flows(found.cluster, found.deployment, seen_since(since), _MOST_FLOWS)
        asked = searching.parse(search)
        peers = {peer: None for flow in flows if (peer := _outer_peer(found.deployment, flow, blocks, asked))}
        by_status: dict[str, list[PeerStatus]] = {status: [] for status in _STATUSES}
        for each in _statuses(found, sorted(peers, key=_by_name), blocks):
            by_status[each.status].append(each)
        usual, odd = (by_status[status] for status in _STATUSES)
        upto = offset + (limit or _MOST_FLOWS)
        return ExternalStatus(
            anomalous=odd[offset:upto],
            total_anomalous=len(odd),
            baseline=usual[offset:upto],
            total_baseline=len(usual),
        )

    @patch("/{id:str}/peers", opt=_WRITE, summary="Say which peers are usual")
    async def modify(
        self,
        request: Call,
        services: Given,
        id: FromPath[str],  # noqa: A002
        data: JSONBody[ModifyPeers],
    ) -> Empty:
        """``BASELINE`` or, so that they are not learned again, ``ANOMALOUS``."""
        checks.same(id, data.deployment_id)
        if len(data.peers) > _MOST or any(each.status not in _STATUSES for each in data.peers):
            raise InvalidArgument(f"peers: at most {_MOST}, each with a status of {' or '.join(_STATUSES)}")
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION, Access.READ_WRITE)
        baselines = baselines_of(services)
        found = await baselines.network(_id(id), within)
        blocks = Blocks(await ActivityStore(services.pool).blocks(found.cluster))
        peers = [
            msgspec.structs.replace(_peer(each.peer, blocks), forbidden=each.status == "ANOMALOUS")
            for each in data.peers
        ]
        await baselines.change_network(_id(id), peers, within)
        return Empty()

    @patch("/{id:str}/lock", opt=_WRITE, summary="Lock a network baseline")
    async def lock(self, request: Call, services: Given, id: FromPath[str]) -> Empty:  # noqa: A002
        """Whom it does not know breaks the policies that ask for it."""
        return await _locked(request, services, id, locked=True)

    @patch("/{id:str}/unlock", opt=_WRITE, summary="Unlock a network baseline")
    async def unlock(self, request: Call, services: Given, id: FromPath[str]) -> Empty:  # noqa: A002
        """Nobody is unusual any more."""
        return await _locked(request, services, id, locked=False)


async def _locked(request: Call, services: Given, deployment: str, *, locked: bool) -> Empty:
    within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION, Access.READ_WRITE)
    await baselines_of(services).change_network(_id(deployment), (), within, locked=locked)
    return Empty()


def _id(text: str) -> str:
    return checks.text(text, "the deployment's identifier", 300)


def _peer(given: StatusPeer, blocks: Blocks) -> Peer:
    if given.entity.type not in _TYPES:
        raise InvalidArgument(f"a peer's type is one of {', '.join(_TYPES)}")
    if not 0 <= given.port < 65_536:
        raise InvalidArgument("a peer's port is none")
    checks.text(given.entity.id, "a peer's id", 300)
    checks.text(given.protocol, "a peer's protocol", 64)
    block = blocks.all.get(given.entity.id)
    if block is not None:
        of_type, identifier = "EXTERNAL_SOURCE", block.block
    else:
        of_type, identifier = peer_of(given.entity.type, given.entity.id, blocks)
        if of_type == "EXTERNAL_SOURCE" and _is_address(identifier):
            of_type, identifier = "INTERNET", ""  # one that is in no network with a name
    return Peer(
        peer_type=of_type,
        peer=identifier,
        port=given.port,
        protocol=given.protocol,
        ingress=given.ingress,
    )


def _statuses(found: NetworkBaseline, peers: Iterable[StatusPeer], blocks: Blocks) -> list[PeerStatus]:
    usual = {
        (each.peer_type, each.peer, each.port, each.protocol, each.ingress)
        for each in found.peers
        if not each.forbidden
    }
    statuses = []
    for each in peers:
        asked = _peer(each, blocks)
        known = (asked.peer_type, asked.peer, asked.port, asked.protocol, asked.ingress) in usual
        statuses.append(PeerStatus(peer=each, status=_STATUSES[not known]))
    return statuses


def _outer_peer(deployment: str, flow: SeenFlow, blocks: Blocks, asked: Sequence[Asked]) -> StatusPeer | None:
    """The outer end of a deployment's flow; None where it was not asked for."""
    ingress = flow.target == deployment
    of_type, identifier = (flow.source_type, flow.source) if ingress else (flow.target_type, flow.target)
    end = outer(of_type, identifier, blocks)
    if not fits(end, asked):
        return None
    source = end.entity.external_source
    return StatusPeer(
        entity=PeerEntity(
            id=end.entity.id,
            type=end.entity.type,
            name="" if source is None else source.name,
            discovered=source is not None and source.discovered,
        ),
        port=flow.port,
        protocol=flow.protocol,
        ingress=ingress,
    )


def _by_name(peer: StatusPeer) -> tuple[str, str, int, str, bool]:
    return peer.entity.name, peer.entity.id, peer.port, peer.protocol, peer.ingress


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _told(found: NetworkBaseline) -> NetworkBaselineAnswer:
    return NetworkBaselineAnswer(
        deployment_id=found.deployment,
        cluster_id=str(found.cluster),
        namespace=found.namespace,
        deployment_name=found.name,
        peers=_peers(found, forbidden=False),
        forbidden_peers=_peers(found, forbidden=True),
        observation_period_end=found.learned,
        locked=found.locked,
    )


def _peers(found: NetworkBaseline, *, forbidden: bool) -> list[NetworkPeer]:
    several: dict[tuple[str, str], list[ConnectionProperties]] = defaultdict(list)
    for each in found.peers:
        if each.forbidden == forbidden:
            several[each.peer_type, each.peer].append(
                ConnectionProperties(ingress=each.ingress, port=each.port, protocol=each.protocol)
            )
    return [
        NetworkPeer(entity=BaselineEntity(info=EntityInfo(type=kind, id=identifier)), properties=properties)
        for (kind, identifier), properties in several.items()
    ]
