"""Central put together out of its settings, and stopped again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import structlog

from redoubt.central import app, mode
from redoubt.central.activity import parts as activity_parts
from redoubt.central.alerts import parts as alert_parts
from redoubt.central.auth import sources
from redoubt.central.auth.calls import Door
from redoubt.central.auth.parts import Auth, sealer
from redoubt.central.clusters.bundles import Bundles
from redoubt.central.config import Settings
from redoubt.central.definitions.online import Online
from redoubt.central.definitions.shelf import Definitions
from redoubt.central.definitions.work import Became
from redoubt.central.exits import Exits
from redoubt.central.fleet import parts as fleet_parts
from redoubt.central.hub.parts import Hub, attach
from redoubt.central.hub.wire import SensorService
from redoubt.central.images import parts
from redoubt.central.images.wire import ImageService
from redoubt.central.leading import Led
from redoubt.central.notices import Notices
from redoubt.central.policies import trying
from redoubt.central.policies.keeping import Policies
from redoubt.central.probes import upstream
from redoubt.central.probes.shelf import Probes
from redoubt.central.probes.wire import ProbeUploadService
from redoubt.central.risk import parts as risk_parts
from redoubt.central.services import Services
from redoubt.central.store import Pool
from redoubt.central.store.probes import ProbeStore
from redoubt.central.wire import DefinitionsService
from redoubt.egress.hosts import proxies
from redoubt.errors import UsageError
from redoubt.postgres import databases, migrations
from redoubt.postgres import pool as pools
from redoubt.wire.calls import Servable
from redoubt.wire.channel import split
from redoubt.wire.material import Files, Material
from redoubt.wire.server import OnePort

#: Held by the replica that renews definitions: "onln" as a number.
_ONLINE = 0x6F6E6C6E

_APPLICATION = "redoubt-central"

_log = structlog.get_logger("central")


class Central:
    """A running Central. ``password`` is the administrator's, where this start made one."""

    def __init__(self, services: Services, server: OnePort, password: str) -> None:
        self.services = services
        self.password = password
        self._server = server

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.port


@asynccontextmanager
async def central(settings: Settings) -> AsyncIterator[Central]:
    """Start Central; stop it at the end. Raises ``RedoubtError`` where it cannot start."""
    if not settings.database_url:
        raise UsageError("Central needs a database; set database_url")
    async with AsyncExitStack() as stack:
        tls = Material(_files(settings))
        pool = await pools.connect(settings.database_url, maximum=20, application=_APPLICATION)
        stack.push_async_callback(pools.close, pool)
        applied = await migrations.migrate(pool, "redoubt.central.migrations")
        policy, warnings = await mode.policy(pool, settings)
        warnings += await _alone(pool, settings)
        notices = Notices(pool)
        auth = Auth.create(settings, pool, sealer(settings), notices)
        await auth.prepare()
        definitions = Definitions(
            settings.data,
            starter=settings.starter,
            replicas=(pool, notices) if settings.definitions_store == "database" else None,
        )
        exits = Exits(pool, policy, _named(settings))
        probes = Probes(
            settings.data,
            ProbeStore(pool),
            upstream=upstream.chosen(settings, policy, settings.data / "probes" / "fetched"),
            taking=settings.kernel_package_upload,
            in_database=settings.definitions_store == "database",
        )
        policies = Policies(pool)
        bundles = Bundles(pool, notices, settings.ca, settings.cluster_certificate_days)
        hub = Hub(pool, settings, notices, bundles)
        auth.authenticator.trusted = bundles
        services = Services(
            settings=settings,
            pool=pool,
            auth=auth,
            policy=policy,
            definitions=definitions,
            probes=probes,
            exits=exits,
            policies=policies,
            hub=hub,
            bundles=bundles,
            parts=[exits, notices, auth, definitions, probes, policies, hub],
            warnings=warnings,
        )
        if not policy.offline:
            online = _online(services, definitions)
            # What one has renewed, all replicas have; on disks of their own each needs its own.
            shared = definitions.shared is not None
            services.parts.append(Led(pool, _ONLINE, online) if shared else online)
        parts.equip(services, tls, definitions.digest)
        fleet_parts.equip(services, tls, definitions)
        attach(services, definitions.digest)
        activity_parts.equip(services)
        alert_parts.equip(services)
        risk_parts.equip(services)
        trying.equip(services)
        server = OnePort(tls=tls, app=app.create(services), services=answering(services, definitions, probes))
        await services.start()  # here, and not by the application: what fails is told in a line
        stack.push_async_callback(services.stop)
        await _written_down(services, definitions)
        await server.start(settings.address, settings.port)
        stack.push_async_callback(server.stop)
        stack.push_async_callback(hub.leave)
        # Last: a password that was made and stored is told, whatever else could have kept this from starting.
        password, more = await auth.passwords.prepare(settings)
        services.warnings += more
        for warning in services.warnings:
            _log.warning(warning)
        _log.info("ready", port=server.port, offline=policy.offline, migrations=applied)
        yield Central(services, server, password)


