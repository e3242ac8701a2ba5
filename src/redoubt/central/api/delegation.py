"""``/v1/delegatedregistryconfig``: which images clusters scan, and which clusters can."""

from __future__ import annotations

from uuid import UUID

import msgspec
from litestar import Controller, get, put
from litestar.params import JSONBody

from redoubt.central.api import checks
from redoubt.central.api.given import Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.clusters.records import Cluster
from redoubt.central.delegation.choosing import DelegationStore
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store.clusters import ClusterStore
from redoubt.central.store.hub import HubStore
from redoubt.model.cluster import DelegatedRegistry, DelegatedRegistryConfig, Health

_READ = allow(Resource.ADMINISTRATION, Access.READ)
_WRITE = allow(Resource.ADMINISTRATION, Access.READ_WRITE)
_MOST = 1000
_ENABLED = ("NONE", "ALL", "SPECIFIC")


class Registry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Images whose name begins with ``path`` are scanned by that cluster; by the default one where it is empty."""

    path: str = ""
    cluster_id: str = ""


class Config(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``DelegatedRegistryConfig``."""

    enabled_for: str = "NONE"
    default_cluster_id: str = ""
    registries: list[Registry] = []


class DelegatedCluster(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A cluster, and whether it can scan: its Sensor is connected, and has an Indexer."""

    id: str
    name: str
    is_valid: bool


class DelegatedClusters(msgspec.Struct, frozen=True):
    """By name."""

    clusters: list[DelegatedCluster]


class DelegationController(Controller):
    """``DelegatedRegistryConfigService`` of the original."""

    path = "/v1/delegatedregistryconfig"
    tags = ("Images",)

    @get(opt=_READ, summary="Which images clusters scan")
    async def one(self, services: Given) -> Config:
        """As it is set."""
        return _told(await DelegationStore(services.pool).get())

    @put(opt=_WRITE, summary="Have clusters scan images")
    async def change(self, services: Given, data: JSONBody[Config]) -> Config:
        """The whole. Sensors hear of it within seconds."""
        there = {each.id for each in await ClusterStore(services.pool, Cluster).all()}
        made = _checked(data, there)
        await DelegationStore(services.pool).put(made)
        return _told(made)

    @get("/clusters", opt=_READ, summary="Clusters that can scan")
    async def clusters(self, services: Given) -> DelegatedClusters:
        """All, and whether they can now."""
        heard = await HubStore(services.pool).heard()

        def valid(identifier: str) -> bool:
            found = heard.get(UUID(identifier))
            if found is None or not found.connected or not found.health:
                return False
            return msgspec.json.decode(found.health, type=Health).scanner.status == "HEALTHY"

        every = await ClusterStore(services.pool, Cluster).all()
        return DelegatedClusters(
            [DelegatedCluster(id=each.id, name=each.name, is_valid=valid(each.id)) for each in every]
        )


def _checked(data: Config, there: set[str]) -> DelegatedRegistryConfig:
    if data.enabled_for not in _ENABLED:
        raise InvalidArgument(f"enabledFor is one of {', '.join(_ENABLED)}")
    if len(data.registries) > _MOST:
        raise InvalidArgument(f"at most {_MOST} registries")
    for named in (data.default_cluster_id, *(each.cluster_id for each in data.registries)):
        if named and named not in there:
            raise InvalidArgument(f"cluster {named[:60]!r} is not valid")
    for each in data.registries:
        checks.name(each.path, "a registry's path", 500)
        if data.enabled_for != "NONE" and not each.cluster_id and not data.default_cluster_id:
            raise InvalidArgument(f"registry {each.path[:60]!r}: name its cluster, or a default one")
    if data.enabled_for == "ALL" and not data.default_cluster_id:
        raise InvalidArgument("enabledFor ALL needs a default cluster")
    return DelegatedRegistryConfig(
        enabled_for=data.enabled_for,
        default_cluster_id=data.default_cluster_id,
        registries=tuple(
            DelegatedRegistry(path=each.path.strip(), cluster_id=each.cluster_id) for each in data.registries
        ),
    )


def _told(config: DelegatedRegistryConfig) -> Config:
    return Config(
        enabled_for=config.enabled_for,
        default_cluster_id=config.default_cluster_id,
        registries=[Registry(path=each.path, cluster_id=each.cluster_id) for each in config.registries],
    )
