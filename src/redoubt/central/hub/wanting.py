"""Images that run in clusters are scanned, also where nobody asks: noted with the deployment, and worked off in the background.

Replicas share the work. What cannot be scanned is tried again, more and more seldom, as long as something runs the image. What
the administrator has a cluster scan, that cluster scans.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial

import structlog

from redoubt import tasks
from redoubt.central.delegation.choosing import Delegation
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.images.scanning import Scanning
from redoubt.central.refusals import Exhausted
from redoubt.central.store import Connection, Pool
from redoubt.central.store.scan_failures import FailureStore
from redoubt.central.store.wanted import WantedImage, WantedStore, want
from redoubt.errors import RedoubtError, UsageError
from redoubt.indexer.sources.reference import is_digest, of_openshift, parse_reference
from redoubt.model.workload import Deployment, Part

#: Images that are scanned at a time by this part.
_AT_ONCE = 4
#: Seconds between two looks for what is due.
_EVERY = 10.0
#: Seconds until what failed is tried again: the first time, and at most.
_FIRST, _LONGEST = 60.0, 6 * 3600.0
#: Seconds beyond what a scan may take: who has taken an image longer ago is gone.
_LEEWAY = 300.0

_log = structlog.get_logger("hub")


class Wanting:
    """A part of Central, and a ``Follower`` of the hub's. ``scanning`` None: images are noted, and nothing more."""

    def __init__(self, pool: Pool, delegation: Delegation, scanning: Scanning | None) -> None:
        self._store = WantedStore(pool)
        self._failures = FailureStore(pool)
        self._delegation = delegation
        self._scanning = scanning
        self._due = asyncio.Event()
        self._task = tasks.Background()

    async def changed(
        self, connection: Connection, cluster: ClusterRef, kind: str, objects: Sequence[Part]
    ) -> None:
        """See ``Follower``."""
        if kind != "deployment":
            return
        found = {each.reference: each for one in objects for each in images(one)}
        if found and await want(connection, list(found.values()), cluster.id):
            self._due.set()

    async def removed(
        self, connection: Connection, cluster: ClusterRef, kind: str, ids: Sequence[str]
    ) -> None:
        """See ``Follower``. What nothing runs any more is found out when it is due."""

    async def start(self) -> None:
        """Begin to scan."""
        if self._scanning is not None:
            self._task.begin(
                tasks.over_and_over(
                    partial(self.look, self._scanning),
                    partial(_log.warning, "images of clusters are not scanned now"),
                    every=_EVERY,
                    spread=0.5,
                    due=self._due,
                ),
                "images of clusters",
            )

    async def stop(self) -> None:
        """End it."""
        await self._task.end()

    async def look(self, scanning: Scanning) -> int:
        """Scan what is due; how many images that were."""
        lease = timedelta(seconds=scanning.pace.limit + _LEEWAY)
        taken = await self._store.take(_AT_ONCE, lease)
        await asyncio.gather(*(self._one(scanning, each) for each in taken))
        return len(taken)

    async def _one(self, scanning: Scanning, image: WantedImage) -> None:
        try:
            if await self._centrals(image.reference) and await self._store.runs(image):
                await scanning.scan(image.reference)
                await self._failures.over(image.reference)
            await self._store.done(image.reference)
        except UsageError:
            await self._store.done(image.reference)
        except Exhausted:
            await self._store.again(image.reference, timedelta(seconds=_FIRST), "", count=False)
        except RedoubtError as error:
            wait = min(_LONGEST, _FIRST * 2.0 ** min(image.tries, 20)) * random.uniform(0.8, 1)  # noqa: S311
            await self._store.again(image.reference, timedelta(seconds=wait), str(error)[:1000], count=True)
            await self._failures.failed(image.reference, "", image.digest, str(error))
            _log.info("an image of a cluster was not scanned", image=image.reference, reason=str(error))

    async def _centrals(self, reference: str) -> bool:
        """Whether Central scans an image, and no cluster does."""
        return not of_openshift(parse_reference(reference)) and await self._delegation.of(reference) is None


def images(part: Part) -> Iterable[WantedImage]:
    """The images of a deployment that can be asked for by a name."""
    if not isinstance(part, Deployment):
        return
    for container in part.containers:
        image = container.image
        if image is None or image.name is None or not image.name.full_name:
            continue
        name = image.name.full_name.partition("@")[0]
        digest = image.id if is_digest(image.id) else image.name.full_name.partition("@")[2]
        try:
            reference = str(parse_reference(f"{name}@{digest}" if digest else name))
        except UsageError:
            continue
        yield WantedImage(reference=reference, name=image.name.full_name, digest=digest)
