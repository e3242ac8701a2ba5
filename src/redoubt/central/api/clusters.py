"""``/v1/clusters``: the clusters that are looked after, and where their images come from.

Where a registry behind the gap holds the images, the record says so (``mainImage``, ``collectorImage``). ``status`` and
``healthStatus`` are what is known of the cluster's services. A caller sees the clusters that his roles hold for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from redoubt.central import search
from redoubt.central.api import checks
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.clusters.health import UNHEALTHY, Health, Heard, health, status
from redoubt.central.clusters.records import Cluster
from redoubt.central.config import Settings
from redoubt.central.refusals import InvalidArgument, NotFound
from redoubt.central.search import Column, Kind
from redoubt.central.store.clusters import ClusterStore
from redoubt.central.store.hub import HubStore
from redoubt.central.store.retention import RetentionStore

_READ = allow(Resource.CLUSTER, Access.READ)
_SEE = allow(Resource.CLUSTER, Access.READ, scoped=True)
_WRITE = allow(Resource.CLUSTER, Access.READ_WRITE)

#: The original's search text.
Query = Annotated[str, QueryParameter(name="query")]

_TYPES = ("GENERIC_CLUSTER", "KUBERNETES_CLUSTER", "OPENSHIFT_CLUSTER", "OPENSHIFT4_CLUSTER")
_METHODS = ("UNSET_COLLECTION", "NO_COLLECTION", "KERNEL_MODULE", "EBPF", "CORE_BPF")


class RetentionInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``DecommissionedClusterRetentionInfo``: of a cluster whose Sensor is silent, that it stays, or for how many days."""

    is_excluded: bool | UnsetType = UNSET
    days_until_deletion: int | UnsetType = UNSET


class ClusterAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A cluster."""

    cluster: Cluster
    cluster_retention_info: RetentionInfo | None = None


class ClusterList(msgspec.Struct, frozen=True, rename="camel"):
    """Clusters, by name."""

    clusters: list[Cluster]
    cluster_id_to_retention_info: dict[str, RetentionInfo] = {}


class ClusterDefaults(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a record gets where it names no image."""

    main_image_repository: str
    collector_image_repository: str
    kernel_support_available: bool


class KernelSupport(msgspec.Struct, frozen=True, rename="camel"):
    """Whether Central has kernel support packages, or may fetch them."""

    kernel_support_available: bool


class ClusterController(Controller):
    """Clusters' records."""

    path = "/v1"
    tags = ("Clusters",)

    @get("/clusters", opt=_SEE, summary="All clusters")
    async def all(self, services: Given, request: Call, text: Query = "") -> ClusterList:
        """By name."""
        found = await _found(services, request, text)
        return ClusterList(found, await _retained(services, found))

    @get("/clusters/{id:uuid}", opt=_SEE, summary="A cluster")
    async def one(self, services: Given, request: Call, id: FromPath[UUID]) -> ClusterAnswer:  # noqa: A002
        """By its identifier."""
        found = await _one(services, request, id)
        return ClusterAnswer(found, (await _retained(services, [found])).get(found.id))

    @post("/clusters", opt=_WRITE, status_code=200, summary="Add a cluster")
    async def add(self, services: Given, data: JSONBody[Cluster]) -> ClusterAnswer:
        """The identifier is chosen here."""
        if data.id:
            raise InvalidArgument("a new cluster's identifier is chosen by Central; leave it out")
        identifier = uuid4()
        record = _record(identifier, data, services.settings)
        await _store(services).add(identifier, record.name, record)
        return ClusterAnswer(record)

    @put("/clusters/{id:uuid}", opt=_WRITE, summary="Change a cluster")
    async def change(
        self,
        services: Given,
        request: Call,
        id: FromPath[UUID],  # noqa: A002
        data: JSONBody[Cluster],
    ) -> ClusterAnswer:
        """The whole record."""
        checks.same(id, data.id)
        before = await _store(services).get(id)
        if before is None:
            raise NotFound(f"there is no cluster {id}")
        record = msgspec.structs.replace(
            _record(id, data, services.settings), init_bundle_id=before.init_bundle_id
        )
        if not await _store(services).change(id, record.name, record):
            raise NotFound(f"there is no cluster {id}")
        return ClusterAnswer(await _one(services, request, id))

    @delete("/clusters/{id:uuid}", opt=_WRITE, status_code=200, summary="Delete a cluster")
    async def remove(self, services: Given, id: FromPath[UUID]) -> Empty:  # noqa: A002
        """What is known of it goes with it."""
        if not await _store(services).delete(id):
            raise NotFound(f"there is no cluster {id}")
        return Empty()

    @get("/cluster-defaults", opt=_READ, summary="Images that a new cluster gets")
    async def defaults(self, services: Given) -> ClusterDefaults:
        """From Central's settings."""
        return ClusterDefaults(
            main_image_repository=services.settings.main_image,
            collector_image_repository=services.settings.collector_image,
            kernel_support_available=await _kernel_support(services),
        )

    @get("/clusters-env/kernel-support-available", opt=_READ, summary="Whether kernel probes can be had")
    async def kernel_support(self, services: Given) -> KernelSupport:
        """Uploaded, or from where Central may fetch them. Only clusters of version 4.4 and earlier need any."""
        return KernelSupport(await _kernel_support(services))


