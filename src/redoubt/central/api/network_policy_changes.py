"""``/v1/networkpolicies``: policies that are generated, compared with what is usual, applied and undone."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from redoubt.central.api import checks
from redoubt.central.api.baselines import baselines_of
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.api.network_baselines import PeerEntity
from redoubt.central.api.network_policies import Query, WithPorts, shown_of, visible
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.networkpolicies import comparing, drafting, modifying
from redoubt.central.networkpolicies.applying import UndoRecord, applied, undo
from redoubt.central.networkpolicies.comparing import FlowsDifference
from redoubt.central.networkpolicies.drafting import Drafts
from redoubt.central.networkpolicies.graph import Drawing, Shown
from redoubt.central.networkpolicies.loading import Cluster, SeenDeployment, evaluated
from redoubt.central.networkpolicies.modifying import Modification
from redoubt.central.objects.looking import Looking
from redoubt.central.refusals import Exhausted, NotFound
from redoubt.central.store.network_policies import NetworkPolicyStore
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.model.workload import Deployment

_READ = allow(Resource.NETWORK_POLICY, Access.READ, scoped=True)
_WRITE = allow(Resource.NETWORK_POLICY, Access.READ_WRITE, scoped=True)
_WITH_FLOWS = allow(
    (Resource.NETWORK_POLICY, Access.READ), (Resource.NETWORK_GRAPH, Access.READ), scoped=True
)
_WITH_BASELINE = allow(
    (Resource.NETWORK_POLICY, Access.READ), (Resource.DEPLOYMENT_EXTENSION, Access.READ), scoped=True
)

#: Connections that policies are generated from.
_MOST_FLOWS = 200_000

DeleteExisting = Annotated[str, QueryParameter(name="deleteExisting")]
Since = Annotated[datetime | None, QueryParameter(name="networkDataSince")]


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class Draft(_Message, frozen=True, kw_only=True):
    """``GenerateNetworkPoliciesResponse``. Nothing is applied."""

    modification: Modification


class FromBaseline(_Message, frozen=True, kw_only=True):
    """``GetBaselineGeneratedPolicyForDeploymentRequest``; what was generated before is always replaced."""

    deployment_id: str = ""
    delete_existing: str = "UNKNOWN"
    include_ports: bool = False


class ForDeployment(_Message, frozen=True, kw_only=True):
    """``ApplyNetworkPolicyYamlForDeploymentRequest``."""

    deployment_id: str = ""
    modification: Modification = Modification()


class AllowedPeer(_Message, frozen=True, kw_only=True, omit_defaults=True):
    """``NetworkBaselineStatusPeer``; ``endPort`` is ours."""

    entity: PeerEntity
    port: int
    protocol: str
    ingress: bool
    end_port: int = 0


class AllowedPeers(_Message, frozen=True, kw_only=True):
    """``GetAllowedPeersFromCurrentPolicyForDeploymentResponse``."""

    allowed_peers: list[AllowedPeer]


class Undo(_Message, frozen=True, kw_only=True):
    """``GetUndoModificationResponse``."""

    undo_record: UndoRecord


class NetworkPolicyChangeController(Controller):
    """Network policies, made and applied."""

    path = "/v1/networkpolicies"
    tags = ("Network",)

    @get("/generate/{cluster:uuid}", opt=_WITH_FLOWS, summary="Network policies out of connections")
    async def generate(
        self,
        request: Call,
        services: Given,
        cluster: FromPath[UUID],
        search: Query = "",
        mode: DeleteExisting = "NONE",
        since: Since = None,
        include_ports: WithPorts = False,
    ) -> Draft:
        """For each deployment that the query finds and whose ingress no policy limits, one that lets in who called it."""
        found = await visible(request, services, cluster)
        shown = await shown_of(request, services, found, search, "", include_ports=include_ports)
        within = await reach(services.pool, request.user, Resource.NETWORK_GRAPH)
        seen = {each.id for each in found.deployments if within.has(cluster, each.namespace)}
        shown = msgspec.structs.replace(
            shown, deployments={each: asked for each, asked in shown.deployments.items() if each in seen}
        )
        drafts = Drafts(found, shown, include_ports=include_ports)
        selected = [each.id for each in drafts.selected()]
        begin = datetime.fromtimestamp(0, UTC) if since is None else since
        begin = begin if begin.tzinfo else begin.replace(tzinfo=UTC)
        flows = await NetworkPolicyStore(services.pool).calls(cluster, selected, begin, _MOST_FLOWS)
        if len(flows) > _MOST_FLOWS:
            raise Exhausted(
                f"there are more than {_MOST_FLOWS} connections; ask for less by a query, or since later"
            )
        calls: dict[str, list[drafting.Call]] = defaultdict(list)
        for target, of_type, caller, port, protocol in flows:
            calls[target].append(drafting.Call(of_type=of_type, caller=caller, port=port, protocol=protocol))
        return Draft(modification=await asyncio.to_thread(drafts.of_calls, calls, mode))

    @post(
        "/generate/baseline/{deployment:str}",
        opt=_WITH_BASELINE,
        status_code=200,
        summary="A network policy out of a baseline",
    )
    async def generate_from_baseline(
        self, request: Call, services: Given, deployment: FromPath[str], data: JSONBody[FromBaseline]
    ) -> Draft:
        """One that lets in who is in the deployment's network baseline."""
        checks.same(deployment, data.deployment_id)
        looked = await _Looked.at(request, services, deployment)
        return Draft(modification=await _of_baseline(request, services, looked, ports=data.include_ports))

    @get("/allowedpeers/{id:str}", opt=_READ, summary="With whom a deployment may talk")
    async def allowed_peers(self, request: Call, services: Given, id: FromPath[str]) -> AllowedPeers:  # noqa: A002
        """As far as network policies are concerned: in both directions, at which ports."""
        looked = await _Looked.at(request, services, id)
        drawing, found = await asyncio.to_thread(looked.peers, looked.cluster.policies)
        return AllowedPeers(
            allowed_peers=[
                AllowedPeer(
                    entity=_entity(drawing, place),
                    port=each.port,
                    protocol=each.protocol,
                    ingress=each.ingress,
                    end_port=each.end_port,
                )
                for place, several in found.items()
                for each in several
            ]
        )

    @get(
        "/baselinecomparison/{id:str}",
        opt=_WITH_BASELINE,
        summary="What a policy out of the baseline would make different",
    )
    async def compare_baseline(self, request: Call, services: Given, id: FromPath[str]) -> FlowsDifference:  # noqa: A002
        """With whom the deployment may talk now, and with whom then."""
        looked = await _Looked.at(request, services, id)
        draft = await _of_baseline(request, services, looked, ports=True)
        return await asyncio.to_thread(looked.compared, draft)

    @get("/undobaselinecomparison/{id:str}", opt=_READ, summary="What undoing would make different")
    async def compare_undo(self, request: Call, services: Given, id: FromPath[str]) -> FlowsDifference:  # noqa: A002
        """With whom the deployment may talk now, and with whom when what was applied for it last is undone."""
        looked = await _Looked.at(request, services, id)
        record = await undo(services, request.user, looked.cluster.id, looked.deployment.id)
        return await asyncio.to_thread(looked.compared, record.undo_modification)

    @post("/apply/{cluster:uuid}", opt=_WRITE, status_code=200, summary="Change network policies")
    async def apply(
        self, request: Call, services: Given, cluster: FromPath[UUID], data: JSONBody[Modification]
    ) -> Empty:
        """In the cluster, by its Sensor: all of it, or nothing. What is there of that name is replaced."""
        await applied(services, request.user, cluster, data)
        return Empty()

    @post(
        "/apply/deployment/{deployment:str}",
        opt=_WRITE,
        status_code=200,
        summary="Change network policies for a deployment",
    )
    async def apply_for_deployment(
        self, request: Call, services: Given, deployment: FromPath[str], data: JSONBody[ForDeployment]
    ) -> Empty:
        """The same, remembered to be undone for the deployment."""
        checks.same(deployment, data.deployment_id)
        found = await _deployment(request, services, deployment)
        await applied(services, request.user, UUID(found.cluster_id), data.modification, found.id)
        return Empty()

    @get("/undo/{cluster:uuid}", opt=_READ, summary="How the last change is undone")
    async def undo(self, request: Call, services: Given, cluster: FromPath[UUID]) -> Undo:
        """Apply ``undoModification`` to do so."""
        return Undo(undo_record=await undo(services, request.user, cluster))

    @get("/undo/deployment/{id:str}", opt=_READ, summary="How a deployment's last change is undone")
    async def undo_for_deployment(self, request: Call, services: Given, id: FromPath[str]) -> Undo:  # noqa: A002
        """Apply ``undoModification`` to do so."""
        found = await _deployment(request, services, id)
        return Undo(undo_record=await undo(services, request.user, UUID(found.cluster_id), found.id))


