"""Image integrations, their health, pull secrets and watched images.

``/v1/pullsecrets`` is ours; all else is the original's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, patch, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from redoubt.central.api import checks
from redoubt.central.api.given import Empty, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.images.watching import Refusal, Watching
from redoubt.central.integrations.keeping import Integrations
from redoubt.central.integrations.records import ImageIntegration
from redoubt.central.refusals import InvalidArgument, Unavailable
from redoubt.central.services import Services

_READ = allow(Resource.INTEGRATION, Access.READ)
_WRITE = allow(Resource.INTEGRATION, Access.READ_WRITE)


class IntegrationList(msgspec.Struct, frozen=True):
    """Integrations, by name."""

    integrations: list[ImageIntegration]


class Update(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An integration, and whether its secrets are new ones; else the stored ones stay."""

    config: ImageIntegration
    update_password: bool = False


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``storage.IntegrationHealth``: what became of it when it was used last."""

    id: str
    name: str
    type: str = "IMAGE_INTEGRATION"
    status: str
    error_message: str
    last_timestamp: datetime | None


class HealthList(msgspec.Struct, frozen=True, rename="camel"):
    """Of all image integrations."""

    integration_health: list[Health]


class PullSecret(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A pull secret: the content of ``.dockerconfigjson``, as JSON or as base64 of that."""

    name: str
    dockerconfigjson: str


class KnownPullSecret(msgspec.Struct, frozen=True):
    """A pull secret, and the registries that it is for."""

    name: str
    registries: list[str]


class PullSecrets(msgspec.Struct, frozen=True, rename="camel"):
    """Pull secrets, by name."""

    pull_secrets: list[KnownPullSecret]


class WatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image's name, with a tag and without a digest."""

    name: str


class WatchAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The name in full, or why the image is not watched."""

    normalized_name: str
    error_type: Refusal
    error_message: str


class WatchedImage(msgspec.Struct, frozen=True):
    """An image that is watched."""

    name: str


class WatchedImages(msgspec.Struct, frozen=True, rename="camel"):
    """By name."""

    watched_images: list[WatchedImage]


class IntegrationController(Controller):
    """``ImageIntegrationService`` of the original."""

    path = "/v1/imageintegrations"
    tags = ("Image integrations",)

    @get(opt=_READ, summary="All image integrations")
    async def all(
        self, services: Given, name: FromQuery[str] = "", cluster: FromQuery[str] = ""
    ) -> IntegrationList:
        """Secrets are masked. ``cluster`` changes nothing: integrations are for all of them."""
        return IntegrationList(integrations=await _integrations(services).all(name))

    @get("/{id:str}", opt=_READ, summary="One image integration")
    async def one(self, services: Given, id: FromPath[str]) -> ImageIntegration:  # noqa: A002
        """Secrets are masked."""
        return await _integrations(services).one(id)

    @post(opt=_WRITE, status_code=200, summary="Create an image integration")
    async def create(self, services: Given, data: JSONBody[ImageIntegration]) -> ImageIntegration:
        """It is tested, unless ``skipTestIntegration`` is set."""
        return await _integrations(services).create(data)

    @post("/test", opt=_WRITE, status_code=200, summary="Test an image integration without keeping it")
    async def test(self, services: Given, data: JSONBody[ImageIntegration]) -> Empty:
        """Asks the registry whether it is one and takes the credentials."""
        found = _integrations(services)
        await found.test(await found.completed(data, new_secrets=True))
        return Empty()

    @post("/test/updated", opt=_WRITE, status_code=200, summary="Test a changed image integration")
    async def test_updated(self, services: Given, data: JSONBody[Update]) -> Empty:
        """With the stored secrets, unless ``updatePassword`` is set."""
        found = _integrations(services)
        await found.test(await found.completed(data.config, new_secrets=data.update_password))
        return Empty()

    @put("/{id:str}", opt=_WRITE, status_code=200, summary="Replace an image integration")
    async def replace(
        self,
        services: Given,
        id: FromPath[str],  # noqa: A002
        data: JSONBody[ImageIntegration],
    ) -> Empty:
        """With all of its secrets."""
        checks.same(id, data.id)
        await _integrations(services).replace(id, data, new_secrets=True)
        return Empty()

    @patch("/{id:str}", opt=_WRITE, status_code=200, summary="Change an image integration")
    async def change(self, services: Given, id: FromPath[str], data: JSONBody[Update]) -> Empty:  # noqa: A002
        """With the stored secrets, unless ``updatePassword`` is set. They stay with their endpoint and user."""
        checks.same(id, data.config.id)
        await _integrations(services).replace(id, data.config, new_secrets=data.update_password)
        return Empty()

    @delete("/{id:str}", opt=_WRITE, status_code=200, summary="Delete an image integration")
    async def remove(self, services: Given, id: FromPath[str]) -> Empty:  # noqa: A002
        """Its secrets go with it."""
        await _integrations(services).delete(id)
        return Empty()


class IntegrationHealthController(Controller):
    """How integrations do."""

    path = "/v1/integrationhealth/imageintegrations"
    tags = ("Integration health",)

    @get(opt=_READ, summary="What became of each image integration when it was used last")
    async def health(self, services: Given) -> HealthList:
        """UNINITIALIZED: it was not used since it was made or changed."""
        rows = await _integrations(services).store.all()
        return HealthList(
            [
                Health(
                    id=str(row.id),
                    name=row.name,
                    status=row.status,
                    error_message=row.problem,
                    last_timestamp=row.checked,
                )
                for row in rows
            ]
        )


class PullSecretController(Controller):
    """Pull secrets, as integrations that are made of them."""

    path = "/v1/pullsecrets"
    tags = ("Image integrations",)

    @get(opt=_READ, summary="Pull secrets, and what they are for")
    async def pull_secrets(self, services: Given) -> PullSecrets:
        """Without what is in them."""
        found = await _integrations(services).pull_secrets()
        return PullSecrets([KnownPullSecret(name, registries) for name, registries in sorted(found.items())])

    @post(opt=_WRITE, status_code=200, summary="Keep a pull secret")
    async def put_pull_secret(self, services: Given, data: JSONBody[PullSecret]) -> IntegrationList:
        """In place of what was kept under its name. An integration for each registry in it; nothing is contacted."""
        name = checks.name(data.name)
        if "/" in name:
            raise InvalidArgument("the name of a pull secret has no slash")
        return IntegrationList(await _integrations(services).put_pull_secret(name, data.dockerconfigjson))

    @delete("/{name:str}", opt=_WRITE, status_code=200, summary="Forget a pull secret")
    async def delete_pull_secret(self, services: Given, name: FromPath[str]) -> Empty:
        """And the integrations that were made of it."""
        await _integrations(services).delete_pull_secret(name)
        return Empty()


class WatchedImageController(Controller):
    """Images that are looked at again and again."""

    path = "/v1/watchedimages"
    tags = ("Images",)

    @get(opt=allow(Resource.IMAGE_ADMINISTRATION, Access.READ), summary="Watched images")
    async def watched(self, services: Given) -> WatchedImages:
        """By name."""
        return WatchedImages([WatchedImage(name) for name in await _watching(services).store.all()])

    @post(
        opt=allow(Resource.IMAGE_ADMINISTRATION, Access.READ_WRITE), status_code=200, summary="Watch an image"
    )
    async def watch(self, services: Given, data: JSONBody[WatchRequest]) -> WatchAnswer:
        """It is scanned now, and every four hours. What cannot be scanned is not watched."""
        name, refusal, message = await _watching(services).watch(data.name)
        return WatchAnswer(normalized_name=name, error_type=refusal, error_message=message)

    @delete(
        opt=allow(Resource.IMAGE_ADMINISTRATION, Access.READ_WRITE),
        status_code=200,
        summary="Watch an image no more",
    )
    async def unwatch(
        self, services: Given, image: Annotated[str, QueryParameter(name="name")] = ""
    ) -> Empty:
        """Also where it was not watched."""
        await _watching(services).unwatch(image)
        return Empty()


def _integrations(services: Services) -> Integrations:
    if services.integrations is None:
        raise Unavailable("this Central has no place for integrations")
    return services.integrations


def _watching(services: Services) -> Watching:
    if services.watching is None:
        raise Unavailable("this Central has no Scanner; its settings name an indexer and a matcher")
    return services.watching
