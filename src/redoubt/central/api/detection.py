"""``/v1/detect/build``: whether an image breaks policies, before it is anywhere but in its registry."""

from __future__ import annotations

import msgspec
from litestar import Controller, post
from litestar.params import JSONBody

from redoubt.central.api.given import Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.images import asking
from redoubt.central.images.asking import ScanRequest
from redoubt.central.policies import detection
from redoubt.central.policies.detection import Detected
from redoubt.central.refusals import FailedPrecondition, InvalidArgument, Unavailable


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
        if services.policies is None:
            raise Unavailable("this Central has no policies")
        name = data.image_name
        if not name and data.image is not None and data.image.name is not None:
            name = data.image.name.full_name
        if not name:
            raise InvalidArgument("imageName is missing")
        if data.send_notifications:
            raise FailedPrecondition("this Central has no notifiers; leave sendNotifications out")
        if data.no_external_metadata:
            raise FailedPrecondition(
                "a name leads to an image in its registry only; leave noExternalMetadata out"
            )
        asked = ScanRequest(image_name=name, force=data.force, cluster=data.cluster, platform=data.platform)
        kept = await asking.scan(services, asked)
        return await detection.detect(await services.policies.compiled(), kept, data.policy_categories)
