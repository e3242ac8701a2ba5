"""Images: scanned, listed, looked at, exported and forgotten, under the original's paths.

``/v1/images/scans``, ``/v1/images/{id}/report`` and ``/v1/images/{id}/index`` are ours: scans that are under way, and all
that is known of an image.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import UNSET, UnsetType

from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.images import asking, original
from redoubt.central.images.asking import JSON, REPORT, Deleted, Form, ScanRequest
from redoubt.central.images.jobs import ScanJob
from redoubt.central.images.query import wanted
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store.images import Kept, Listed
from redoubt.central.store.risk import IMAGE, NOWHERE, RiskStore
from redoubt.model import IndexReport, VulnerabilityReport

#: The original's search text; see ``images.query``.
Query = Annotated[str, QueryParameter(name="query")]

_READ = allow(Resource.IMAGE, Access.READ)
#: A role that holds in some clusters or namespaces sees the images that deployments there run.
_SEE = allow(Resource.IMAGE, Access.READ, scoped=True)
_WRITE = allow(Resource.IMAGE, Access.READ_WRITE)


class ListImage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``storage.ListImage``."""

    id: str
    name: str
    components: int
    cves: int
    fixable_cves: int
    created: datetime | None = None
    last_updated: datetime
    priority: str = "0"


class ImageList(msgspec.Struct, frozen=True):
    """Images by name."""

    images: list[ListImage]


class ImageCount(msgspec.Struct, frozen=True):
    """How many there are."""

    count: int


class Scans(msgspec.Struct, frozen=True):
    """Scans under way, the oldest first, and those that ended lately, the newest first."""

    scans: list[ScanJob]


class _Exported(msgspec.Struct, frozen=True):
    image: original.Image


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    result: _Exported | UnsetType = UNSET
    error: dict[str, object] | UnsetType = UNSET


class ImageController(Controller):
    """``ImageService`` of the original, and what we add to it."""

    path = "/v1/images"
    tags = ("Images",)

    @post(
        "/scan",
        opt=_WRITE,
        status_code=200,
        summary="Scan an image",
        description=f"Answers with the whole report where `Accept: {REPORT}` asks for it.",
        responses={200: ResponseSpec(original.Image, description="The image, with its findings")},
    )
    async def scan(self, request: Call, services: Given, data: JSONBody[ScanRequest]) -> Response[bytes]:
        """Its registry is asked what the name leads to; what is kept of that counts, unless ``force`` is set."""
        form = Form.REPORT if REPORT in request.headers.get("accept", "") else Form.IMAGE
        kept = await asking.scan(services, data)
        return Response(await asking.encoded(kept, form), media_type=form.value)

    @get(opt=_SEE, summary="Images, by name")
    async def list_images(
        self,
        request: Call,
        services: Given,
        search: Query = "",
        limit: Annotated[int, QueryParameter(name="pagination.limit")] = 0,
        offset: Annotated[int, QueryParameter(name="pagination.offset")] = 0,
    ) -> ImageList:
        """``query``: ``Image``, ``Image Sha``, ``Image OS`` and how they begin, with ``+`` between."""
        within = await reach(services.pool, request.user, Resource.IMAGE)
        found = await asking.listed(services, search, within, limit=limit, offset=offset)
        places = await RiskStore(services.pool).priorities(IMAGE, [(NOWHERE, item.id) for item in found])
        return ImageList(images=[_listed(item, places) for item in found])

    @delete(opt=_WRITE, status_code=200, summary="Forget images")
    async def delete_images(
        self,
        services: Given,
        search: Annotated[str, QueryParameter(name="query.query")] = "",
        confirm: FromQuery[bool] = False,
    ) -> Deleted:
        """Without ``confirm`` they are only counted. Scanned again, they are back."""
        return await asking.delete(services, search, confirm=confirm)

    @get("/cache/invalidate", opt=_WRITE, summary="Forget what names lead to")
    async def invalidate(self) -> Empty:
        """Nothing has to be forgotten: registries are asked anew for each scan."""
        return Empty()

    @get("/scans", opt=_READ, summary="Scans that wait, are under way, or ended lately")
    async def scans(self, services: Given) -> Scans:
        """How far each is, and why it is tried again or failed."""
        return Scans(scans=asking.scans(services))

    @delete("/scans/{scan:str}", opt=_WRITE, status_code=200, summary="End a scan that is under way")
    async def cancel(self, services: Given, scan: FromPath[str]) -> Empty:
        """For all who wait for it."""
        asking.cancel(services, scan)
        return Empty()

    @get(
        "/{digest:str}",
        opt=_SEE,
        summary="An image, with its findings",
        responses={200: ResponseSpec(original.Image, description="The image, with its findings")},
    )
    async def image(
        self,
        request: Call,
        services: Given,
        digest: FromPath[str],
        include_snoozed: Annotated[bool, QueryParameter(name="includeSnoozed")] = False,
        strip_description: Annotated[bool, QueryParameter(name="stripDescription")] = False,
    ) -> Response[bytes]:
        """By the digest of its manifest, matched with the definitions that are active now."""
        within = await reach(services.pool, request.user, Resource.IMAGE)
        failed = await asking.failures(services, digest) if within.everywhere else []
        if failed and await asking.find(services, digest) is None:
            return _json(msgspec.json.encode(original.unscanned(digest, failed)))
        kept = await asking.image(services, digest, within)
        return _json(
            await asking.encoded(kept, Form.IMAGE, descriptions=not strip_description, failures=failed)
        )

    @get(
        "/{digest:str}/report",
        opt=_SEE,
        summary="All that is known of an image's flaws",
        responses={200: ResponseSpec(VulnerabilityReport, description="As `redoubt scan -o json` writes it")},
    )
    async def report(self, request: Call, services: Given, digest: FromPath[str]) -> Response[bytes]:
        """Redoubt's own report, as ``redoubt scan -o json`` writes it."""
        within = await reach(services.pool, request.user, Resource.IMAGE)
        return _json(await asking.encoded(await asking.image(services, digest, within), Form.REPORT))

    @get(
        "/{digest:str}/index",
        opt=_SEE,
        summary="What is in an image",
        responses={200: ResponseSpec(IndexReport, description="As `redoubt index -o json` writes it")},
    )
    async def index(self, request: Call, services: Given, digest: FromPath[str]) -> Response[bytes]:
        """Redoubt's own index report, as ``redoubt index -o json`` writes it."""
        within = await reach(services.pool, request.user, Resource.IMAGE)
        return _json(await asking.encoded(await asking.index(services, digest, within), Form.INDEX))


