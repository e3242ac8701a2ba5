"""Images, as Sensors and admission controllers ask for them, and as a cluster's own Indexer brings them.

What Central looked at itself counts for all clusters. What a cluster's Indexer said counts for that cluster, and for others only
where the administrator made that cluster scan such images: a Sensor that lies does so to itself.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec

from redoubt.central.delegation.choosing import Delegation
from redoubt.central.images import asking
from redoubt.central.images.asking import ScanRequest
from redoubt.central.images.scanning import Scanning
from redoubt.central.policies.detection import scanned
from redoubt.central.refusals import InvalidArgument, NotFound, Unavailable
from redoubt.central.scanners import Access
from redoubt.central.services import Services
from redoubt.central.store.images import Kept
from redoubt.errors import UsageError
from redoubt.indexer.sources.reference import named, of_openshift, parse_reference
from redoubt.model import IndexReport

#: Bytes of a report that a cluster brings, and how many are read at a time.
LARGEST = 128 << 20
_AT_ONCE = 2


class Images:
    """What a Sensor asks of images."""

    def __init__(self, services: Services, delegation: Delegation) -> None:
        self._services = services
        self._delegation = delegation
        self.reading = asyncio.Semaphore(_AT_ONCE)

    async def get(self, name: str, cluster: UUID | None, *, cached: bool, namespace: str = "") -> bytes:
        """The JSON of a ``ScannedImage``. ``namespace`` is where it is used. Raises ``NotFound``, ``InvalidArgument``, and as ``Scanning.scan``."""
        try:
            reference = parse_reference(name)
        except UsageError as error:
            raise InvalidArgument(str(error)) from None
        store = asking.store(self._services)
        # A tag may lead elsewhere by now; a digest leads to the same for ever.
        if reference.digest or cached:
            digest = reference.digest or await store.named(str(reference))
            kept = await asking.find(self._services, digest) if digest else None
            if kept is not None and await self._counts(kept, str(reference), cluster):
                return await _told(kept, str(reference))
        if cached:
            raise NotFound("nothing is known of this image")
        # What is in OpenShift's own registry only its cluster reaches.
        own = str(cluster) if cluster is not None and of_openshift(reference) else ""
        asked = ScanRequest(image_name=name, namespace=namespace, cluster=own)
        return await _told(await asking.scan(self._services, asked, ad_hoc=False), str(reference))

    async def registries(self, name: str, cluster: UUID) -> list[Access]:
        """How the registry of an image that a cluster is to scan is reached; nothing where it is not to. Raises ``InvalidArgument``."""
        try:
            reference = parse_reference(name)
        except UsageError as error:
            raise InvalidArgument(str(error)) from None
        keeping = self._services.integrations
        if keeping is None or not await self._wanted(str(reference), cluster):
            return []
        found = await keeping.lent(reference)
        return [] if found is None else [found]

    async def brought(self, name: str, data: bytes, cluster: UUID) -> bytes:
        """The same of a report that the cluster's own Indexer made. Raises ``InvalidArgument``, and as ``Scanning.match``."""
        scanning = self._scanning()
        try:
            index = await asyncio.to_thread(msgspec.json.decode, data, type=IndexReport)
            reference = str(parse_reference(name))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, UsageError) as error:
            raise InvalidArgument(f"the report cannot be taken: {error}") from None
        digest, keeps = index.image.digest, False

        async def keep() -> bool:
            nonlocal keeps
            keeps = await self._may_keep(digest, reference, cluster)
            return keeps

        try:
            kept = await scanning.brought(name, index, str(cluster), keep=keep)
        except UsageError as error:
            raise InvalidArgument(str(error)) from None
        if self._services.delegating is not None:
            await self._services.delegating.brought(cluster, reference, digest, kept=keeps)
        return await _told(kept, reference)

    async def _counts(self, kept: Kept, reference: str, cluster: UUID | None) -> bool:
        """Whether what is kept counts for a cluster."""
        maker = kept.listed.cluster
        if not maker or (cluster is not None and maker == str(cluster)):
            return True
        return await self._delegation.of(reference) == UUID(maker)

    async def _may_keep(self, digest: str, reference: str, cluster: UUID) -> bool:
        """Whether what a cluster brings may stand in place of what is kept, of the digest and under the name."""
        store = asking.store(self._services)
        if await store.makers(digest, reference) <= {str(cluster)}:
            return True
        if not await self._wanted(reference, cluster):
            return False
        # It was asked of this image, which is known by its name; that it is another one, which others know, is its word only.
        repository = _repository(reference)
        for name in await store.names_by_others(digest, str(cluster)):
            if _repository(name) != repository and await self._delegation.of(name) != cluster:
                return False
        return True

    async def _wanted(self, reference: str, cluster: UUID) -> bool:
        """Whether a cluster is to scan an image: somebody asked it to, or the administrator has set it so."""
        delegating = self._services.delegating
        if delegating is not None and await delegating.asked(cluster, reference):
            return True
        return await self._delegation.of(reference) == cluster

    def _scanning(self) -> Scanning:
        if self._services.images is None:
            raise Unavailable("this Central has no Scanner; its settings name an indexer and a matcher")
        return self._services.images


def _repository(name: str) -> str:
    """An image's name without tag and digest."""
    try:
        found = parse_reference(name)
    except UsageError:
        return name
    return f"{found.host}/{found.repository}"


async def _told(kept: Kept, reference: str) -> bytes:
    """The image under the name that it was asked for by."""

    def work() -> bytes:
        found = scanned(kept)
        name = named(reference)
        names = (name, *(each for each in found.names if each.full_name != name.full_name))
        return msgspec.json.encode(msgspec.structs.replace(found, name=name, names=names))

    return await asyncio.to_thread(work)
