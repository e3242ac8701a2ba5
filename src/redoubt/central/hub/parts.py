"""The hub put together: what a Central that looks after clusters consists of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from grpclib.server import Stream

from redoubt import tasks
from redoubt.central.alerts.receiving import AlertReceiver
from redoubt.central.clusters.bundles import Bundles
from redoubt.central.config import Settings
from redoubt.central.delegation.asking import Delegating
from redoubt.central.delegation.choosing import Delegation
from redoubt.central.hub.admitting import Admission
from redoubt.central.hub.answers import Answers
from redoubt.central.hub.expiring import Expiring
from redoubt.central.hub.intake import Intake
from redoubt.central.hub.measuring import Measures
from redoubt.central.hub.pullsecrets import PullSecretReceiver
from redoubt.central.hub.pushing import Pusher
from redoubt.central.hub.receiving import BaselineSource
from redoubt.central.hub.told import NoBaselines
from redoubt.central.hub.wanting import Wanting
from redoubt.central.nodes.matching import NodeReports
from redoubt.central.notices import Notices
from redoubt.central.store import Pool
from redoubt.central.store.hub import TOPIC, HubStore
from redoubt.central.store.registrations import RegistrationStore
from redoubt.model import IndexReport, VulnerabilityReport
from redoubt.wire import calls
from redoubt.wire.identity import ANY_CLUSTER

if TYPE_CHECKING:
    from redoubt.central.services import Services

#: Seconds between two times that what nobody fetched is forgotten.
_TIDY = 300.0

_log = structlog.get_logger("hub")


def attach(services: Services, active: Callable[[], str]) -> None:
    """Have Sensors told of what happens elsewhere in Central: images that were looked at, and those that the fleet found otherwise.

    ``active`` gives the digest of the definitions that are active at Central, empty for none.
    """
    hub = services.hub
    if hub is None:
        return

    async def scanned(index: IndexReport, report: VulnerabilityReport) -> None:
        hub.pusher.images_changed([index.image.digest])

    measures = hub.intake.measures = Measures(services.metrics.registry)

    async def count() -> None:
        measures.connected.set(hub.pusher.number)

    services.metrics.before(count)
    services.delegating = Delegating(
        services.pool, hub.delegation, hub.pusher, services.settings.scan_seconds
    )
    if services.integrations is not None:
        hub.intake.receivers["pull_secrets"] = PullSecretReceiver(services.integrations)
    nodes = NodeReports(services.pool, services.images, active)
    hub.intake.receivers["node"] = nodes
    wanting = Wanting(services.pool, hub.delegation, services.images)
    hub.intake.objects.followers += [wanting, nodes]
    expiring = Expiring(services.pool, services.metrics.registry)
    services.metrics.before(expiring.refresh)
    services.parts += [wanting, nodes, expiring]
    if services.images is not None:
        services.images.listeners.append(scanned)
    if services.fleet is not None:
        services.fleet.listeners.append(hub.pusher.images_changed)


class Hub:
    """Central's end of all streams. ``baselines`` and receivers of ``intake`` are set by whoever has them."""

    def __init__(self, pool: Pool, settings: Settings, notices: Notices, trusted: Bundles) -> None:
        self.pool = pool
        self.settings = settings
        self.store = HubStore(pool)
        self.answers = Answers(self.store)
        self.pusher = Pusher(self.store, self.answers)
        self.intake = Intake(pool, self.answers)
        self.intake.receivers["alerts"] = AlertReceiver()
        self.admission = Admission(pool, settings)
        self.baselines: BaselineSource = NoBaselines()
        self.trusted = trusted
        self.issuer = trusted.issuer
        self.registrations = RegistrationStore(pool)
        self.delegation = Delegation(pool)
        #: Set when this Central is stopping: Sensors go elsewhere, or come again.
        self.leaving = asyncio.Event()
        self._task = tasks.Background()
        notices.on(TOPIC, lambda _: self.pusher.look())

    async def start(self) -> None:
        """Begin to tidy up."""
        self._task.begin(
            tasks.over_and_over(self.store.tidy, partial(_log.debug, "not tidied"), every=_TIDY), "hub-tidy"
        )

    async def stop(self) -> None:
        """End what works in the background."""
        await self._task.end()
        await self.pusher.stop()

    async def caller(self, stream: Stream[Any, Any]) -> UUID | None:
        """The cluster whose service calls; None where its certificate names none and it is not known otherwise.

        With an init bundle's certificate the call's metadata say which (``cluster``), and only one that was added by the
        bundle counts. Raises ``PermissionDenied``.
        """
        identity = calls.peer(stream)
        assert identity is not None  # asked before
        await self.trusted.check(identity.bundle_id)
        if identity.identifier == ANY_CLUSTER:
            said = stream.metadata.get("cluster", "") if stream.metadata is not None else ""
            found = await self.store.of_bundle(identity.bundle_id) if identity.bundle_id else []
            return next((each for each in found if str(each) == said or (not said and len(found) == 1)), None)
        try:
            cluster = UUID(identity.identifier)
        except ValueError:
            return None
        return cluster if await self.exists(cluster) else None

    async def leave(self) -> None:
        """End the streams: nobody waits for a Sensor when Central stops."""
        self.leaving.set()

    async def exists(self, cluster: UUID) -> bool:
        """Whether there is such a cluster."""
        return bool(await self.pool.fetchval("SELECT true FROM clusters WHERE id = $1", cluster))
