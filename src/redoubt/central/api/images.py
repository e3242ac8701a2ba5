"""Images: scanned, listed, looked at, exported and forgotten, under the original's paths.

``/v1/images/scans``, ``/v1/images/{id}/report`` and ``/v1/images/{id}/index`` are ours: scans that are under way, and all
that is known of an image.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import UNSET, UnsetType

from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.images import original
from redoubt.central.images.jobs import ScanJob
from redoubt.central.images.query import wanted
from redoubt.central.images.scanning import Scanning
from redoubt.central.refusals import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from redoubt.central.services import Services
from redoubt.central.store.fleet import FleetStore
from redoubt.central.store.images import ImageStore, Kept, Listed
from redoubt.model import IndexReport, VulnerabilityReport

#: A Redoubt's whole report, which the original's ``storage.Image`` has no room for; ``roxctl`` asks for it so.
REPORT = "application/vnd.redoubt.report+json"
_JSON = "application/json"
#: Images in one answer, unless somebody says otherwise; and at most.
_PAGE, _MOST = 1000, 10_000

#: The original's search text; see ``images.query``.
Query = Annotated[str, QueryParameter(name="query")]

_READ = allow(Resource.IMAGE, Access.READ)
_WRITE = allow(Resource.IMAGE, Access.READ_WRITE)


class ScanRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The original's, and ``platform`` (``linux/arm64``; empty: the Indexer's own)."""

    image_name: str
    force: bool = False
    include_snoozed: bool = False
    cluster: str = ""
    namespace: str = ""
    platform: str = ""


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


class Deleted(msgspec.Struct, frozen=True, rename="camel"):
    """How many images were, or without ``confirm`` would be, forgotten."""

    num_deleted: int
    dry_run: bool


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
        kept = await asked(services, data)
        if REPORT in request.headers.get("accept", ""):
            return await _encoded(kept.report, REPORT)
        return await answer(kept)

    @get(opt=_READ, summary="Images, by name")
    async def list_images(
        self,
        services: Given,
        search: Query = "",
        limit: Annotated[int, QueryParameter(name="pagination.limit")] = 0,
        offset: Annotated[int, QueryParameter(name="pagination.offset")] = 0,
    ) -> ImageList:
        """``query``: ``Image``, ``Image Sha``, ``Image OS`` and how they begin, with ``+`` between."""
        if not 0 <= limit <= _MOST or not 0 <= offset < 2**31:
            raise InvalidArgument(f"pagination.limit is at most {_MOST}, and pagination.offset not negative")
        found = await store(services).list(wanted(search), limit=limit or _PAGE, offset=offset)
        return ImageList(images=[_listed(item) for item in found])

    @delete(opt=_WRITE, status_code=200, summary="Forget images")
    async def delete_images(
        self,
        services: Given,
        search: Annotated[str, QueryParameter(name="query.query")] = "",
        confirm: FromQuery[bool] = False,
    ) -> Deleted:
        """Without ``confirm`` they are only counted. Scanned again, they are back."""
        if not search.strip():
            raise InvalidArgument("say which images: query.query=Image:registry.example/shop")
        which = wanted(search)
        if not confirm:
            return Deleted(num_deleted=await store(services).count(which), dry_run=True)
        gone = [digest async for digest in store(services).ids(which)]
        count = await store(services).delete(which)
        fleet = FleetStore(services.pool)
        for digest in gone:
            await fleet.remove_image(digest)
        return Deleted(num_deleted=count, dry_run=False)

    @get("/cache/invalidate", opt=_WRITE, summary="Forget what names lead to")
    async def invalidate(self) -> Empty:
        """Nothing has to be forgotten: registries are asked anew for each scan."""
        return Empty()

    @get("/scans", opt=_READ, summary="Scans that wait, are under way, or ended lately")
    async def scans(self, services: Given) -> Scans:
        """How far each is, and why it is tried again or failed."""
        return Scans(scans=_scanning(services).jobs())

    @delete("/scans/{scan:str}", opt=_WRITE, status_code=200, summary="End a scan that is under way")
    async def cancel(self, services: Given, scan: FromPath[str]) -> Empty:
        """For all who wait for it."""
        _scanning(services).cancel(scan)
        return Empty()

    @get(
        "/{digest:str}",
        opt=_READ,
        summary="An image, with its findings",
        responses={200: ResponseSpec(original.Image, description="The image, with its findings")},
    )
    async def image(
        self,
        services: Given,
        digest: FromPath[str],
        include_snoozed: Annotated[bool, QueryParameter(name="includeSnoozed")] = False,
        strip_description: Annotated[bool, QueryParameter(name="stripDescription")] = False,
    ) -> Response[bytes]:
        """By the digest of its manifest, matched with the definitions that are active now."""
        return await answer(await _kept(services, digest), descriptions=not strip_description)

    @get(
        "/{digest:str}/report",
        opt=_READ,
        summary="All that is known of an image's flaws",
        responses={200: ResponseSpec(VulnerabilityReport, description="As `redoubt scan -o json` writes it")},
    )
    async def report(self, services: Given, digest: FromPath[str]) -> Response[bytes]:
        """Redoubt's own report, as ``redoubt scan -o json`` writes it."""
        return await _encoded((await _kept(services, digest)).report)

    @get(
        "/{digest:str}/index",
        opt=_READ,
        summary="What is in an image",
        responses={200: ResponseSpec(IndexReport, description="As `redoubt index -o json` writes it")},
    )
    async def index(self, services: Given, digest: FromPath[str]) -> Response[bytes]:
        """Redoubt's own index report, as ``redoubt index -o json`` writes it."""
        kept = await store(services).find(digest)
        if kept is None:
            raise _unknown(digest)
        return await _encoded(kept.index)


