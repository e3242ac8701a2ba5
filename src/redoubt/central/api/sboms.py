"""SBOMs: of images that Central knows or scans, and sent to be judged. Paths and forms are the original's."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
from litestar import Controller, Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from redoubt import formats
from redoubt.central.api.given import Call, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.images import asking, original
from redoubt.central.images.asking import ScanRequest
from redoubt.central.refusals import InvalidArgument, Unavailable
from redoubt.model import IndexReport, VulnerabilityReport

_WRITE = allow(Resource.IMAGE, Access.READ_WRITE)
#: What an SBOM may be sent as. What it is, it says itself.
_TYPES = frozenset(
    {
        "text/spdx+json",
        "application/spdx+json",
        "application/vnd.cyclonedx+json",
        "text/spdx",
        "application/json",
        "application/octet-stream",
    }
)


class SbomScan(msgspec.Struct, frozen=True):
    """An SBOM's findings; ``id`` is empty, since an SBOM names no image for sure."""

    id: str
    scan: original.ImageScan


class ImageSbomController(Controller):
    """SBOMs of images."""

    path = "/api/v1/images/sbom"
    tags = ("SBOMs",)

    @post(opt=_WRITE, status_code=200, summary="What is in an image, as SPDX 2.3")
    async def of_image(self, services: Given, data: JSONBody[ScanRequest]) -> Response[bytes]:
        """Of the image that the name leads to now; it is scanned if it is not known."""
        kept = await asking.scan(services, data)
        body = await asyncio.to_thread(formats.render, kept.index, "spdx")
        name = f"{kept.listed.id.replace(':', '-')}.spdx.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(body, media_type="application/json", headers=headers)


class SbomController(Controller):
    """SBOMs that are sent."""

    path = "/api/v1/sboms/scan"
    tags = ("SBOMs",)

    @post(
        opt=_WRITE,
        status_code=200,
        request_max_body_size=None,
        summary="Judge what an SBOM names",
        description="The body is an SBOM: SPDX 2.2 or 2.3, or CycloneDX 1.4 to 1.6.",
        responses={200: ResponseSpec(SbomScan, description="The findings")},
    )
    async def scan(self, request: Call, services: Given) -> Response[bytes]:
        """Nothing of it is kept."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _TYPES:
            raise InvalidArgument(
                f"an SBOM is sent as {', '.join(sorted(_TYPES))}, not as {kind[:80] or 'nothing'}"
            )
        if services.sboms is None or services.images is None:
            raise Unavailable("this Central has no Scanner; its settings name an indexer and a matcher")
        index = await services.sboms.index(request.stream())
        report = await services.images.match(index)
        return Response(await asyncio.to_thread(_encoded, index, report), media_type="application/json")


def _encoded(index: IndexReport, report: VulnerabilityReport) -> bytes:
    now = datetime.now(UTC)
    scanned = original.Scanned(name="", index=index, report=report, indexed=now, matched=now)
    return msgspec.json.encode(SbomScan("", original.scan(scanned, now.date())))