class ImageCountController(Controller):
    """How many images there are."""

    path = "/v1/imagescount"
    tags = ("Images",)

    @get(opt=_SEE, summary="How many images there are")
    async def count_images(self, request: Call, services: Given, search: Query = "") -> ImageCount:
        """``query`` as for ``/v1/images``."""
        within = await reach(services.pool, request.user, Resource.IMAGE)
        return ImageCount(count=await asking.count(services, search, within))


class ExportController(Controller):
    """All images, as a stream."""

    path = "/v1/export"
    tags = ("Images",)

    @get("/images", opt=_SEE, summary="All images with their findings, a line of JSON each")
    async def export_images(
        self, request: Call, services: Given, search: Query = "", timeout: FromQuery[int] = 0
    ) -> Stream:
        """``{"result": {"image": …}}`` a line; a last line with ``error`` where it broke off. ``timeout`` in seconds."""
        wanted(search)  # what is not understood is refused before the answer begins
        if not 0 <= timeout <= 86_400:
            raise InvalidArgument("timeout is in seconds, at most a day")

        within = await reach(services.pool, request.user, Resource.IMAGE)

        async def lines() -> AsyncIterator[bytes]:
            try:
                async with asyncio.timeout(timeout or None):
                    async for kept in asking.every(services, search, within):
                        yield await asyncio.to_thread(_line, kept)
            except TimeoutError:
                error: dict[str, object] = {"code": 4, "message": f"the export took longer than {timeout} s"}
                yield msgspec.json.encode(_Line(error=error)) + b"\n"

        return Stream(lines(), media_type="application/x-ndjson")


def _json(data: bytes) -> Response[bytes]:
    return Response(data, media_type=JSON)


def _line(kept: Kept) -> bytes:
    return msgspec.json.encode(_Line(result=_Exported(asking.originally(kept)))) + b"\n"


def _listed(item: Listed, places: Mapping[tuple[UUID, str], int]) -> ListImage:
    return ListImage(
        id=item.id,
        name=item.name,
        components=item.components,
        cves=item.cves,
        fixable_cves=item.fixable,
        last_updated=max(item.indexed, item.matched),
        priority=str(places.get((NOWHERE, item.id), 0)),
    )
