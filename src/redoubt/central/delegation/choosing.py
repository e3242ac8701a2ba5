"""Which cluster scans an image, as the administrator set it: the first registry whose path the image's name begins with."""

from __future__ import annotations

from uuid import UUID

import msgspec

from redoubt.central.store import Pool, Store
from redoubt.model.cluster import DelegatedRegistryConfig

_configs = msgspec.json.Decoder(DelegatedRegistryConfig)


class DelegationStore(Store):
    """Table ``delegation``."""

    async def get(self) -> DelegatedRegistryConfig:
        """What is set; nothing is delegated where nothing is."""
        found = await self._pool.fetchval("SELECT config FROM delegation")
        return DelegatedRegistryConfig() if found is None else _configs.decode(found)

    async def put(self, config: DelegatedRegistryConfig) -> None:
        """Set it."""
        await self._pool.execute(
            "INSERT INTO delegation (config) VALUES ($1) ON CONFLICT (one) DO UPDATE SET config = excluded.config",
            msgspec.json.encode(config).decode(),
        )


class Delegation:
    """Asks what is set now."""

    def __init__(self, pool: Pool) -> None:
        self.store = DelegationStore(pool)

    async def of(self, image: str) -> UUID | None:
        """The cluster that scans an image; None for Central."""
        chosen = cluster(await self.store.get(), image)
        return UUID(chosen) if chosen else None


def cluster(config: DelegatedRegistryConfig, image: str) -> str:
    """The identifier of the cluster that scans ``image`` (``registry.example/team/app:1.2``); empty for Central. Pure."""
    if config.enabled_for == "NONE":
        return ""
    for each in config.registries:
        if each.path and image.startswith(each.path):
            return each.cluster_id or config.default_cluster_id
    return config.default_cluster_id if config.enabled_for == "ALL" else ""
