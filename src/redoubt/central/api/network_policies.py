"""``/v1/networkpolicies``: which there are, what they let through, and what others would."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from redoubt.central import search as searching
from redoubt.central.api import checks
from redoubt.central.api.given import Call, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.networkpolicies import modifying
from redoubt.central.networkpolicies.graph import AllowedGraph, Drawing, GraphDifference, Shown
from redoubt.central.networkpolicies.loading import Cluster, evaluated, load
from redoubt.central.networkpolicies.modifying import Modification
from redoubt.central.networkpolicies.told import told
from redoubt.central.objects.looking import FIELDS, Looking, Page
from redoubt.central.refusals import InvalidArgument, NotFound
from redoubt.central.store.network_policies import NetworkPolicyStore
from redoubt.model.cluster import ClusterNetworkPolicy

_READ = allow(Resource.NETWORK_POLICY, Access.READ, scoped=True)

Query = Annotated[str, QueryParameter(name="query")]
Scope = Annotated[str, QueryParameter(name="scope.query")]
WithPorts = Annotated[bool, QueryParameter(name="includePorts")]
WithDifference = Annotated[bool, QueryParameter(name="includeNodeDiff")]
#: Both are the original's: of JSON and of its proto.
ClusterId = Annotated[str, QueryParameter(name="clusterId")]
SameClusterId = Annotated[str, QueryParameter(name="cluster_id")]
DeploymentQuery = Annotated[str, QueryParameter(name="deploymentQuery")]


class Epoch(msgspec.Struct, frozen=True):
    """``NetworkGraphEpoch``: another number each time that the graph may be another one."""

    epoch: int


class PolicyInSimulation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``NetworkPolicyInSimulation``."""

    policy: dict[str, Any] | None
    status: str
    old_policy: dict[str, Any] | None


class Simulation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``SimulateNetworkGraphResponse``. ``added`` and ``removed`` are null unless they are asked for."""

    simulated_graph: AllowedGraph
    policies: list[PolicyInSimulation]
    added: GraphDifference | None = None
    removed: GraphDifference | None = None


class NetworkPolicyController(Controller):
    """Network policies."""

    path = "/v1/networkpolicies"
    tags = ("Network",)

    @get(opt=_READ, summary="Network policies")
    async def all(
        self,
        services: Given,
        request: Call,
        text: Query = "",
        cluster_id: ClusterId = "",
        same_cluster_id: SameClusterId = "",
        namespace: FromQuery[str] = "",
        deployments: DeploymentQuery = "",
    ) -> Response[dict[str, object]]:
        """Of a cluster and a namespace, where they are named; those that are about deployments that ``deploymentQuery`` finds."""
        within = _cluster_id(cluster_id or same_cluster_id)
        looking = Looking(services.pool, "networkpolicy", ClusterNetworkPolicy)
        found = await looking.page(request.user, text, Page(limit=10_000), within)
        chosen = [each for each in found if not namespace or each.namespace == namespace]
        if deployments:
            if within is None:
                raise InvalidArgument("deploymentQuery is asked of one cluster; name it (clusterId)")
            about = await _about(request, services, within, deployments)
            chosen = [each for each in chosen if each.id in about]
        return Response({"networkPolicies": await asyncio.to_thread(lambda: [told(each) for each in chosen])})

    @get("/{id:str}", opt=_READ, summary="A network policy")
    async def one(self, services: Given, request: Call, id: FromPath[str]) -> Response[object]:  # noqa: A002
        """By Kubernetes' UID."""
        looking = Looking(services.pool, "networkpolicy", ClusterNetworkPolicy)
        return Response(told(await looking.one(request.user, id)))

    @get("/graph/epoch", opt=_READ, summary="Whether the graph may be another one")
    async def epoch(
        self, services: Given, cluster_id: ClusterId = "", same_cluster_id: SameClusterId = ""
    ) -> Epoch:
        """Of a cluster, or of all; it is another number after each change of a workload, namespace or network policy."""
        within = _cluster_id(cluster_id or same_cluster_id)
        return Epoch(await NetworkPolicyStore(services.pool).epoch(within) % 2**32)

    @get("/cluster/{cluster:uuid}", opt=_READ, summary="What network policies let through")
    async def graph(
        self,
        request: Call,
        services: Given,
        cluster: FromPath[UUID],
        search: Query = "",
        scoped: Scope = "",
        include_ports: WithPorts = False,
    ) -> AllowedGraph:
        """Between deployments that the query finds and all others of the scope, and to and from what is outside."""
        found = await visible(request, services, cluster)
        shown = await shown_of(request, services, found, search, scoped, include_ports=include_ports)

        def draw() -> AllowedGraph:
            return Drawing(found, evaluated(found, found.policies), shown).graph()

        return await asyncio.to_thread(draw)

    @post(
        "/simulate/{cluster:uuid}",
        opt=_READ,
        status_code=200,
        summary="What other network policies would let through",
    )
    async def simulate(
        self,
        request: Call,
        services: Given,
        cluster: FromPath[UUID],
        data: JSONBody[Modification],
        search: Query = "",
        scoped: Scope = "",
        include_ports: WithPorts = False,
        include_difference: WithDifference = False,
    ) -> Simulation:
        """``applyYaml``: policies that would be added or changed; ``toDelete``: policies that would be gone. Nothing is done."""
        found = await visible(request, services, cluster)
        shown = await shown_of(request, services, found, search, scoped, include_ports=include_ports)
        return await asyncio.to_thread(_simulated, found, shown, data, difference=include_difference)


