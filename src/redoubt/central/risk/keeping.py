"""Risks, kept up to date in the background: what something changed of is due, and any replica may look at it.

An image is looked at once for each state of what is known of it, and once a day, since it grows older. All deployments are due every four
hours, in case a change was missed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from redoubt import tasks
from redoubt.central.delegation.choosing import Delegation
from redoubt.central.images import asking
from redoubt.central.policies.detection import scanned
from redoubt.central.risk import deployments, images, nodes
from redoubt.central.risk.scores import Risk
from redoubt.central.services import Services
from redoubt.central.store.nodes import NodeStore
from redoubt.central.store.risk import DEPLOYMENT, IMAGE, NODE, NOWHERE, KeptRisk, KnownImage, RiskStore, due
from redoubt.errors import RedoubtError, UsageError
from redoubt.indexer.sources.reference import parse_reference
from redoubt.postgres import failures

#: Seconds between two looks whether something is due; between two rankings, at least; until all are due anyhow.
EVERY, RANK, ALL = 2.0, 5.0, 4 * 3600.0
#: Seconds between two looks whether something else is known of nodes; nodes that are taken at a time.
NODES, _NODES = 10.0, 50
#: Words of change that are taken at a time; several may be about one deployment.
_GO = 500
_DAY = timedelta(days=1)

_log = structlog.get_logger("risk")


class Keeping:
    """Looks at what is due."""

    def __init__(self, services: Services, *, every: float = EVERY, pause: float = 10.0) -> None:
        self._services = services
        self._store = RiskStore(services.pool, pause)
        self._delegation = Delegation(services.pool)
        self._reports = NodeStore(services.pool)
        self._every = every
        self._task = tasks.Background()
        self._changed: set[str] = set()
        self._failed: list[tuple[UUID, str]] = []
        self._ranked = 0.0
        self._looked_at_nodes = 0.0
        self._all = 0.0

    async def start(self) -> None:
        """Begin."""
        self._task.begin(
            tasks.over_and_over(
                self.look, partial(_log.warning, "risks are not kept up to date"), every=self._every
            ),
            "risk",
        )

    async def stop(self) -> None:
        """End."""
        await self._task.end()

    async def images_changed(self, digests: list[str]) -> None:
        """Something is known otherwise of these images."""
        await self._store.due_with(digests)

    async def look(self) -> bool:
        """Look at some of what is due; whether there may be more."""
        now = time.monotonic()
        if self._all == 0.0 or now - self._all > ALL:
            await self._store.tidy()
            await self._store.all_due()
            self._all = now
        await self._back()
        looked_at = await self._nodes(now)
        taken = await self._store.take(_GO)
        await self._each(taken)
        failed = bool(self._failed)
        await self._back()
        if self._changed and (now - self._ranked > RANK or not (taken or looked_at)):
            for kind in sorted(self._changed):
                await self._store.rank(kind)
            self._changed.clear()
            self._ranked = now
        return bool(taken or looked_at) and not failed

    async def _each(self, taken: Sequence[tuple[UUID, str]]) -> None:
        """Look at deployments; those that could not be looked at are kept apart."""
        reasons: Counter[str] = Counter()
        for at, (cluster, deployment) in enumerate(taken):
            try:
                await self._one(cluster, deployment)
            except Exception as error:  # noqa: BLE001 (it is tried again, and the others are not held up)
                reasons[type(error).__name__] += 1
                self._failed.append((cluster, deployment))
                if failures.passing(error):  # the server is away: so it is for the others
                    self._failed += taken[at + 1 :]
                    break
        if reasons:
            _log.warning("deployments' risks are not kept up to date", reasons=dict(reasons))

    async def _back(self) -> None:
        """Have what could not be looked at looked at again; it is no longer due, since it was taken."""
        for cluster in {each for each, _ in self._failed}:
            await due(self._services.pool, cluster, [one for each, one in self._failed if each == cluster])
        self._failed.clear()

    async def _one(self, cluster: UUID, deployment: str) -> None:
        inputs = await self._store.inputs(cluster, deployment)
        if inputs is None:
            return
        of_images = [
            risk for each in inputs.images if (risk := await self._image(cluster, *each)) is not None
        ]
        risk = deployments.assessed(inputs.deployment, inputs.broken, inputs.suspicious, of_images)
        await self._put(
            KeptRisk(
                kind=DEPLOYMENT,
                cluster=cluster,
                subject=deployment,
                namespace=inputs.deployment.namespace,
                risk=risk,
                computed=datetime.now(UTC),
            )
        )

    async def _nodes(self, now: float) -> int:
        """Look at some nodes, now and then; at how many."""
        if self._looked_at_nodes and now - self._looked_at_nodes < NODES:
            return 0
        due = await self._store.nodes_due(_NODES)
        for cluster, name, basis in due:
            found = await self._reports.find(cluster, name)
            if found is not None:
                risk = await asyncio.to_thread(nodes.assessed, name, found.report)
                put = KeptRisk(
                    kind=NODE,
                    cluster=cluster,
                    subject=name,
                    namespace="",
                    risk=risk,
                    basis=basis,
                    computed=datetime.now(UTC),
                )
                await self._put(put)
        if len(due) < _NODES:
            self._looked_at_nodes = now
        return len(due)

    async def _image(self, cluster: UUID, which: str, name: str) -> Risk | None:
        """The risk of an image; None where it was not scanned, or only by another cluster that nobody has scan such images."""
        found = await self._store.image_of(which)
        if found is None or not await self._counts(found, cluster, name):
            return None
        digest, basis = found.id, found.basis
        kept, now = await self._store.get(IMAGE, digest), datetime.now(UTC)
        if kept is not None and kept.basis == basis and now - kept.computed < _DAY:
            return kept.risk
        try:
            image = await asking.find(self._services, digest)
        except RedoubtError as error:
            _log.debug("an image's risk is what it was", image=digest, reason=str(error))
            return None if kept is None else kept.risk
        if image is None:
            return None
        risk = await asyncio.to_thread(lambda: images.assessed(scanned(image), now))
        basis = (await self._store.image_of(digest) or found).basis  # it may have been matched anew just now
        await self._put(
            KeptRisk(
                kind=IMAGE,
                cluster=NOWHERE,
                subject=digest,
                namespace="",
                risk=risk,
                basis=basis,
                computed=now,
            )
        )
        return risk

    async def _counts(self, image: KnownImage, cluster: UUID, name: str) -> bool:
        if image.cluster in ("", str(cluster)):
            return True
        try:
            return await self._delegation.of(str(parse_reference(name))) == UUID(image.cluster)
        except UsageError:
            return False

    async def _put(self, given: KeptRisk) -> None:
        if await self._store.put(given):
            self._changed.add(given.kind)
