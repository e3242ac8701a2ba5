"""What else there is in clusters: pods, nodes, namespaces, secrets, service accounts, roles, bindings, network policies.

Paths and forms are the original's; each caller sees what his roles hold for. A secret's values are nowhere.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from redoubt.central.api.deployments import Count, exported
from redoubt.central.api.given import Call, Given
from redoubt.central.api.paging import Paging, Query
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.images import original
from redoubt.central.objects.granting import Grants, cluster_of, granted, people
from redoubt.central.objects.looking import Looking, Page, whole
from redoubt.central.refusals import NotFound
from redoubt.central.store.nodes import Counts, Matched, NodeStore
from redoubt.central.store.risk import NODE, RiskStore
from redoubt.model.cluster import (
    ClusterNode,
    K8sRole,
    K8sRoleBinding,
    Namespace,
    Pod,
    Secret,
    ServiceAccount,
)
from redoubt.model.workload import Deployment

_DEPLOYMENTS = allow(Resource.DEPLOYMENT, Access.READ, scoped=True)
_NODES = allow(Resource.NODE, Access.READ, scoped=True)
_NAMESPACES = allow(Resource.NAMESPACE, Access.READ, scoped=True)
_SECRETS = allow(Resource.SECRET, Access.READ, scoped=True)
_ACCOUNTS = allow(
    (Resource.SERVICE_ACCOUNT, Access.READ),
    (Resource.K8S_ROLE, Access.READ),
    (Resource.K8S_ROLE_BINDING, Access.READ),
    (Resource.DEPLOYMENT, Access.READ),
    scoped=True,
)
_ROLES = allow(Resource.K8S_ROLE, Access.READ, scoped=True)
_BINDINGS = allow(Resource.K8S_ROLE_BINDING, Access.READ, scoped=True)
_SUBJECTS = allow(
    (Resource.K8S_SUBJECT, Access.READ),
    (Resource.K8S_ROLE, Access.READ),
    (Resource.K8S_ROLE_BINDING, Access.READ),
    scoped=True,
)
_POLICIES = allow(Resource.NETWORK_POLICY, Access.READ, scoped=True)

#: An answer whose parts are structs of ``model``, with all their fields.
Told = Response[dict[str, Any]]


class PodController(Controller):
    """``PodService``."""

    path = "/v1"
    tags = ("Deployments",)

    @get("/pods", opt=_DEPLOYMENTS, summary="Pods")
    async def all(
        self,
        services: Given,
        request: Call,
        page: Paging,
        text: Query = "",
    ) -> Told:
        """Found by the query."""
        return Response(
            {"pods": whole(await Looking(services.pool, "pod", Pod).page(request.user, text, page))}
        )

    @get("/export/pods", opt=_DEPLOYMENTS, summary="All pods, a line each")
    async def export(self, services: Given, request: Call, text: Query = "") -> Stream:
        """``{"result": {"pod": …}}`` a line."""
        return await exported(Looking(services.pool, "pod", Pod), request, text, "pod")


class NodeController(Controller):
    """``NodeService``."""

    path = "/v1"
    tags = ("Clusters",)

    @get("/nodes/{cluster:uuid}", opt=_NODES, summary="Nodes of a cluster")
    async def all(self, services: Given, request: Call, cluster: FromPath[UUID]) -> Told:
        """By name, with how much was found on each. ``priority`` 1 is the riskiest; 0: nobody looked yet."""
        found = await _nodes(services).page(request.user, "", Page(limit=10_000), cluster)
        counts = await NodeStore(services.pool).counts(cluster)
        risks = await RiskStore(services.pool).scores(NODE, cluster)
        return Response({"nodes": [_node(each, counts.get(each.name), risks) for each in found]})

    @get("/nodes/{cluster:uuid}/{node:str}", opt=_NODES, summary="A node")
    async def one(
        self, services: Given, request: Call, cluster: FromPath[UUID], node: FromPath[str]
    ) -> Response[object]:
        """By Kubernetes' UID; with what is installed on its host, and what is known of that."""
        found = await _nodes(services).one(request.user, node, cluster)
        store = NodeStore(services.pool)
        counts = (await store.counts(cluster)).get(found.name)
        matched = await store.find(cluster, found.name)
        scan = None if matched is None else await asyncio.to_thread(_scan, found.name, matched)
        risks = await RiskStore(services.pool).scores(NODE, cluster)
        return Response(_node(found, counts, risks) | {"scan": scan})

    @get("/export/nodes", opt=_NODES, summary="All nodes, a line each")
    async def export(self, services: Given, request: Call, text: Query = "") -> Stream:
        """``{"result": {"node": …}}`` a line."""
        return await exported(_nodes(services), request, text, "node")


