"""``/v1/fleet``: all that is in all images, page by page. Followed when definitions change, without a registry."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from redoubt.central.api.given import Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import Unavailable
from redoubt.central.services import Services
from redoubt.central.store.fleet import FleetStore
from redoubt.central.store.fleet_rows import FindingRow, FlawRow, ImageRow

_READ = allow(Resource.IMAGE, Access.READ)
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=1000)]


class ImagePage(msgspec.Struct, frozen=True, kw_only=True):
    """``next`` is given as ``after`` for the page that follows; empty: there is none."""

    images: list[ImageRow]
    next: str


class FlawPage(msgspec.Struct, frozen=True, kw_only=True):
    """The worst first."""

    cves: list[FlawRow]
    next: str


class FindingPage(msgspec.Struct, frozen=True, kw_only=True):
    """The worst first."""

    findings: list[FindingRow]
    next: str


class FleetController(Controller):
    """Pages of at most 1,000."""

    path = "/v1/fleet"
    tags = ("Fleet",)
    opt = _READ

    @get("/images", summary="Images, the worst first")
    async def images(self, services: Given, limit: Limit = 100, after: FromQuery[str] = "") -> ImagePage:
        """With counts of findings by severity."""
        rows, following = await _store(services).images(limit, after)
        return ImagePage(images=rows, next=following)

    @get("/cves", summary="Flaws, the worst first, and in how many images they are")
    async def cves(self, services: Given, limit: Limit = 100, after: FromQuery[str] = "") -> FlawPage:
        """All that any image has."""
        rows, following = await _store(services).cves(limit, after)
        return FlawPage(cves=rows, next=following)

    @get("/cves/{cve:str}/images", summary="Images that have a flaw")
    async def images_of_cve(
        self, services: Given, cve: FromPath[str], limit: Limit = 100, after: FromQuery[str] = ""
    ) -> ImagePage:
        """The newest first."""
        rows, following = await _store(services).images_of_cve(cve, limit, after)
        return ImagePage(images=rows, next=following)

    @get("/images/{digest:str}/findings", summary="What is found in an image")
    async def findings(
        self, services: Given, digest: FromPath[str], limit: Limit = 100, after: FromQuery[str] = ""
    ) -> FindingPage:
        """By the definitions that the fleet follows now."""
        rows, following = await _store(services).findings_of_image(digest, limit, after)
        return FindingPage(findings=rows, next=following)


def _store(services: Services) -> FleetStore:
    if services.fleet is None:
        raise Unavailable("this Central's settings name no Matcher, so it follows no fleet")
    return services.fleet.images
