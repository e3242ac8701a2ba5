"""What callers ask of images, whichever way they ask: REST and gRPC say the same, and differ in how they carry it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from enum import Enum

import msgspec

from redoubt.central.auth.reach import EVERYWHERE, Reach
from redoubt.central.images import original
from redoubt.central.images.jobs import ScanJob
from redoubt.central.images.query import wanted
from redoubt.central.images.scanning import Scanning, Told
from redoubt.central.refusals import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from redoubt.central.services import Services
from redoubt.central.store.fleet import FleetStore
from redoubt.central.store.images import ImageStore, Kept, Listed
from redoubt.central.store.scan_failures import FailureStore, ScanFailure

#: A Redoubt's whole report, which the original's ``storage.Image`` has no room for; ``roxctl`` asks for it so.
REPORT = "application/vnd.redoubt.report+json"
JSON = "application/json"
#: Images in one answer, unless somebody says otherwise; and at most.
_PAGE, _MOST = 1000, 10_000


class Form(Enum):
    """What an image is answered as, and the media type of that."""

    #: The original's.
    IMAGE = JSON
    #: Redoubt's own, as ``redoubt scan -o json`` writes it.
    REPORT = REPORT
    #: What is in it, as ``redoubt index -o json`` writes it.
    INDEX = "application/vnd.redoubt.index+json"


class ScanRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The original's, and ``platform`` (``linux/arm64``; empty: the Indexer's own)."""

    image_name: str
    force: bool = False
    include_snoozed: bool = False
    cluster: str = ""
    namespace: str = ""
    platform: str = ""


class Deleted(msgspec.Struct, frozen=True, rename="camel"):
    """How many images were, or without ``confirm`` would be, forgotten."""

    num_deleted: int
    dry_run: bool


async def scan(
    services: Services, asked: ScanRequest, told: Told | None = None, *, ad_hoc: bool = True
) -> Kept:
    """What a request for a scan amounts to; ``told`` hears how far it is. ``ad_hoc``: a caller waits. Raises as ``Scanning.scan``."""
    scanning = _scanning(services)
    if services.delegating is not None:
        cluster = await services.delegating.chosen(asked.image_name, asked.cluster)
        if cluster is not None:
            digest = await services.delegating.scan(
                cluster, asked.image_name, force=asked.force, namespace=asked.namespace, ad_hoc=ad_hoc
            )
            return await image(services, digest)
    elif asked.cluster:
        raise FailedPrecondition("no cluster scans for this Central; leave --cluster out, and Central scans")
    return await scanning.scan(asked.image_name, force=asked.force, platform=asked.platform, told=told)


def scans(services: Services) -> list[ScanJob]:
    """Scans under way, and those that ended lately."""
    return _scanning(services).jobs()


def cancel(services: Services, identifier: str) -> None:
    """End a scan for all who wait for it. Raises ``NotFound``."""
    _scanning(services).cancel(identifier)


async def image(services: Services, digest: str, within: Reach = EVERYWHERE) -> Kept:
    """What is kept of a digest, with the definitions of now. Raises ``NotFound``, also where no deployment within ``within`` runs it."""
    await _seen(services, digest, within)
    return _known(await find(services, digest), digest)


async def index(services: Services, digest: str, within: Reach = EVERYWHERE) -> Kept:
    """The same, for who only asks what is in it. Raises ``NotFound``."""
    await _seen(services, digest, within)
    return _known(await store(services).find(digest), digest)


async def find(services: Services, digest: str) -> Kept | None:
    """As ``image``, or None."""
    if services.images is None:
        return await store(services).find(digest)
    return await services.images.current(digest)


async def listed(
    services: Services, query: str, within: Reach = EVERYWHERE, *, limit: int, offset: int
) -> list[Listed]:
    """Images by name: those that a deployment within ``within`` runs. ``limit`` 0: as many as are usual. Raises ``InvalidArgument``."""
    if not 0 <= limit <= _MOST or not 0 <= offset < 2**31:
        raise InvalidArgument(f"pagination.limit is at most {_MOST}, and pagination.offset not negative")
    return await store(services).list(wanted(query), within, limit=limit or _PAGE, offset=offset)


async def count(services: Services, query: str, within: Reach = EVERYWHERE) -> int:
    """How many there are. Raises ``InvalidArgument``."""
    return await store(services).count(wanted(query), within)


async def delete(services: Services, query: str, *, confirm: bool) -> Deleted:
    """Forget images; without ``confirm`` count them. Raises ``InvalidArgument``, also for an empty query."""
    if not query.strip():
        raise InvalidArgument("say which images: query.query=Image:registry.example/shop")
    which = wanted(query)
    if not confirm:
        return Deleted(num_deleted=await store(services).count(which), dry_run=True)
    gone = [digest async for digest in store(services).ids(which)]
    number = await store(services).delete(which)
    fleet = FleetStore(services.pool)
    for digest in gone:
        await fleet.remove_image(digest)
    return Deleted(num_deleted=number, dry_run=False)


async def every(services: Services, query: str, within: Reach = EVERYWHERE) -> AsyncIterator[Kept]:
    """All that are kept, with the definitions of now. Raises ``InvalidArgument`` before the first."""
    async for digest in store(services).ids(wanted(query), within):
        if (kept := await find(services, digest)) is not None:
            yield kept


async def failures(services: Services, digest: str) -> list[ScanFailure]:
    """Scans of an image that failed since it was scanned, or that all failed."""
    return await FailureStore(services.pool).of(digest)


async def encoded(
    kept: Kept, form: Form, *, descriptions: bool = True, failures: Sequence[ScanFailure] = ()
) -> bytes:
    """An image in a form, as JSON, made off the loop."""

    def made() -> bytes:
        if form is Form.REPORT:
            return msgspec.json.encode(kept.report)
        if form is Form.INDEX:
            return msgspec.json.encode(kept.index)
        return msgspec.json.encode(originally(kept, descriptions=descriptions, failures=failures))

    return await asyncio.to_thread(made)


def originally(
    kept: Kept, *, descriptions: bool = True, failures: Sequence[ScanFailure] = ()
) -> original.Image:
    """An image in the original's form."""
    scanned = original.Scanned(
        name=kept.listed.name,
        names=kept.names,
        index=kept.index,
        report=kept.report,
        indexed=kept.listed.indexed,
        matched=kept.listed.matched,
        source=kept.listed.source,
        cluster=kept.listed.cluster,
    )
    return original.image(scanned, datetime.now(UTC).date(), descriptions=descriptions, failures=failures)


def store(services: Services) -> ImageStore:
    """Images that were scanned; also where no Scanner is there."""
    return ImageStore(services.pool)


def _scanning(services: Services) -> Scanning:
    if services.images is None:
        raise Unavailable("this Central has no Scanner; its settings name an indexer and a matcher")
    return services.images


async def _seen(services: Services, digest: str, within: Reach) -> None:
    if not within.everywhere and not await store(services).seen_within(digest, within):
        _known(None, digest)


def _known(kept: Kept | None, digest: str) -> Kept:
    if kept is None:
        raise NotFound(f"no image {digest[:80]} was scanned; its id is the digest of its manifest, sha256:…")
    return kept
