"""An Indexer or a Matcher put together out of its settings, and stopped again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from redoubt.egress import refusals
from redoubt.egress.guard import Guard
from redoubt.egress.hosts import proxies
from redoubt.errors import UsageError
from redoubt.postgres import databases, failures, migrations
from redoubt.postgres import pool as pools
from redoubt.scanner.config import Settings
from redoubt.scanner.following import Follower
from redoubt.scanner.indexer import IndexerService
from redoubt.scanner.indexing import Indexing
from redoubt.scanner.leader import WireLeader
from redoubt.scanner.matcher import MatcherService
from redoubt.scanner.matching import Matching
from redoubt.scanner.store import IndexStore, LayerStore
from redoubt.wire.calls import Servable
from redoubt.wire.channel import channel, split
from redoubt.wire.health import Health, Ready
from redoubt.wire.identity import INDEXERS, Service
from redoubt.wire.material import Files, Material
from redoubt.wire.server import OnePort

_log = structlog.get_logger("egress")

#: Seconds between two sweeps of reports that nobody uses.
_SWEEP = 4 * 3600.0


@asynccontextmanager
async def indexer(settings: Settings) -> AsyncIterator[OnePort]:
    """A running Indexer. Raises ``RedoubtError`` where it cannot start."""
    if not settings.database_url:
        raise UsageError("an Indexer needs a database; set database_url")
    async with AsyncExitStack() as stack:
        guard = _guarded(stack, *databases.hosts(settings.database_url))
        pool = await pools.connect(settings.database_url, application="redoubt-indexer")
        stack.push_async_callback(pools.close, pool)
        await migrations.migrate(pool, "redoubt.scanner.migrations")
        store = IndexStore(pool)
        indexing = Indexing(
            store,
            LayerStore(pool, asyncio.get_running_loop()),
            simultaneous=settings.simultaneous,
            workers=settings.workers,
            permit=guard.permit,
        )
        stack.callback(indexing.close)
        sweeper = asyncio.create_task(_sweep(store))
        stack.callback(sweeper.cancel)
        registry = CollectorRegistry()
        Gauge(
            "rox_scanner_indexing", "Images that are being read or wait for it", registry=registry
        ).set_function(lambda: indexing.underway)

        async def ready() -> str:
            try:
                await pool.fetchval("SELECT 1", timeout=2)
            except (OSError, TimeoutError, *failures.RAISED) as error:
                return f"the database does not answer ({type(error).__name__})"
            return ""

        yield await _served(
            stack,
            settings,
            Material(_files(settings)),
            IndexerService(indexing, offline=settings.offline),
            ready,
            registry,
        )


@asynccontextmanager
async def matcher(settings: Settings) -> AsyncIterator[OnePort]:
    """A running Matcher. Raises ``RedoubtError`` where it cannot start."""
    async with AsyncExitStack() as stack:
        others = [address for address in (settings.central, settings.indexer) if address]
        _guarded(stack, *(split(address)[0] for address in others))
        files = _files(settings)
        material = Material(files)
        matching = Matching(simultaneous=settings.simultaneous)
        stack.callback(matching.close)
        central = channel(settings.central, material, [Service.CENTRAL])
        stack.callback(central.close)
        to_indexer = (
            channel(settings.indexer, material, INDEXERS, clusters=False) if settings.indexer else None
        )
        if to_indexer is not None:
            stack.callback(to_indexer.close)
        leader = WireLeader(central, files, have=lambda: matching.info.digest if matching.info else "")
        follower = Follower(
            leader,
            matching,
            settings.data,
            shared=settings.shared_shelf,
            interval=settings.definitions_interval,
        )
        await follower.start()
        stack.push_async_callback(follower.stop)
        registry = CollectorRegistry()
        Gauge(
            "rox_scanner_definitions_since_seconds",
            "When the current definitions became so; 0: there are none",
            registry=registry,
        ).set_function(lambda: matching.since)

        async def ready() -> str:
            return "" if matching.info else "no definitions have come from Central yet"

        service = MatcherService(matching, follower, to_indexer)
        yield await _served(stack, settings, material, service, ready, registry)


def _guarded(stack: AsyncExitStack, *named: str) -> Guard:
    """Behind ``egress``, and whatever mode Central is in: this process connects to this machine, the cluster, whom its
    settings name, and whom a request names, while it is worked on.
    """
    allowed = frozenset(name.lower() for name in named) | proxies()
    guard = Guard(lambda host: host.lower() in allowed)
    guard.install()
    stack.callback(guard.remove)
    stack.callback(
        refusals.listen(lambda host, who: _log.warning("not contacted", host=host, asked_by=who or None))
    )
    return guard


async def _served(
    stack: AsyncExitStack,
    settings: Settings,
    material: Material,
    service: Servable,
    ready: Ready,
    registry: CollectorRegistry,
) -> OnePort:
    ProcessCollector(registry=registry)
    if settings.health_port:
        health = Health(ready, registry)
        await health.start(settings.health_host, settings.health_port)
        stack.push_async_callback(health.stop)
    port = OnePort(tls=material, services=[service])
    await port.start(settings.address, settings.port)
    stack.push_async_callback(port.stop)
    return port


def _files(settings: Settings) -> Files:
    return Files.within(settings.certificates or settings.data / "certificates")


async def _sweep(store: IndexStore) -> None:
    while True:
        await asyncio.sleep(_SWEEP)
        try:
            await store.sweep()
        except (OSError, TimeoutError, *failures.RAISED):
            continue  # the next time will do
