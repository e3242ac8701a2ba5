"""A Sensor put together out of its settings, and stopped again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from redoubt import tasks
from redoubt.egress import refusals
from redoubt.egress.guard import Guard
from redoubt.errors import RedoubtError
from redoubt.model.cluster import BaselineSync, ClusterConfig
from redoubt.sensor.cluster.api import Api, configured
from redoubt.sensor.cluster.identifying import identify
from redoubt.sensor.cluster.observing import Observer
from redoubt.sensor.config import Settings
from redoubt.sensor.graph.inventory import Dirty, Inventory
from redoubt.sensor.stream.link import Link
from redoubt.sensor.stream.remembered import Policies, Remembered
from redoubt.sensor.stream.spool import Spool
from redoubt.wire.channel import channel, split
from redoubt.wire.health import Health
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.server import OnePort

_log = structlog.get_logger("sensor")


class Sensor:
    """All parts of a Sensor, and what passes between them. Made by :func:`sensor`."""

    def __init__(self, settings: Settings, api: Api, material: Material) -> None:
        self.settings = settings
        self.api = api
        self.inventory = Inventory(settings.namespace)
        self.remembered = Remembered(settings.data / "state")
        self.spool = Spool(settings.data / "spool", settings.spool_bytes)
        self.observer = Observer(
            api,
            self.inventory,
            self._heard,
            most=settings.changes,
            seconds=settings.watch_seconds,
            jitter=settings.relist_jitter,
        )
        self.central = channel(settings.central, material, [Service.CENTRAL])
        self.link: Link | None = None

    async def prepare(self) -> None:
        """Read what is on the disk. Raises ``AccessDenied`` and ``UsageError``."""
        await asyncio.to_thread(self.spool.open)
        await asyncio.to_thread(self.remembered.load)
        self._configured(self.remembered.config)

    async def run(self) -> None:
        """Everything, until it is cancelled."""
        work = [
            asyncio.create_task(self.spool.run(), name="spool"),
            asyncio.create_task(self.remembered.run(), name="remembered"),
            asyncio.create_task(self.observer.run(), name="observer"),
            asyncio.create_task(self._link(), name="link"),
        ]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await tasks.end(*work)
            await self.remembered.save()
            self.spool.close()

    async def _link(self) -> None:
        self.link = Link(
            self.central,
            self.inventory,
            self.spool,
            self,
            ready=self.observer.ready,
            identification=await identify(self.api, self.settings.namespace),
            cluster_name=self.settings.cluster_name,
            first=self.settings.backoff_first,
            longest=self.settings.backoff_longest,
        )
        await self.link.run()

    def _heard(self, dirty: Dirty) -> None:
        """The cluster changed."""
        if self.link is not None:
            for key in dirty.objects:
                self.link.mark(key)

    # What Central says

    async def welcome(self, message: pb.Welcome) -> None:
        """See ``Told``."""
        self._configured(
            msgspec.structs.replace(
                self.remembered.config, cluster_id=message.cluster_id, cluster_name=message.cluster_name
            )
        )

    async def hear(self, message: pb.ToSensor) -> None:
        """See ``Told``."""
        try:
            match message.WhichOneof("message"):
                case "config":
                    config = msgspec.json.decode(message.config.config, type=ClusterConfig, strict=False)
                    self._configured(config)
                case "policies":
                    policies = msgspec.json.decode(message.policies.policies, type=tuple[msgspec.Raw, ...])
                    self.remembered.say_policies(Policies(message.policies.revision, policies))
                case "baselines":
                    said = msgspec.json.decode(message.baselines.baselines, type=BaselineSync, strict=False)
                    self.remembered.say_baselines(said)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.error("what Central says cannot be read", problem=str(error)[:200])

    async def synced(self) -> None:
        """See ``Told``."""
        _log.info("Central has all objects")

    async def away(self) -> None:
        """See ``Told``."""

    def _configured(self, config: ClusterConfig) -> None:
        if config != self.remembered.config:
            self.remembered.say_config(config)
        self.inventory.be(config.cluster_id, config.cluster_name, config.cluster_labels)
        self._heard(self.inventory.drain())


@asynccontextmanager
async def sensor(settings: Settings) -> AsyncIterator[OnePort]:
    """A running Sensor. Raises ``RedoubtError`` where it cannot start."""
    async with AsyncExitStack() as stack:
        api = Api(configured(settings.kubeconfig))
        stack.push_async_callback(api.close)
        _guarded(stack, settings, api)
        material = Material(Files.within(settings.certificates or settings.data / "certificates"))
        made = Sensor(settings, api, material)
        stack.callback(made.central.close)
        await made.prepare()
        registry = _metrics(made)
        if settings.health_port:

            async def ready() -> str:
                return "" if made.observer.ready.is_set() else "the cluster's objects are not all known yet"

            health = Health(ready, registry)
            await health.start(settings.health_host, settings.health_port)
            stack.push_async_callback(health.stop)
        port = OnePort(tls=material, services=[])
        await port.start(settings.address, settings.port)
        stack.push_async_callback(port.stop)
        work = asyncio.create_task(made.run(), name="sensor")
        work.add_done_callback(_ended)
        stack.push_async_callback(tasks.end, work)
        yield port


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        reason = str(error) if isinstance(error, RedoubtError) else repr(error)
        _log.error("the Sensor ended", reason=reason)


def _guarded(stack: AsyncExitStack, settings: Settings, api: Api) -> None:
    """This process connects to this machine, the cluster, its API server, and whom its settings name."""
    others = [settings.central, *([settings.indexer] if settings.indexer else [])]
    allowed = frozenset(name.lower() for name in (api.host, *(split(each)[0] for each in others)))
    guard = Guard(lambda host: host.lower() in allowed)
    guard.install()
    stack.callback(guard.remove)
    stack.callback(
        refusals.listen(lambda host, who: _log.warning("not contacted", host=host, asked_by=who or None))
    )


def _metrics(made: Sensor) -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)

    def gauge(name: str, words: str, value: object) -> None:
        assert callable(value)
        Gauge(f"rox_sensor_{name}", words, registry=registry).set_function(value)

    gauge("connected", "Whether Central can be told", lambda: made.link is not None and made.link.connected)
    gauge("spooled", "Messages that Central has to acknowledge", lambda: made.spool.waiting)
    gauge("spool_bytes", "What the spool has on disk", lambda: made.spool.size)
    gauge(
        "changes_waiting", "Changed objects that were not looked at yet", lambda: len(made.observer.changes)
    )
    gauge("deployments", "Workloads", lambda: len(made.inventory.deployments))
    return registry
