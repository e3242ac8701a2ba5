"""``/v1/detect``: whether an image or a workload breaks policies, before it is anywhere but in its registry or its manifest."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Controller, post
from litestar.params import JSONBody

from redoubt.central.api.given import Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.declare import services as from_services
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.images import asking
from redoubt.central.images.asking import ScanRequest
from redoubt.central.policies import deploying, detection, manifests
from redoubt.central.policies.deploying import DeployDetected
from redoubt.central.policies.detection import Detected
from redoubt.central.policies.keeping import Policies
from redoubt.central.refusals import FailedPrecondition, InvalidArgument, Unavailable
from redoubt.model.workload import Deployment
from redoubt.policies import PolicySet
from redoubt.wire.identity import Service


class NamedImage(msgspec.Struct, frozen=True, rename="camel"):
    """``storage.ImageName``, as much as names an image."""

    full_name: str = ""


class GivenImage(msgspec.Struct, frozen=True, rename="camel"):
    """``storage.ContainerImage``, as much as names an image."""

    name: NamedImage | None = None


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``BuildDetectionRequest``, and ``platform`` as for a scan."""

    image_name: str = ""
    image: GivenImage | None = None
    no_external_metadata: bool = False
    send_notifications: bool = False
    force: bool = False
    policy_categories: tuple[str, ...] = ()
    cluster: str = ""
    namespace: str = ""
    platform: str = ""


class YamlRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``DeployYAMLDetectionRequest``."""

    yaml: str = ""
    no_external_metadata: bool = False
    enforcement_only: bool = False
    force: bool = False
    policy_categories: tuple[str, ...] = ()
    cluster: str = ""
    namespace: str = ""


class DeployRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``DeployDetectionRequest``. ``deployment`` is ``storage.Deployment``."""

    deployment: dict[str, object] | None = None
    no_external_metadata: bool = False
    enforcement_only: bool = False
    cluster_id: str = ""


class DetectionController(Controller):
    """Policies asked of what is not there yet."""

    path = "/v1/detect"
    tags = ("Policies",)

    @post(
        "/build",
        opt=allow(Resource.DETECTION, Access.READ),
        status_code=200,
        summary="Check an image against policies",
    )
    async def build(self, services: Given, data: JSONBody[BuildRequest]) -> Detected:
        """It is scanned, if it was not, and asked about by policies of the BUILD stage. ``unanswered`` are those that could not be asked."""
        policies = _policies(services)
        name = data.image_name
        if not name and data.image is not None and data.image.name is not None:
            name = data.image.name.full_name
        if not name:
            raise InvalidArgument("imageName is missing")
        if data.send_notifications:
            raise FailedPrecondition("this Central has no notifiers; leave sendNotifications out")
        _external(data.no_external_metadata)
        asked = ScanRequest(image_name=name, force=data.force, cluster=data.cluster, platform=data.platform)
        kept = await asking.scan(services, asked)
        return await detection.detect(await policies.compiled(), kept, data.policy_categories)

    @post(
        "/deploy/yaml",
        opt=allow(Resource.DETECTION, Access.READ),
        status_code=200,
        summary="Check manifests against policies",
    )
    async def yaml(self, services: Given, data: JSONBody[YamlRequest]) -> DeployDetected:
        """Workloads in it are asked about by policies of the DEPLOY stage, after their images were scanned."""
        _external(data.no_external_metadata)
        if not data.yaml:
            raise InvalidArgument("yaml is missing")
        given = await asyncio.to_thread(manifests.read, data.yaml, data.namespace or "default")
        deployments = given.deployments
        if data.cluster:
            if services.delegating is None:
                raise FailedPrecondition("no cluster answers to this Central; leave cluster out")
            deployments = tuple(await services.delegating.enhanced(data.cluster, list(deployments)))
        return await deploying.detect(
            services,
            await _asked(services, data.enforcement_only),
            deployments,
            given.ignored,
            categories=data.policy_categories,
            force=data.force,
        )

    @post(
        "/deploy",
        opt=allow(Resource.DETECTION, Access.READ_WRITE) | from_services(Service.SENSOR),
        status_code=200,
        summary="Check a workload against policies",
    )
    async def deploy(self, services: Given, data: JSONBody[DeployRequest]) -> DeployDetected:
        """One that is given as ``storage.Deployment``."""
        _external(data.no_external_metadata)
        if data.deployment is None:
            raise InvalidArgument("deployment is missing")
        try:
            given = msgspec.convert(without_null(data.deployment), Deployment, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidArgument(f"deployment: {error}") from None
        if len(given.containers) > manifests.MOST_CONTAINERS:
            raise InvalidArgument(f"at most {manifests.MOST_CONTAINERS} containers are checked at once")
        if data.cluster_id:
            given = msgspec.structs.replace(given, cluster_id=data.cluster_id)
        policies = await _asked(services, data.enforcement_only)
        return await deploying.detect(services, policies, [given], (), categories=(), force=False)


def _external(refused: bool) -> None:
    if refused:
        raise FailedPrecondition(
            "a name leads to an image in its registry only; leave noExternalMetadata out"
        )


def _policies(services: Given) -> Policies:
    if services.policies is None or services.images is None:
        raise Unavailable(
            "this Central has no policies, or no Scanner; its settings name an indexer and a matcher"
        )
    return services.policies


async def _asked(services: Given, enforced: bool) -> PolicySet:
    policies = await _policies(services).compiled()
    return deploying.enforced(policies) if enforced else policies


def without_null(given: object) -> Any:
    """JSON as protobuf reads it: ``null`` is the default."""
    if isinstance(given, dict):
        return {key: without_null(value) for key, value in given.items() if value is not None}
    return [without_null(value) for value in given] if isinstance(given, list) else given