async def _alone(pool: Pool, settings: Settings) -> list[str]:
    """A warning where another Central uses the database, and what is uploaded to one is that one's own."""
    if settings.definitions_store == "database":
        return []
    others = await pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"
        " AND pid <> pg_backend_pid()",
        _APPLICATION,
    )
    if others < pool.get_size():
        return []
    return [
        "another Central uses this database, and each has definitions and kernel support packages of its own;"
        " set definitions_store to database on all of them"
    ]


def answering(services: Services, definitions: Definitions, probes: Probes) -> list[Servable]:
    """All that is answered over gRPC."""
    trusted = sources.networks(services.settings.trusted_proxies)
    door = Door(services.auth.authenticator, services.auth.audit, trusted, services.metrics.called)
    return [
        DefinitionsService(definitions),
        ImageService(services, door),
        ProbeUploadService(probes, door),
        SensorService(services),
    ]


async def _written_down(services: Services, definitions: Definitions) -> None:
    """Have the history end with what is active, also where Central was killed after it switched and before it wrote that down."""
    active, log = definitions.active(), services.definitions_log
    # Of several replicas another one may be about to; the starter is in no history.
    if active is None or definitions.shared is not None or active.manifest.channel == "starter":
        return
    newest = await log.newest(1)
    before = newest[0].digest if newest else ""
    if before != active.digest:
        await log.add(
            action="upload",
            digest=active.digest,
            channel=active.manifest.channel,
            version=active.manifest.version,
            previous=before,
            unsigned=active.unsigned,
            by="not known: Central ended before it was written down",
        )


def _online(services: Services, definitions: Definitions) -> Online:
    settings, log = services.settings, services.definitions_log

    async def note(done: Became, action: str) -> None:
        await log.add(
            action=action,
            digest=done.digest,
            channel=done.channel,
            version=done.version,
            previous=done.previous,
            unsigned=done.unsigned,
            by="Central",
        )

    return Online(
        definitions,
        settings.data / "online",
        services.policy,
        note,
        url=settings.definitions_url,
        build_every=settings.definitions_build_seconds,
    )


def _named(settings: Settings) -> dict[str, str]:
    """Hosts that the settings name for something, which allows them: host → for what."""
    named = dict.fromkeys(databases.hosts(settings.database_url), "the database")
    named |= dict.fromkeys(proxies(), "a proxy in the environment")
    for address, what in ((settings.indexer, "the Indexer"), (settings.matcher, "the Matcher")):
        if address:
            named[split(address)[0].lower()] = what
    if host := urlsplit(settings.kernel_objects_url).hostname:
        named[host.lower()] = "kernel_objects_url in the settings"
    return named


def _files(settings: Settings) -> Files:
    front = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        front = (settings.tls_certificate, settings.tls_key)
    return Files.within(settings.certificates or settings.data / "certificates", front)
