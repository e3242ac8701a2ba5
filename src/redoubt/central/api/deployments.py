"""``/v1/deployments``: workloads of all clusters, in the original's form; each caller sees those that his roles hold for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from litestar.response import Stream

from redoubt.central.api.given import Call, Given
from redoubt.central.api.paging import Paging, Query
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.objects.looking import Looking, whole
from redoubt.central.store.baselines import BaselineStatus, BaselineStore
from redoubt.central.store.risk import DEPLOYMENT, RiskStore
from redoubt.model.workload import Deployment, Part

P = TypeVar("P", bound=Part)

_READ = allow(Resource.DEPLOYMENT, Access.READ, scoped=True)
_PROCESSES = allow(
    (Resource.DEPLOYMENT, Access.READ), (Resource.DEPLOYMENT_EXTENSION, Access.READ), scoped=True
)


class ListDeployment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``storage.ListDeployment``."""

    id: str
    hash: str = ""
    name: str
    cluster: str
    cluster_id: str
    namespace: str
    created: datetime | None = None
    priority: str = "0"


class DeploymentList(msgspec.Struct, frozen=True):
    """Deployments, by name unless somebody asks otherwise."""

    deployments: list[ListDeployment]


class DeploymentWithProcessInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A deployment, and how the baselines of its containers are; ``NOT_GENERATED`` where nothing ran yet."""

    deployment: ListDeployment
    baseline_statuses: list[BaselineStatus]


class DeploymentsWithProcessInfo(msgspec.Struct, frozen=True):
    """``ListDeploymentsWithProcessInfoResponse``."""

    deployments: list[DeploymentWithProcessInfo]


class Count(msgspec.Struct, frozen=True):
    """How many there are."""

    count: int


class DeploymentLabels(msgspec.Struct, frozen=True):
    """Labels that deployments have, each with its values; and all values."""

    labels: dict[str, dict[str, list[str]]]
    values: list[str]


class DeploymentController(Controller):
    """``DeploymentService`` of the original."""

    path = "/v1"
    tags = ("Deployments",)

    @get("/deployments", opt=_READ, summary="Deployments")
    async def all(
        self,
        services: Given,
        request: Call,
        page: Paging,
        text: Query = "",
    ) -> DeploymentList:
        """Found by the query, as many as are asked for. ``priority`` 1 is the riskiest; 0: nobody looked yet."""
        found = await _looking(services).page(request.user, text, page)
        places = await RiskStore(services.pool).priorities(DEPLOYMENT, [_subject(each) for each in found])
        return DeploymentList([_listed(each, places) for each in found])

    @get("/deploymentswithprocessinfo", opt=_PROCESSES, summary="Deployments, and their process baselines")
    async def with_process_info(
        self,
        services: Given,
        request: Call,
        page: Paging,
        text: Query = "",
    ) -> DeploymentsWithProcessInfo:
        """As ``/v1/deployments``; of each container whether its baseline is locked, and whether something ran that is not in it."""
        found = await _looking(services).page(request.user, text, page)
        subjects = [_subject(each) for each in found]
        places = await RiskStore(services.pool).priorities(DEPLOYMENT, subjects)
        known = await BaselineStore(services.pool).statuses(subjects)
        seen = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION)
        return DeploymentsWithProcessInfo(
            [
                DeploymentWithProcessInfo(
                    deployment=_listed(each, places),
                    baseline_statuses=_statuses(each, known.get(_subject(each), {}))
                    if seen.has(UUID(each.cluster_id), each.namespace)
                    else [],
                )
                for each in found
            ]
        )

    @get("/deploymentscount", opt=_READ, summary="How many deployments there are")
    async def count(self, services: Given, request: Call, text: Query = "") -> Count:
        """Found by the query."""
        return Count(await _looking(services).count(request.user, text))

    @get("/deployments/metadata/labels", opt=_READ, summary="Labels of deployments")
    async def labels(self, services: Given, request: Call) -> DeploymentLabels:
        """Of those that the caller may see; 10,000 at most."""
        found = await _looking(services).labels(request.user)
        values = sorted({value for several in found.values() for value in several})
        return DeploymentLabels({key: {"values": sorted(several)} for key, several in found.items()}, values)

    @get(
        "/deployments/{id:str}",
        opt=_READ,
        summary="A deployment",
        responses={200: ResponseSpec(Deployment, description="The deployment")},
    )
    async def one(self, services: Given, request: Call, id: FromPath[str]) -> Response[object]:  # noqa: A002
        """By Kubernetes' UID."""
        return Response(whole(await _looking(services).one(request.user, id)))

    @get("/export/deployments", opt=_READ, summary="All deployments, a line each")
    async def export(self, services: Given, request: Call, text: Query = "") -> Stream:
        """``{"result": {"deployment": …}}`` a line."""
        return await exported(_looking(services), request, text, "deployment")


async def exported(looking: Looking[P], request: Call, query: str, name: str) -> Stream:
    """Objects, a line each."""
    every = looking.every(request.user, query)
    first = await anext(every, None)

    async def lines() -> AsyncIterator[bytes]:
        if first is not None:
            yield _line(name, first)
        async for each in every:
            yield _line(name, each)

    return Stream(lines(), media_type="application/json")


def _line(name: str, part: msgspec.Struct) -> bytes:
    return msgspec.json.encode({"result": {name: whole(part)}}) + b"\n"


def _subject(each: Deployment) -> tuple[UUID, str]:
    return UUID(each.cluster_id), each.id


def _listed(each: Deployment, places: Mapping[tuple[UUID, str], int]) -> ListDeployment:
    return ListDeployment(
        id=each.id,
        name=each.name,
        cluster=each.cluster_name,
        cluster_id=each.cluster_id,
        namespace=each.namespace,
        created=each.created,
        priority=str(places.get(_subject(each), 0)),
    )


def _statuses(each: Deployment, known: Mapping[str, BaselineStatus]) -> list[BaselineStatus]:
    names = dict.fromkeys((*(container.name for container in each.containers), *known))
    return [
        known.get(name)
        or BaselineStatus(
            container_name=name, baseline_status="NOT_GENERATED", anomalous_processes_executed=False
        )
        for name in names
    ]


def _looking(services: Given) -> Looking[Deployment]:
    return Looking(services.pool, "deployment", Deployment)
