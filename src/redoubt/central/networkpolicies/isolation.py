"""The graph of connections with what network policies each deployment is subject to."""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec

from redoubt.central.activity.graph import GraphNode, NetworkGraph
from redoubt.central.auth.reach import Reach
from redoubt.central.networkpolicies.loading import Cluster, evaluated, load
from redoubt.central.store import Pool


async def with_policies(pool: Pool, cluster: UUID, graph: NetworkGraph, within: Reach) -> NetworkGraph:
    """``within`` says whose policies the caller may see; of others nothing is said. Raises ``InvalidArgument``."""
    found = await load(pool, cluster)
    return await asyncio.to_thread(_with, found, graph, within)


def _with(cluster: Cluster, graph: NetworkGraph, within: Reach) -> NetworkGraph:
    allowed = evaluated(cluster, cluster.policies)
    places = {each.id: at for at, each in enumerate(cluster.deployments)}

    def told(node: GraphNode) -> GraphNode:
        at = places.get(node.entity.id)
        if at is None or not within.has(cluster.id, cluster.deployments[at].namespace):
            return node
        return msgspec.structs.replace(
            node,
            policy_ids=sorted(allowed.policies[at]),
            non_isolated_ingress=not allowed.isolated_ingress >> at & 1,
            non_isolated_egress=not allowed.isolated_egress >> at & 1,
        )

    return msgspec.structs.replace(graph, nodes=[told(each) for each in graph.nodes])
