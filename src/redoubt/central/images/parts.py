"""All that scans images and knows registries, put together into a Central's services."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from redoubt.central.config import Settings
from redoubt.central.images.sboms import Sboms
from redoubt.central.images.scanning import Pace, Scanning
from redoubt.central.images.watching import Watching
from redoubt.central.integrations.keeping import Integrations
from redoubt.central.integrations.registries import Registries
from redoubt.central.scanners import Indexer, Matcher
from redoubt.central.services import Services
from redoubt.central.store.fleet import FleetStore
from redoubt.central.store.images import ImageStore
from redoubt.central.store.integrations import IntegrationStore, WatchedStore
from redoubt.model import IndexReport, VulnerabilityReport
from redoubt.wire.channel import Channel, channel
from redoubt.wire.identity import INDEXERS, MATCHERS
from redoubt.wire.material import Material


class Channels:
    """The connections to the Scanner, as a part that is stopped last."""

    def __init__(self, *channels: Channel) -> None:
        self._channels = channels

    async def start(self) -> None:
        """Nothing is connected before the first call."""

    async def stop(self) -> None:
        """Close them."""
        for each in self._channels:
            each.close()


def equip(services: Services, tls: Material, active: Callable[[], str]) -> None:
    """Give ``services`` integrations, and scans of images where its settings name a Scanner.

    ``active`` gives the digest of the definitions that are active at Central, empty for none.
    """
    settings, pool, sealer = services.settings, services.pool, services.auth.sealer
    store = IntegrationStore(pool)
    permit = services.exits.guard.permit if services.exits else nullcontext
    registries = Registries(store, sealer, services.policy, permit)
    integrations = Integrations(store, sealer, registries, offline=services.policy.offline)
    services.integrations = integrations
    services.parts.append(integrations)
    if not settings.indexer or not settings.matcher:
        return
    # Clusters get certificates of Indexers for their own: none of those is ours.
    indexer = channel(settings.indexer, tls, INDEXERS, clusters=False)
    matcher = channel(settings.matcher, tls, MATCHERS)
    services.images = Scanning(
        ImageStore(pool), Indexer(indexer), Matcher(matcher), registries, active=active, pace=_pace(settings)
    )
    fleet = FleetStore(pool)

    async def to_fleet(index: IndexReport, report: VulnerabilityReport) -> None:
        await fleet.put_image(index)

    services.images.listeners.append(to_fleet)
    services.watching = Watching(WatchedStore(pool), services.images, interval=settings.watch_seconds)
    services.sboms = Sboms(settings.data / "sboms")
    services.parts += [Channels(indexer, matcher), services.images, services.watching, services.sboms]


def _pace(settings: Settings) -> Pace:
    return Pace(
        at_once=settings.scans_at_once,
        most=settings.scans_waiting,
        limit=settings.scan_seconds,
        patience=settings.service_patience_seconds,
        registry_tries=settings.registry_tries,
        registry_first=settings.registry_pause_seconds,
        registry_longest=settings.registry_longest_pause_seconds,
    )
