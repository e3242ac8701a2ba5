"""All that scans images, put together: channels to the Scanner, registries, scans."""

from __future__ import annotations

from collections.abc import Callable

from redoubt.central.config import Settings
from redoubt.central.images.scanning import Scanning
from redoubt.central.integrations.registries import Registries
from redoubt.central.scanners import Indexer, Matcher
from redoubt.central.store import Pool
from redoubt.central.store.images import ImageStore
from redoubt.wire.channel import channel
from redoubt.wire.identity import INDEXERS, MATCHERS
from redoubt.wire.material import Material


class Images:
    """A part of Central: ``scanning`` over channels that end with it. Only where there is a Scanner."""

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        tls: Material,
        registries: Registries,
        active: Callable[[], str],
    ) -> None:
        self._channels = (
            channel(settings.indexer, tls, INDEXERS),
            channel(settings.matcher, tls, MATCHERS),
        )
        indexer, matcher = self._channels
        self.matcher = Matcher(matcher)
        self.scanning = Scanning(ImageStore(pool), Indexer(indexer), self.matcher, registries, active=active)

    async def start(self) -> None:
        """Nothing works before somebody asks."""

    async def stop(self) -> None:
        """End scans, and close the channels."""
        await self.scanning.stop()
        for each in self._channels:
            each.close()


def assemble(
    settings: Settings, pool: Pool, tls: Material, registries: Registries, active: Callable[[], str]
) -> Images | None:
    """The part, or None where the settings name no Scanner. ``active`` gives the digest of the definitions."""
    if not settings.indexer or not settings.matcher:
        return None
    return Images(settings, pool, tls, registries, active)