async def _kernel_support(services: Given) -> bool:
    return services.probes is not None and await services.probes.available()


#: What clusters are searched by.
_FIELDS = {
    "cluster": Column("name"),
    "cluster id": Column("id::text"),
    "cluster label": Column("(record -> 'labels')", Kind.LABELS),
}


async def _found(services: Given, request: Call, text: str) -> list[Cluster]:
    """With what is known of each now."""
    seen = await reach(services.pool, request.user, Resource.CLUSTER)
    values: list[object] = []
    conditions = [seen.condition(values, "id", "''"), *search.where(search.parse(text), _FIELDS, values)]
    heard = await HubStore(services.pool).heard()
    found = await _store(services).found(" AND ".join(conditions), values)
    return [_known(each, heard.get(UUID(each.id))) for each in found]


async def _one(services: Given, request: Call, identifier: UUID) -> Cluster:
    found = await _found(services, request, f'Cluster ID:"{identifier}"')
    if not found:
        raise NotFound(f"there is no cluster {identifier}")
    return found[0]


async def _retained(services: Given, clusters: list[Cluster]) -> dict[str, RetentionInfo]:
    """For how long clusters whose Sensor is silent are kept, where they are not kept for ever."""
    set_to = (await RetentionStore(services.pool).others()).clusters
    days, now = set_to.retention_duration_days, datetime.now(UTC)
    told: dict[str, RetentionInfo] = {}
    for each in clusters if days else ():
        known = each.health_status
        if known is None or known.sensor_health_status != UNHEALTHY or known.last_contact is None:
            continue
        if set_to.excludes(each.labels):
            told[each.id] = RetentionInfo(is_excluded=True)
        else:
            left = max(0, days - (now - known.last_contact).days)
            told[each.id] = RetentionInfo(days_until_deletion=left)
    return told


def _known(record: Cluster, heard: Heard | None) -> Cluster:
    if heard is None:
        return msgspec.structs.replace(record, status=None, health_status=Health(id=record.id))
    return msgspec.structs.replace(
        record,
        status=status(heard),
        health_status=health(record.id, heard),
        init_bundle_id=heard.bundle,
    )


def _store(services: Given) -> ClusterStore[Cluster]:
    return ClusterStore(services.pool, Cluster)


def _record(identifier: UUID, data: Cluster, settings: Settings) -> Cluster:
    if data.type not in _TYPES:
        raise InvalidArgument(f"type is one of {', '.join(_TYPES)}")
    if data.collection_method not in _METHODS:
        raise InvalidArgument(f"collectionMethod is one of {', '.join(_METHODS)}")
    if len(data.labels) > 200:
        raise InvalidArgument("labels: at most 200")
    for key, value in data.labels.items():
        checks.name(key, "a label", 317)
        checks.text(value, "a label's value", 63)
    if data.dynamic_config is not None:
        checks.text(data.dynamic_config.registry_override, "registryOverride", 500)
    return msgspec.structs.replace(
        data,
        id=str(identifier),
        name=checks.name(data.name, "the cluster's name", 253),
        main_image=checks.repository(data.main_image, "mainImage") or settings.main_image,
        collector_image=checks.repository(data.collector_image, "collectorImage") or settings.collector_image,
        central_api_endpoint=checks.text(data.central_api_endpoint, "centralApiEndpoint", 500),
        managed_by=checks.text(data.managed_by, "managedBy", 50),
        health_status=Health(),
        status=None,
        init_bundle_id="",
    )