class _Looked(msgspec.Struct, frozen=True):
    """A deployment that the caller may see, in its cluster."""

    cluster: Cluster
    shown: Shown
    place: int

    @classmethod
    async def at(cls, request: Call, services: Given, identifier: str) -> _Looked:
        """Raises ``NotFound``."""
        there = await _deployment(request, services, identifier)
        cluster = await visible(request, services, UUID(there.cluster_id))
        shown = await shown_of(request, services, cluster, "", "", include_ports=True)
        only = {each: each == there.id for each in shown.deployments}
        for place, each in enumerate(cluster.deployments):
            if each.id == there.id and each.id in only:
                return cls(cluster, msgspec.structs.replace(shown, deployments=only), place)
        raise NotFound(f"there is no deployment {identifier[:100]!r}")

    @property
    def deployment(self) -> SeenDeployment:
        """The deployment."""
        return self.cluster.deployments[self.place]

    def peers(self, policies: list[ClusterNetworkPolicy]) -> tuple[Drawing, comparing.Peers]:
        """With whom it may talk under policies."""
        drawing = Drawing(self.cluster, evaluated(self.cluster, policies), self.shown)
        return drawing, comparing.peers(drawing, self.place)

    def compared(self, modification: Modification) -> FlowsDifference:
        """With whom it may talk now and after a modification; what cannot be deleted since it is gone is no hindrance."""
        drawing, now = self.peers(self.cluster.policies)
        there = {(each.namespace, each.name) for each in self.cluster.policies}
        left = tuple(each for each in modification.to_delete if (each.namespace, each.name) in there)
        given = msgspec.structs.replace(modification, to_delete=left)
        _, then = self.peers(modifying.after(modifying.simulated(self.cluster.policies, given)))
        return comparing.compared(drawing, now, then)


async def _deployment(request: Call, services: Given, identifier: str) -> Deployment:
    return await Looking(services.pool, "deployment", Deployment).one(request.user, identifier)


async def _of_baseline(request: Call, services: Given, looked: _Looked, *, ports: bool) -> Modification:
    within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION)
    baseline = await baselines_of(services).network(looked.deployment.id, within)
    calls = [
        drafting.Call(of_type=each.peer_type, caller=each.peer, port=each.port, protocol=each.protocol)
        for each in baseline.peers
        if each.ingress and not each.forbidden
    ]
    drafts = Drafts(looked.cluster, looked.shown, include_ports=ports)
    return await asyncio.to_thread(drafts.of_baseline, looked.deployment, calls)


def _entity(drawing: Drawing, place: int) -> PeerEntity:
    entity = drawing.entity(place)
    named = entity.deployment or entity.external_source
    return PeerEntity(id=entity.id, type=entity.type, name="" if named is None else named.name)
