"""``/v1/cluster-init``: init bundles, with which the services of a new cluster come. What they hold is in the answer alone."""

from __future__ import annotations

import base64
from datetime import datetime

import msgspec
from litestar import Controller, get, patch, post
from litestar.params import JSONBody

from redoubt.central.api.given import Call, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.clusters.bundles import Bundles, Refusal
from redoubt.central.refusals import InvalidArgument, Unavailable
from redoubt.central.store.bundles import Bundle, Used

READ = allow((Resource.ADMINISTRATION, Access.READ), (Resource.INTEGRATION, Access.READ))
WRITE = allow((Resource.ADMINISTRATION, Access.READ_WRITE), (Resource.INTEGRATION, Access.READ_WRITE))
MOST = 1000


class ImpactedCluster(msgspec.Struct, frozen=True):
    """A cluster whose Sensor comes with a bundle's certificate."""

    name: str
    id: str


class Creator(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``storage.User``."""

    id: str
    auth_provider_id: str = ""
    attributes: tuple[str, ...] = ()


class InitBundleMeta(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of a bundle."""

    id: str
    name: str
    impacted_clusters: list[ImpactedCluster]
    created_at: datetime
    created_by: Creator
    expires_at: datetime


class InitBundleList(msgspec.Struct, frozen=True):
    """Those that count, by name."""

    items: list[InitBundleMeta]


class InitBundleRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new one's name."""

    name: str


class InitBundleAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A new one, in base64: Helm values, and Secrets for ``kubectl``."""

    meta: InitBundleMeta
    helm_values_bundle: str
    kubectl_bundle: str


class CaConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Helm values with the CA alone, in base64."""

    helm_values_bundle: str


class RevokeRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which ones, and the clusters that may go with them."""

    ids: list[str] = []
    confirm_impacted_clusters_ids: list[str] = []


class RevocationError(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One that was not revoked."""

    id: str
    error: str
    impacted_clusters: list[ImpactedCluster]


class RevokeAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of each."""

    init_bundle_revocation_errors: list[RevocationError]
    init_bundle_revoked_ids: list[str]


class ClusterInitController(Controller):
    """``ClusterInitService`` of the original."""

    path = "/v1/cluster-init"
    tags = ("Clusters",)

    @get("/init-bundles", opt=READ, summary="Init bundles that count")
    async def all(self, services: Given) -> InitBundleList:
        """By name, with the clusters that use them."""
        bundles = _bundles(services)
        found = await bundles.store.all()
        used = await bundles.store.used([each.id for each in found])
        return InitBundleList([_meta(each, used) for each in found])

    @post("/init-bundles", opt=WRITE, status_code=200, summary="Make an init bundle")
    async def generate(
        self, request: Call, services: Given, data: JSONBody[InitBundleRequest]
    ) -> InitBundleAnswer:
        """Its private keys are in this answer and nowhere else."""
        made = await _bundles(services).generate(data.name, request.user.label)
        return InitBundleAnswer(
            meta=_meta(made.bundle, []),
            helm_values_bundle=_encoded(made.helm),
            kubectl_bundle=_encoded(made.kubectl),
        )

    @patch("/init-bundles/revoke", opt=WRITE, summary="Revoke init bundles")
    async def revoke(self, services: Given, data: JSONBody[RevokeRequest]) -> RevokeAnswer:
        """For good. Clusters that use one have to be named; their Sensors are disconnected."""
        if len(data.ids) > MOST:
            raise InvalidArgument(f"at most {MOST} at once")
        revoked, refused = await _bundles(services).revoke(data.ids, data.confirm_impacted_clusters_ids)
        return RevokeAnswer(
            init_bundle_revocation_errors=[_error(each) for each in refused], init_bundle_revoked_ids=revoked
        )

    @get("/ca-config", opt=READ, summary="The CA, as Helm values")
    async def ca_config(self, services: Given) -> CaConfig:
        """For services that get their certificates in another way."""
        return CaConfig(helm_values_bundle=_encoded(await _bundles(services).ca_config()))


def _bundles(services: Given) -> Bundles:
    if services.bundles is None:
        raise Unavailable("this Central issues no init bundles")
    return services.bundles


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _meta(bundle: Bundle, used: list[Used]) -> InitBundleMeta:
    return InitBundleMeta(
        id=str(bundle.id),
        name=bundle.name,
        impacted_clusters=_impacted([each for each in used if each.bundle == str(bundle.id)]),
        created_at=bundle.created_at,
        created_by=Creator(id=bundle.created_by),
        expires_at=bundle.expires_at,
    )


def _error(refusal: Refusal) -> RevocationError:
    return RevocationError(
        id=refusal.id[:100], error=refusal.error, impacted_clusters=_impacted(list(refusal.impacted))
    )


def _impacted(used: list[Used]) -> list[ImpactedCluster]:
    return [ImpactedCluster(name=each.name, id=str(each.id)) for each in used]
