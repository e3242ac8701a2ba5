"""``/v1/deploymentswithrisk``: a deployment, and why it should, or need not, be looked at first."""

from __future__ import annotations

from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from redoubt.central.api.given import Call, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.objects.looking import Looking, whole
from redoubt.central.refusals import NotFound
from redoubt.central.risk.scores import Result
from redoubt.central.store.risk import DEPLOYMENT, RiskStore
from redoubt.model.workload import Deployment

_READ = allow((Resource.DEPLOYMENT, Access.READ), (Resource.DEPLOYMENT_EXTENSION, Access.READ), scoped=True)


class RiskSubject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``storage.RiskSubject``."""

    id: str
    namespace: str
    cluster_id: str
    type: str = "DEPLOYMENT"


class RiskAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``storage.Risk``. ``priority`` is ours: 1 is the riskiest, 0 not ranked yet."""

    id: str
    subject: RiskSubject
    score: float
    results: tuple[Result, ...]
    priority: str


class DeploymentWithRisk(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``GetDeploymentWithRiskResponse``; ``risk`` is null where nothing was looked at yet."""

    deployment: Deployment
    risk: RiskAnswer | None


class RiskController(Controller):
    """Risk."""

    path = "/v1/deploymentswithrisk"
    tags = ("Deployments",)

    @get(
        "/{id:str}",
        opt=_READ,
        summary="A deployment, and its risk",
        responses={
            200: ResponseSpec(DeploymentWithRisk, description="The deployment, and its risk factor by factor")
        },
    )
    async def one(self, services: Given, request: Call, id: FromPath[str]) -> Response[object]:  # noqa: A002
        """The score is the product of its factors; those that are 1 are left out."""
        deployment = await Looking(services.pool, "deployment", Deployment).one(request.user, id)
        # What somebody runs there is told to who may see that as well.
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION)
        if not within.has(UUID(deployment.cluster_id), deployment.namespace):
            raise NotFound(f"there is no deployment {id[:100]!r} whose risk you may see")
        kept = await RiskStore(services.pool).get(DEPLOYMENT, deployment.id, UUID(deployment.cluster_id))
        risk = None
        if kept is not None:
            subject = RiskSubject(
                id=deployment.id, namespace=deployment.namespace, cluster_id=deployment.cluster_id
            )
            risk = RiskAnswer(
                id=f"deployment:{deployment.id}",
                subject=subject,
                score=kept.risk.score,
                results=kept.risk.results,
                priority=str(kept.priority),
            )
        return Response({"deployment": whole(deployment), "risk": risk})
