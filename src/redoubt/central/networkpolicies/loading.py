"""A cluster as network policies look at it, out of what its Sensor told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import msgspec

from redoubt.central.activity.blocks import Block, Blocks
from redoubt.central.refusals import Exhausted, InvalidArgument, NotFound
from redoubt.central.store import Pool
from redoubt.central.store.activity import ActivityStore
from redoubt.central.store.network_policies import NetworkPolicyStore
from redoubt.errors import UnreadableInput
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.model.workload import LabelSelector, Port
from redoubt.networkpolicies import evaluating
from redoubt.networkpolicies.evaluating import Allowed, Workload, World, named_ports
from redoubt.networkpolicies.outside import Network, Outside

#: Objects of a kind that are looked at together.
_MOST = {"deployment": 20_000, "pod": 200_000, "namespace": 50_000, "networkpolicy": 20_000}


class _Read(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """A part of an object that is kept."""


class _Container(_Read, frozen=True, kw_only=True):
    ports: tuple[Port, ...] = ()


class SeenDeployment(_Read, frozen=True, kw_only=True):
    """A workload. ``ports`` are with how they are reachable."""

    id: str
    name: str = ""
    namespace: str = ""
    pod_labels: dict[str, str] = {}
    label_selector: LabelSelector | None = None
    containers: tuple[_Container, ...] = ()
    ports: tuple[Port, ...] = ()
    host_network: bool = False


class _Pod(_Read, frozen=True, kw_only=True):
    deployment_id: str = ""
    ips: tuple[str, ...] = ()


class _Namespace(_Read, frozen=True, kw_only=True):
    name: str = ""
    labels: dict[str, str] = {}


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster. Places in ``world`` are those in ``deployments``, and behind them the internet, what is inside, ``blocks``."""

    id: UUID
    name: str
    epoch: int
    deployments: list[SeenDeployment]
    namespaces: dict[str, dict[str, str]]
    policies: list[ClusterNetworkPolicy]
    blocks: list[Block]
    world: World


S = TypeVar("S", bound=msgspec.Struct)


async def load(pool: Pool, cluster: UUID) -> Cluster:
    """Raises ``NotFound``, ``Exhausted``."""
    store = NetworkPolicyStore(pool)
    name = await store.name(cluster)
    if name is None:
        raise NotFound(f"there is no cluster {cluster}")
    epoch = await store.epoch(cluster)
    texts = {kind: await store.texts(cluster, kind, most) for kind, most in _MOST.items()}
    for kind, found in texts.items():
        if len(found) > _MOST[kind]:
            raise Exhausted(f"the cluster has more than {_MOST[kind]} objects of the kind {kind}")
    blocks = await ActivityStore(pool).blocks(cluster)
    return await asyncio.to_thread(_put_together, cluster, name, epoch, texts, blocks)


def evaluated(cluster: Cluster, policies: Sequence[ClusterNetworkPolicy]) -> Allowed:
    """What policies let through there. Raises ``InvalidArgument`` where Kubernetes would not take one of them."""
    try:
        return evaluating.evaluated(cluster.world, policies)
    except UnreadableInput as error:
        raise InvalidArgument(str(error)) from None


def _put_together(
    cluster: UUID, name: str, epoch: int, texts: dict[str, list[str]], blocks: list[Block]
) -> Cluster:
    deployments = _read(SeenDeployment, texts["deployment"])
    namespaces = {each.name: each.labels for each in _read(_Namespace, texts["namespace"])}
    addresses: dict[str, list[str]] = {}
    for pod in _read(_Pod, texts["pod"]):
        addresses.setdefault(pod.deployment_id, []).extend(pod.ips)
    # As Python writes them.
    known = list(Blocks(blocks).all.values())
    workloads = [_workload(each, addresses.get(each.id, ())) for each in deployments]
    outside = Outside([Network(each.id, each.block) for each in known])
    return Cluster(
        id=cluster,
        name=name,
        epoch=epoch,
        deployments=deployments,
        namespaces=namespaces,
        policies=_read(ClusterNetworkPolicy, texts["networkpolicy"]),
        blocks=known,
        world=World(workloads, namespaces, outside),
    )


def _read(kind: type[S], texts: Sequence[str]) -> list[S]:
    decode = msgspec.json.Decoder(kind).decode
    return [decode(text) for text in texts]


def _workload(each: SeenDeployment, addresses: Sequence[str]) -> Workload:
    return Workload(
        id=each.id,
        namespace=each.namespace,
        labels=each.pod_labels,
        # Containers' own: a service's name for a port means nothing to a network policy.
        named=named_ports(port for container in each.containers for port in container.ports),
        host_network=each.host_network,
        addresses=tuple(addresses),
    )