class NamespaceController(Controller):
    """``NamespaceService``."""

    path = "/v1/namespaces"
    tags = ("Clusters",)

    @get(opt=_NAMESPACES, summary="Namespaces")
    async def all(self, services: Given, request: Call, page: Paging, text: Query = "") -> Told:
        """With how much is in each."""
        looking = Looking(services.pool, "namespace", Namespace)
        found = await looking.page(request.user, text, page)
        return Response({"namespaces": await _counted(looking, found)})

    @get("/{id:str}", opt=_NAMESPACES, summary="A namespace")
    async def one(self, services: Given, request: Call, id: FromPath[str]) -> Response[object]:  # noqa: A002
        """By Kubernetes' UID."""
        looking = Looking(services.pool, "namespace", Namespace)
        return Response((await _counted(looking, [await looking.one(request.user, id)]))[0])


class ListSecret(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``storage.ListSecret``."""

    id: str
    name: str
    cluster_id: str
    cluster_name: str
    namespace: str
    types: list[str]
    created_at: datetime | None


class SecretList(msgspec.Struct, frozen=True):
    """Secrets, by name."""

    secrets: list[ListSecret]


class SecretController(Controller):
    """``SecretService``."""

    path = "/v1"
    tags = ("Clusters",)

    @get("/secrets", opt=_SECRETS, summary="Secrets")
    async def all(self, services: Given, request: Call, page: Paging, text: Query = "") -> SecretList:
        """What there is, never what it says."""
        return SecretList([_secret(each) for each in await _secrets(services).page(request.user, text, page)])

    @get("/secretsextended", opt=_SECRETS, summary="Secrets, by the original's longer name")
    async def extended(
        self,
        services: Given,
        request: Call,
        text: Annotated[str, QueryParameter(name="query.query")] = "",
        limit: Annotated[int, QueryParameter(name="query.pagination.limit")] = 0,
        offset: Annotated[int, QueryParameter(name="query.pagination.offset")] = 0,
    ) -> SecretList:
        """As ``/v1/secrets``: who uses a secret is told of each one (``/v1/secrets/{id}``)."""
        page = Page(limit=limit, offset=offset)
        return SecretList([_secret(each) for each in await _secrets(services).page(request.user, text, page)])

    @get("/secretscount", opt=_SECRETS, summary="How many secrets there are")
    async def count(self, services: Given, request: Call, text: Query = "") -> Count:
        """Found by the query."""
        return Count(await _secrets(services).count(request.user, text))

    @get("/secrets/{id:str}", opt=_SECRETS, summary="A secret")
    async def one(self, services: Given, request: Call, id: FromPath[str]) -> Response[object]:  # noqa: A002
        """By Kubernetes' UID; with the deployments that use it, as far as the caller may see them."""
        secret = await _secrets(services).one(request.user, id)
        users: list[dict[str, str]] = []
        if request.user.may(Resource.DEPLOYMENT, Access.READ):
            there = Looking(services.pool, "deployment", Deployment)
            users = [
                {"id": each.id, "name": each.name}
                for each in await there.within(request.user, UUID(secret.cluster_id), secret.namespace)
                if _uses(each, secret.name)
            ]
        told = whole(secret) | {"relationship": {"id": secret.id, "deploymentRelationships": users}}
        return Response(told)


class ServiceAccountController(Controller):
    """``ServiceAccountService``."""

    path = "/v1/serviceaccounts"
    tags = ("RBAC",)

    @get(opt=_ACCOUNTS, summary="Service accounts, their roles and who runs as them")
    async def all(self, services: Given, request: Call, page: Paging, text: Query = "") -> Told:
        """Found by the query; 100 unless more are asked for."""
        looking = Looking(services.pool, "serviceaccount", ServiceAccount)
        found = await looking.page(request.user, text, msgspec.structs.replace(page, limit=page.limit or 100))
        return Response({"saAndRoles": await _accounts(services, request, found)})

    @get("/{id:str}", opt=_ACCOUNTS, summary="A service account")
    async def one(self, services: Given, request: Call, id: FromPath[str]) -> Told:  # noqa: A002
        """By Kubernetes' UID."""
        looking = Looking(services.pool, "serviceaccount", ServiceAccount)
        found = await looking.one(request.user, id)
        return Response({"saAndRole": (await _accounts(services, request, [found]))[0]})


class RbacController(Controller):
    """``RbacService``."""

    path = "/v1/rbac"
    tags = ("RBAC",)

    @get("/roles", opt=_ROLES, summary="Roles of Kubernetes")
    async def roles(self, services: Given, request: Call, page: Paging, text: Query = "") -> Told:
        """Found by the query."""
        looking = Looking(services.pool, "role", K8sRole)
        found = await looking.page(request.user, text, page)
        return Response({"roles": whole(found)})

    @get("/roles/{id:str}", opt=_ROLES, summary="A role of Kubernetes")
    async def role(self, services: Given, request: Call, id: FromPath[str]) -> Told:  # noqa: A002
        """By Kubernetes' UID."""
        return Response({"role": whole(await Looking(services.pool, "role", K8sRole).one(request.user, id))})

    @get("/bindings", opt=_BINDINGS, summary="Role bindings")
    async def bindings(self, services: Given, request: Call, page: Paging, text: Query = "") -> Told:
        """Found by the query."""
        looking = Looking(services.pool, "binding", K8sRoleBinding)
        found = await looking.page(request.user, text, page)
        return Response({"bindings": whole(found)})

    @get("/bindings/{id:str}", opt=_BINDINGS, summary="A role binding")
    async def binding(self, services: Given, request: Call, id: FromPath[str]) -> Told:  # noqa: A002
        """By Kubernetes' UID."""
        looking = Looking(services.pool, "binding", K8sRoleBinding)
        return Response({"binding": whole(await looking.one(request.user, id))})

    @get("/subjects", opt=_SUBJECTS, summary="Users and groups, and the roles that they are given")
    async def subjects(self, services: Given, request: Call, page: Paging, text: Query = "") -> Told:
        """By name, cluster by cluster, 1,000 unless others are asked for; ``query`` is one of bindings."""
        grants = await people(services.pool, request.user, text, page)
        return Response(
            {
                "subjectAndRoles": [
                    {"subject": _subject(each), "roles": whole(each.cluster_roles + each.scoped_roles)}
                    for each in grants
                ]
            }
        )

    @get("/subject/{id:str}", opt=_SUBJECTS, summary="A user or group")
    async def subject(self, services: Given, request: Call, id: FromPath[str]) -> Told:  # noqa: A002
        """By the ``id`` that the list tells."""
        cluster = cluster_of(id)
        for each in await granted(
            services.pool, request.user, clusters=() if cluster is None else (cluster,)
        ):
            if each.id == id and each.subject.kind in ("USER", "GROUP"):
                return Response({"subject": _subject(each), **_roles(each)})
        raise NotFound("there is no such user or group")


def _nodes(services: Given) -> Looking[ClusterNode]:
    return Looking(services.pool, "node", ClusterNode)


def _node(node: ClusterNode, counts: Counts | None, risks: Mapping[str, tuple[float, int]]) -> dict[str, Any]:
    score, place = risks.get(node.name, (0.0, 0))
    told: dict[str, Any] = whole(node) | {"riskScore": score, "priority": str(place)}
    if counts is None:
        return told
    return told | {
        "components": counts.components,
        "cves": counts.cves,
        "fixableCves": counts.fixable,
        "topCvss": counts.top_cvss,
        "lastReported": counts.received,
        "scanTime": counts.matched,
        "scanProblem": counts.problem,
    }


def _scan(name: str, matched: Matched) -> original.ImageScan:
    """In the form of an image's: ``storage.NodeScan`` has the same names."""
    scanned = original.Scanned(
        name=name,
        index=matched.index,
        report=matched.report,
        indexed=matched.received,
        matched=matched.matched,
    )
    return original.scan(scanned, datetime.now(UTC).date())


def _secrets(services: Given) -> Looking[Secret]:
    return Looking(services.pool, "secret", Secret)


def _secret(each: Secret) -> ListSecret:
    return ListSecret(
        id=each.id,
        name=each.name,
        cluster_id=each.cluster_id,
        cluster_name=each.cluster_name,
        namespace=each.namespace,
        types=sorted({file.type for file in each.files} or {"UNDETERMINED"}),
        created_at=each.created_at,
    )


def _uses(deployment: Deployment, secret: str) -> bool:
    return secret in deployment.image_pull_secrets or any(
        mounted.name == secret for container in deployment.containers for mounted in container.secrets
    )


async def _counted(looking: Looking[Namespace], found: list[Namespace]) -> list[dict[str, object]]:
    numbers = await looking.numbers([(UUID(each.cluster_id), each.name) for each in found])
    told: list[dict[str, object]] = []
    for each in found:
        mine = numbers.get((UUID(each.cluster_id), each.name), {})
        told.append(
            {
                "metadata": whole(each),
                "numDeployments": mine.get("deployment", 0),
                "numSecrets": mine.get("secret", 0),
                "numNetworkPolicies": mine.get("networkpolicy", 0),
            }
        )
    return told


async def _accounts(services: Given, request: Call, found: list[ServiceAccount]) -> list[dict[str, object]]:
    if not found:
        return []
    clusters = {UUID(each.cluster_id) for each in found}
    grants = {
        (each.cluster, each.subject.namespace, each.subject.name): each
        for each in await granted(services.pool, request.user, clusters=clusters)
        if each.subject.kind == "SERVICE_ACCOUNT"
    }
    runs: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    deployments = Looking(services.pool, "deployment", Deployment)
    for cluster, namespace in {(each.cluster_id, each.namespace) for each in found}:
        for one in await deployments.within(request.user, UUID(cluster), namespace):
            runs[cluster, namespace, one.service_account or "default"].append(
                {"id": one.id, "name": one.name}
            )
    told: list[dict[str, object]] = []
    for each in found:
        key = (each.cluster_id, each.namespace, each.name)
        told.append(
            {"serviceAccount": whole(each), **_roles(grants.get(key)), "deploymentRelationships": runs[key]}
        )
    return told


def _roles(grants: Grants | None) -> dict[str, object]:
    if grants is None:
        return {"clusterRoles": [], "scopedRoles": []}
    by_namespace: dict[str, list[K8sRole]] = defaultdict(list)
    for role, namespace in zip(grants.scoped_roles, grants.scoped_namespaces, strict=True):
        by_namespace[namespace].append(role)
    scoped = [{"namespace": name, "roles": whole(roles)} for name, roles in sorted(by_namespace.items())]
    return {"clusterRoles": whole(grants.cluster_roles), "scopedRoles": scoped}


def _subject(grants: Grants) -> dict[str, str]:
    subject = grants.subject
    return {
        "id": grants.id,
        "kind": subject.kind,
        "name": subject.name,
        "namespace": subject.namespace,
        "clusterId": grants.cluster,
        "clusterName": grants.cluster_name,
    }


OBJECT_CONTROLLERS: list[ControllerRouterHandler] = [
    PodController,
    NodeController,
    NamespaceController,
    SecretController,
    ServiceAccountController,
    RbacController,
]
