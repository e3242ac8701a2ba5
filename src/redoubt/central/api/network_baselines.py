"""``/v1/networkbaseline``: whom deployments are known to talk to."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import msgspec
from litestar import Controller, get, patch, post
from litestar.params import FromPath, JSONBody

from redoubt.central.activity.blocks import Blocks
from redoubt.central.activity.receiving import peer_of
from redoubt.central.api import checks
from redoubt.central.api.baselines import baselines_of
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store.activity import ActivityStore
from redoubt.central.store.network_baselines import NetworkBaseline, Peer

_READ = allow(Resource.DEPLOYMENT_EXTENSION, Access.READ, scoped=True)
_WRITE = allow(Resource.DEPLOYMENT_EXTENSION, Access.READ_WRITE, scoped=True)

_TYPES = ("DEPLOYMENT", "INTERNET", "EXTERNAL_SOURCE", "INTERNAL_ENTITIES")
_STATUSES = ("BASELINE", "ANOMALOUS")
_MOST = 1000


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
        usual = {
            (each.peer_type, each.peer, each.port, each.protocol, each.ingress)
            for each in found.peers
            if not each.forbidden
        }
        statuses = []
        for each in data.peers[:_MOST]:
            asked = _peer(each, blocks)
            known = (asked.peer_type, asked.peer, asked.port, asked.protocol, asked.ingress) in usual
            statuses.append(PeerStatus(peer=each, status=_STATUSES[not known]))
        return StatusAnswer(statuses=statuses)

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
    return Peer(
        peer_type=of_type,
        peer=identifier,
        port=given.port,
        protocol=given.protocol,
        ingress=given.ingress,
    )


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
