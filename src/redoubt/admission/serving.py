"""An admission controller put together out of its settings, and stopped again."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from redoubt import kubeapi
from redoubt.admission.app import App
from redoubt.admission.cluster import Cluster
from redoubt.admission.config import Settings
from redoubt.admission.events import EventJudge
from redoubt.admission.figures import Figures
from redoubt.admission.following import Follower
from redoubt.admission.images import Images
from redoubt.admission.judging import Judge, Spared
from redoubt.admission.keeping import Kept
from redoubt.admission.line import Lookup, SensorLine
from redoubt.admission.registering import Registrar, Target
from redoubt.admission.reporting import Outbox
from redoubt.admission.rules import Rules
from redoubt.egress import refusals
from redoubt.egress.guard import Guard
from redoubt.egress.hosts import proxies
from redoubt.errors import UsageError
from redoubt.wire.channel import Channel, channel, split
from redoubt.wire.health import Health
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material, namespace
from redoubt.wire.server import OnePort

_log = structlog.get_logger("egress")
#: Objects more than there were, until garbage is looked for: among the new ones, some older ones, all that are not frozen.
_COLLECTED = (20_000, 20, 50)


class Central:
    """A channel to Central, wherever the settings say that it is."""

    def __init__(self, address: str, tls: Material) -> None:
        self._address, self._tls = address, tls
        self._channel: Channel | None = None
        self.host = ""
        self.go(address)

    def go(self, address: str) -> None:
        """That is where it is now; an address that is none changes nothing."""
        if not address or (self._channel is not None and self._channel.address == address):
            return
        try:
            made = channel(address, self._tls, [Service.CENTRAL])
        except UsageError:
            return
        self.close()
        self._channel, self.host = made, split(address)[0].lower()

    def channel(self) -> Channel | None:
        """None where nobody said where it is."""
        return self._channel

    def close(self) -> None:
        """End the connection."""
        if self._channel is not None:
            self._channel.close()


class Serving:
    """An admission controller that runs. ``port`` is the webhooks'."""

    def __init__(self, one: OnePort, app: App, follower: Follower, registrar: Registrar | None) -> None:
        self._one = one
        self.app, self.follower, self.registrar = app, follower, registrar

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._one.port


@asynccontextmanager
async def admission(settings: Settings) -> AsyncIterator[Serving]:
    """A running admission controller. Raises ``RedoubtError`` where it cannot start."""
    async with AsyncExitStack() as stack:
        files = Files.within(settings.certificates or settings.data / "certificates")
        tls = Material(files)
        own = settings.namespace or namespace(files)
        spared = [*settings.spared, *([own] if settings.spare_own_namespace else [])]
        registry, hostname = CollectorRegistry(), os.uname().nodename
        figures = Figures(hostname, registry)
        central = Central(settings.central, tls)
        stack.callback(central.close)
        api = kubeapi.Api(settings.kubeconfig) if settings.kubernetes else None
        _guarded(stack, central, [split(settings.sensor)[0], *([api.host] if api is not None else [])])
        cluster = None
        if api is not None:
            stack.push_async_callback(api.close)
            cluster = Cluster(api, own)
        sensor = channel(settings.sensor, tls, [Service.SENSOR])
        stack.callback(sensor.close)
        line = SensorLine(sensor, hostname)

        def identifier() -> str:
            return "" if app.rules is None else app.rules.settings.config.cluster_id

        images = Images(
            Lookup(sensor, central.channel, figures, identifier),
            lifetime=settings.image_lifetime,
            memory=settings.image_memory,
            simultaneous=settings.simultaneous,
        )
        stack.push_async_callback(images.close)
        outbox = Outbox(line, figures, Kept(settings.data / "alerts"))
        await outbox.load()
        outbox.start()
        stack.push_async_callback(outbox.stop)
        where = Spared(spared)
        judge = Judge(images, figures, outbox, where, cluster)
        app = App(judge.workload, EventJudge(images, figures, outbox, where, cluster).event, judge)
        registrar = _registrar(settings, cluster, tls, app, own, spared)

        def use(rules: Rules) -> None:
            before, app.rules = app.rules, rules
            settle()
            if before is not None and before.settings.images != rules.settings.images:
                images.forget()
            central.go(settings.central or rules.settings.central)
            if registrar is not None:
                registrar.look()

        follower = Follower(
            use, settings.data, teller=line, config_maps=cluster, mounted=settings.config_folder
        )
        _measured(registry, images, outbox, follower, app)
        await _health(stack, settings, app, registrar, registry)
        await follower.start()
        stack.push_async_callback(follower.stop)
        port = OnePort(tls=tls, app=app)
        await port.start(settings.address, settings.port)
        stack.push_async_callback(port.stop)
        if registrar is not None:
            registrar.start()
            stack.push_async_callback(registrar.stop)
        yield Serving(port, app, follower, registrar)


def settle() -> None:
    """What is there now stays: the collector of garbage need not go through it again and again, as reviews wait for that.

    Nor need it come often: what a review makes is gone when it is answered.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED)


def _registrar(
    settings: Settings, cluster: Cluster | None, tls: Material, app: App, own: str, spared: Sequence[str]
) -> Registrar | None:
    if cluster is None or not settings.register:
        return None
    return Registrar(
        cluster,
        settings.webhook_name,
        Target(url=settings.webhook_url, namespace=own, service=settings.webhook_service),
        authorities=lambda: tls.trusted,
        rules=lambda: app.rules,
        spared=spared,
    )


def _guarded(stack: AsyncExitStack, central: Central, named: Sequence[str]) -> None:
    """Behind ``egress``: this process connects to this machine, to the cluster, and to whom its settings name."""
    allowed = frozenset(name.lower() for name in named if name) | proxies()
    guard = Guard(lambda host: host.lower() in allowed or host.lower() == central.host)
    guard.install()
    stack.callback(guard.remove)
    stack.callback(
        refusals.listen(lambda host, who: _log.warning("not contacted", host=host, asked_by=who or None))
    )


def _measured(
    registry: CollectorRegistry, images: Images, outbox: Outbox, follower: Follower, app: App
) -> None:
    ProcessCollector(registry=registry)
    for name, words, value in (
        ("image_cache_bytes", "About how much memory images' data takes", lambda: images.size),
        ("alerts_waiting", "Alerts that the Sensor does not have yet", lambda: outbox.waiting),
        ("sensor_connected", "Whether the Sensor is connected", lambda: int(follower.connected)),
        (
            "settings_revision",
            "Which settings count; 0: none",
            lambda: app.rules.revision if app.rules else 0,
        ),
    ):
        Gauge(f"rox_admission_control_{name}", words, registry=registry).set_function(value)


async def _health(
    stack: AsyncExitStack,
    settings: Settings,
    app: App,
    registrar: Registrar | None,
    registry: CollectorRegistry,
) -> None:
    if not settings.health_port:
        return

    async def ready() -> str:
        return (
            ""
            if app.rules is not None
            else "no settings have come yet: from the Sensor, the ConfigMap or the disk"
        )

    if registrar is not None:
        Gauge(
            "rox_admission_control_registered", "Whether the webhooks are registered", registry=registry
        ).set_function(lambda: int(not registrar.problem))
    health = Health(ready, registry)
    await health.start(settings.health_host, settings.health_port)
    stack.push_async_callback(health.stop)