def _simulated(cluster: Cluster, shown: Shown, data: Modification, *, difference: bool) -> Simulation:
    several = modifying.simulated(cluster.policies, data)
    # What the caller writes is his to see.
    mine = {each.policy.id for each in several if each.policy is not None and each.status != "UNCHANGED"}
    shown = msgspec.structs.replace(shown, policy=lambda each, seen=shown.policy: each in mine or seen(each))
    after = Drawing(cluster, evaluated(cluster, modifying.after(several)), shown)
    answer = Simulation(
        simulated_graph=after.graph(),
        policies=[
            PolicyInSimulation(
                policy=None if each.policy is None else told(each.policy),
                status=each.status,
                old_policy=None if each.old is None else told(each.old),
            )
            for each in several
            if any(one is not None and shown.policy(one.id) for one in (each.policy, each.old))
        ],
    )
    if not difference:
        return answer
    before = Drawing(cluster, evaluated(cluster, cluster.policies), shown)
    return msgspec.structs.replace(answer, added=after.beyond(before), removed=before.beyond(after))


async def visible(request: Call, services: Given, cluster: UUID) -> Cluster:
    """A cluster of which the caller may see something. Raises ``NotFound``."""
    if not (await reach(services.pool, request.user, Resource.NETWORK_POLICY)).some(cluster):
        raise NotFound(f"there is no cluster {cluster}")
    return await load(services.pool, cluster)


async def shown_of(
    request: Call, services: Given, cluster: Cluster, search: str, scope: str, *, include_ports: bool
) -> Shown:
    """What of it the caller may see and asked for. Raises ``InvalidArgument``."""
    values: list[object] = []
    fields = FIELDS["deployment"]
    within, asked = (
        " AND ".join(searching.where(searching.parse(text), fields, values)) or "TRUE"
        for text in (scope, search)
    )
    store = NetworkPolicyStore(services.pool)
    found = await store.matched(cluster.id, within, asked, values)
    deployments = await reach(services.pool, request.user, Resource.DEPLOYMENT)
    policies = await reach(services.pool, request.user, Resource.NETWORK_POLICY)
    namespaces = {each.id: each.namespace for each in cluster.deployments}
    of_policies = {each.id: each.namespace for each in cluster.policies}
    return Shown(
        deployments={
            each: matched
            for each, matched in found.items()
            if each in namespaces and deployments.has(cluster.id, namespaces[each])
        },
        policy=lambda each: each in of_policies and policies.has(cluster.id, of_policies[each]),
        include_ports=include_ports,
    )


async def _about(request: Call, services: Given, cluster: UUID, query: str) -> set[str]:
    """Identifiers of the policies that are about deployments that a query finds."""
    found = await visible(request, services, cluster)
    shown = await shown_of(request, services, found, query, "", include_ports=False)
    allowed = await asyncio.to_thread(evaluated, found, found.policies)
    return {
        policy
        for at, each in enumerate(found.deployments)
        if shown.deployments.get(each.id)
        for policy in allowed.policies[at]
    }


def _cluster_id(text: str) -> UUID | None:
    return UUID(checks.identifier(text, "cluster_id")) if text else None