class ImageCountController(Controller):
    """How many images there are."""

    path = "/v1/imagescount"
    tags = ("Images",)

    @get(opt=_READ, summary="How many images there are")
    async def count_images(self, services: Given, search: Query = "") -> ImageCount:
        """``query`` as for ``/v1/images``."""
        return ImageCount(count=await store(services).count(wanted(search)))


class ExportController(Controller):
    """All images, as a stream."""

    path = "/v1/export"
    tags = ("Images",)

    @get("/images", opt=_READ, summary="All images with their findings, a line of JSON each")
    async def export_images(self, services: Given, search: Query = "", timeout: FromQuery[int] = 0) -> Stream:
        """``{"result": {"image": …}}`` a line; a last line with ``error`` where it broke off. ``timeout`` in seconds."""
        which = wanted(search)
        if not 0 <= timeout <= 86_400:
            raise InvalidArgument("timeout is in seconds, at most a day")

        async def lines() -> AsyncIterator[bytes]:
            try:
                async with asyncio.timeout(timeout or None):
                    async for digest in store(services).ids(which):
                        if (kept := await _found(services, digest)) is not None:
                            yield await asyncio.to_thread(_line, kept)
            except TimeoutError:
                error: dict[str, object] = {"code": 4, "message": f"the export took longer than {timeout} s"}
                yield msgspec.json.encode(_Line(error=error)) + b"\n"

        return Stream(lines(), media_type="application/x-ndjson")


async def asked(services: Services, data: ScanRequest) -> Kept:
    """What a request for a scan amounts to."""
    if data.cluster:
        raise FailedPrecondition("no cluster scans for this Central; leave --cluster out, and Central scans")
    return await _scanning(services).scan(data.image_name, force=data.force, platform=data.platform)


async def answer(kept: Kept, *, descriptions: bool = True) -> Response[bytes]:
    """An image in the original's form."""

    def encoded() -> bytes:
        now = datetime.now(UTC)
        return msgspec.json.encode(original.image(_scanned(kept), now.date(), descriptions=descriptions))

    return Response(await asyncio.to_thread(encoded), media_type=_JSON)


def store(services: Services) -> ImageStore:
    """Images that were scanned; also where no Scanner is there."""
    return ImageStore(services.pool)


def _scanning(services: Services) -> Scanning:
    if services.images is None:
        raise Unavailable("this Central has no Scanner; its settings name an indexer and a matcher")
    return services.images


async def _found(services: Services, digest: str) -> Kept | None:
    if services.images is None:
        return await store(services).find(digest)
    return await services.images.current(digest)


async def _kept(services: Services, digest: str) -> Kept:
    if (kept := await _found(services, digest)) is None:
        raise _unknown(digest)
    return kept


def _unknown(digest: str) -> NotFound:
    return NotFound(f"no image {digest[:80]} was scanned; its id is the digest of its manifest, sha256:…")


def _scanned(kept: Kept) -> original.Scanned:
    listed = kept.listed
    return original.Scanned(
        name=listed.name,
        names=kept.names,
        index=kept.index,
        report=kept.report,
        indexed=listed.indexed,
        matched=listed.matched,
        source=listed.source,
    )


def _line(kept: Kept) -> bytes:
    image = original.image(_scanned(kept), datetime.now(UTC).date())
    return msgspec.json.encode(_Line(result=_Exported(image))) + b"\n"


def _listed(item: Listed) -> ListImage:
    return ListImage(
        id=item.id,
        name=item.name,
        components=item.components,
        cves=item.cves,
        fixable_cves=item.fixable,
        last_updated=max(item.indexed, item.matched),
    )


async def _encoded(report: IndexReport | VulnerabilityReport, media_type: str = _JSON) -> Response[bytes]:
    return Response(await asyncio.to_thread(msgspec.json.encode, report), media_type=media_type)
