"""A Sensor put together out of its settings, and stopped again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from redoubt import tasks
from redoubt.egress import refusals
from redoubt.egress.guard import Guard
from redoubt.errors import RedoubtError
from redoubt.kubeapi import Api
from redoubt.model.cluster import AdmissionSettings, BaselineSync, ClusterConfig
from redoubt.sensor.applying import Applier
from redoubt.sensor.cluster.identifying import identify
from redoubt.sensor.cluster.observing import Observer
from redoubt.sensor.config import Settings
from redoubt.sensor.detection.detector import Detector
from redoubt.sensor.detection.enforcement import Enforcer
from redoubt.sensor.detection.images import Images
from redoubt.sensor.graph.inventory import Dirty, Inventory
from redoubt.sensor.health import HealthReport
from redoubt.sensor.identity.folder import Own
from redoubt.sensor.identity.peers import Peers
from redoubt.sensor.identity.registering import MOUNTED, register
from redoubt.sensor.identity.renewing import Renewal
from redoubt.sensor.identity.secrets import NAMES, Secrets
from redoubt.sensor.requests import Requests
from redoubt.sensor.runtime.parts import RuntimePart
from redoubt.sensor.scanning import LocalScanning
from redoubt.sensor.serving.admissions import AdmissionService
from redoubt.sensor.serving.settings import AdmissionKeeper
from redoubt.sensor.stream.asking import Central
from redoubt.sensor.stream.link import Link
from redoubt.sensor.stream.remembered import Policies, Remembered
from redoubt.sensor.stream.spool import Spool
from redoubt.wire.calls import Servable
from redoubt.wire.channel import channel, split
from redoubt.wire.health import Health
from redoubt.wire.identity import ANY_CLUSTER, INDEXERS, Identity, Service
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from redoubt.wire.server import OnePort

_log = structlog.get_logger("sensor")
#: Bytes of all pull secrets: a message of the stream may have 4 MB.
_LARGEST_SECRETS = 3_500_000


class Sensor:
    """All parts of a Sensor, and what passes between them. Made by :func:`sensor`."""

    def __init__(self, settings: Settings, api: Api, own: Own, material: Material) -> None:
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
        self.channel = channel(settings.central, material, [Service.CENTRAL])
        self.indexer = channel(settings.indexer, material, INDEXERS) if settings.indexer else None
        self.central = Central(self.channel)
        self.images = Images(self.central.image, settings.image_cache_bytes, self._images_known)
        self.enforcer = Enforcer(api, self.observer.resource, off=settings.no_enforcement)
        self.detector = Detector(self.inventory, self.images, self.spool, self.enforcer)
        self.admission = AdmissionKeeper(
            api, settings.namespace, settings.data / "state" / "admission.json", self._admission_settings
        )
        peers = Peers()
        self.admissions = AdmissionService(self.admission, self.images, self.spool, peers)
        self.scanning = LocalScanning(
            self.indexer,
            self.central,
            self.inventory,
            settings.namespace,
            settings.scans_at_once,
            settings.ad_hoc_scans_at_once,
        )
        self.renewal = Renewal(
            own,
            Secrets(api, settings.namespace),
            peers,
            self.tell,
            self._again,
            namespace=settings.namespace,
            others=[
                each
                for each in NAMES
                if each is not Service.SENSOR and (self.indexer or each not in INDEXERS)
            ],
        )
        self.renewal.ahead = lambda: 0 if self.link is None else self.link.clock.ahead
        self.renewal.indexer = lambda: None if self.indexer is None else self.indexer.peer
        self.requests = Requests(
            self.inventory,
            self.detector,
            self.enforcer,
            self.scanning,
            Applier(api, self.observer.resource),
            self.tell,
            self.renewal.now,
        )
        self.runtime = RuntimePart(
            settings, self.inventory, self.detector, self.enforcer, self.spool, own.files, peers
        )
        #: gRPC services for the rest of the cluster.
        self.services: list[Servable] = [self.admissions, *self.runtime.services]
        self.health = HealthReport(self)
        self.health.collectors = self.runtime.health
        self.health.dropped.append(self.runtime.dropped)
        self.link: Link | None = None
        self._policies: Policies | None = None
        #: What ails none of the parts.
        self.problem = ""
        self._all_images_changed = ""

    async def prepare(self) -> None:
        """Read what is on the disk. Raises ``AccessDenied`` and ``UsageError``."""
        await asyncio.to_thread(self.spool.open)
        await asyncio.to_thread(self.remembered.load)
        await asyncio.to_thread(self.admission.load)
        await asyncio.to_thread(self.runtime.positions.load)
        self.runtime.remember(self.remembered)
        self._configured(self.remembered.config)
        if self.remembered.policies.revision:
            await self._say_policies(self.remembered.policies)

    async def run(self) -> None:
        """Everything, until it is cancelled."""
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "spool": self.spool.run(),
            "remembered": self.remembered.run(),
            "observer": self.observer.run(),
            "images": self.images.run(),
            "enforcer": self.enforcer.run(),
            "detector": self._detect(),
            "admission": self.admission.run(),
            "runtime": self.runtime.run(self.observer.ready),
            "renewal": self.renewal.run(),
            "health": self.health.run(self.settings.health_interval),
            **({"scanning": self.scanning.run()} if self.indexer is not None else {}),
            "link": self._link(),
        }
        work = [asyncio.create_task(each, name=name) for name, each in parts.items()]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self.requests.stop()
            await tasks.end(*work)
            await self.remembered.save()
            self.spool.close()

    async def _detect(self) -> None:
        # What is around a workload is not all known before.
        await self.observer.ready.wait()
        await self.detector.run()

    async def _link(self) -> None:
        self.link = Link(
            self.channel,
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

    def foreign(self, caller: Identity) -> str:
        """Why a service is none of this cluster's: its certificate names another cluster. An init bundle's names none."""
        ours = self.remembered.config.cluster_id
        if not ours or not caller.of_cluster or caller.identifier.lower() in {ours, ANY_CLUSTER}:
            return ""
        return f"this is the Sensor of cluster {ours}, and the certificate is of another one's service"

    def tell(self, message: pb.FromSensor) -> None:
        """Something of the moment, to Central: lost where it is away."""
        if self.link is not None:
            self.link.tell(message)

    def _again(self) -> None:
        if self.link is not None:
            self.link.again()
        if self.indexer is not None:
            self.indexer.renew()

    def _heard(self, dirty: Dirty) -> None:
        """The cluster changed."""
        if self.link is not None:
            for key in dirty.objects:
                self.link.mark(key)
        for identifier, fresh in dirty.deployments.items():
            self.detector.mark(identifier, fresh=fresh)
        if dirty.pull_secrets:
            self._say_pull_secrets()
        if any(kind == "namespace" for kind, _ in dirty.objects):
            self.admission.touch()

    def _images_known(self, keys: Iterable[str]) -> None:
        self.detector.images_known(keys)

    def _say_pull_secrets(self) -> None:
        content = msgspec.json.encode(self.inventory.pull_secrets)
        if len(content) > _LARGEST_SECRETS:
            self.problem = (
                f"pull secrets have {len(content)} bytes, too many for Central: none are offered to it"
            )
            _log.error("pull secrets are too many for Central", bytes=len(content))
            return
        self.problem = ""
        self.tell(pb.FromSensor(pull_secrets=pb.PullSecrets(secrets=content)))

    def _admission_settings(self) -> AdmissionSettings | None:
        if self._policies is None or not self.remembered.config.cluster_id:
            return None
        return AdmissionSettings(
            revision=0,
            config=self.remembered.config,
            policies=self._policies.policies,
            namespace_labels=dict(sorted(self.inventory.namespace_labels.items())),
            central=self.settings.central,
            images=self._all_images_changed,
        )

    # What Central says

    async def welcome(self, message: pb.Welcome) -> None:
        """See ``Told``."""
        self.central.cluster = message.cluster_id
        self.renewal.welcomed(message.cluster_id)
        self._configured(
            msgspec.structs.replace(
                self.remembered.config, cluster_id=message.cluster_id, cluster_name=message.cluster_name
            )
        )
        self.images.back()

    async def hear(self, message: pb.ToSensor) -> None:
        """See ``Told``."""
        try:
            match message.WhichOneof("message"):
                case "config":
                    config = msgspec.json.decode(message.config.config, type=ClusterConfig, strict=False)
                    self._configured(config)
                case "policies":
                    raw = msgspec.json.decode(message.policies.policies, type=tuple[msgspec.Raw, ...])
                    await self._say_policies(Policies(message.policies.revision, raw))
                case "baselines":
                    said = msgspec.json.decode(message.baselines.baselines, type=BaselineSync, strict=False)
                    self.remembered.say_baselines(said)
                    self.runtime.runtime.baselines.take(said)
                case "images_changed":
                    self.images.forget(message.images_changed.digests)
                    if (
                        not message.images_changed.digests
                    ):  # of all images: what admission controllers keep goes too
                        self._all_images_changed = str(time.time_ns())
                        self.admission.touch()
                case "certificates":
                    self.renewal.answered(message.certificates)
                case "authorities":
                    self.renewal.say_authorities(message.authorities)
                case "request":
                    self.requests.take(message.request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.error("what Central says cannot be read", problem=str(error)[:200])

    async def synced(self, *, forgotten: bool) -> None:
        """See ``Told``."""
        _log.info("Central has all objects")
        self.detector.linked(forgotten=forgotten)
        self._say_pull_secrets()
        self.health.say()

    async def away(self) -> None:
        """See ``Told``."""
        self.detector.unlinked()
        self.renewal.away()

    async def _say_policies(self, policies: Policies) -> None:
        if self._policies == policies:
            return
        if self.remembered.policies != policies:
            self.remembered.say_policies(policies)
        self._policies = policies
        await self.detector.say_policies(policies.policies)
        self.admission.touch()

    def _configured(self, config: ClusterConfig) -> None:
        if config != self.remembered.config:
            self.remembered.say_config(config)
        self.inventory.be(config.cluster_id, config.cluster_name, config.cluster_labels)
        self._heard(self.inventory.drain())
        self.runtime.configure(config)
        self.admission.touch()


@asynccontextmanager
async def sensor(settings: Settings, failed: Callable[[], None] | None = None) -> AsyncIterator[OnePort]:
    """A running Sensor. ``failed`` is called when a part of it ended by a fault. Raises ``RedoubtError`` where it cannot start."""
    async with AsyncExitStack() as stack:
        api = Api(settings.kubeconfig)
        stack.push_async_callback(api.close)
        _guarded(stack, settings, api)
        own = await _identity(settings, api)
        material = Material(own.files)
        made = Sensor(settings, api, own, material)
        for each in (made.channel, made.indexer):
            if each is not None:
                stack.callback(each.close)
        await made.prepare()
        registry = _metrics(made)
        if settings.health_port:

            async def ready() -> str:
                return "" if made.observer.ready.is_set() else "the cluster's objects are not all known yet"

            health = Health(ready, registry)
            await health.start(settings.health_host, settings.health_port)
            stack.push_async_callback(health.stop)
        port = OnePort(tls=material, app=made.runtime.webhook, services=made.services, foreign=made.foreign)
        await port.start(settings.address, settings.port)
        stack.push_async_callback(port.stop)
        work = asyncio.create_task(made.run(), name="sensor")
        work.add_done_callback(lambda task: _ended(task, failed))
        stack.push_async_callback(tasks.end, work)
        yield port


def _ended(task: asyncio.Task[None], failed: Callable[[], None] | None) -> None:
    if task.cancelled():
        return
    _log.error("the Sensor ended by a fault", exc_info=task.exception())
    if failed is not None:
        failed()


async def _identity(settings: Settings, api: Api) -> Own:
    """The Sensor's certificate: what is on the disk, else its Secret, else one that is asked for with a registration secret.

    Raises where there is none.
    """
    installed = settings.certificates or settings.data / "certificates"
    own = Own(settings.data / "identity", installed)
    if await asyncio.to_thread(own.settle) is not None:
        return own
    with suppress(
        RedoubtError
    ):  # the Secret may not be read, or the API server is away: there may be another way
        held = await Secrets(api, settings.namespace).get(Service.SENSOR)
        if held is not None and held.leaf is not None and held.leaf.counts(datetime.now(UTC)):
            await asyncio.to_thread(own.adopt, held.issued)
            _log.info("the Sensor's certificate is the one of its Secret")
            return own
    file = settings.crs or (MOUNTED if MOUNTED.exists() else None)
    if file is not None:
        await register(
            own,
            file,
            settings.central,
            await identify(api, settings.namespace),
            cluster_name=settings.cluster_name,
            namespace=settings.namespace,
        )
    elif not any(each.exists() for each in Files.within(installed).trusted):
        # In the words of where it was to be.
        Files.within(installed).contents()
    return own


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
    gauge(
        "certificate_ends_seconds",
        "When the first certificate of the cluster's services ends, in seconds since 1970",
        lambda: min((each.ends for each in made.renewal.ends()), default=0),
    )
    gauge("spooled", "Messages that Central has to acknowledge", lambda: made.spool.waiting)
    gauge("spool_bytes", "What the spool has on disk", lambda: made.spool.size)
    gauge("dropped", "What was lost for want of room", lambda: sum(made.health.lost().values()))
    gauge(
        "changes_waiting", "Changed objects that were not looked at yet", lambda: len(made.observer.changes)
    )
    gauge("spoilt_objects", "Objects that could not be read", lambda: made.observer.spoilt)
    gauge("deployments", "Workloads", lambda: len(made.inventory.deployments))
    gauge("evaluations", "How often policies were asked of a workload", lambda: made.detector.asked)
    gauge("image_bytes", "What is held of images", lambda: made.images.size)
    gauge("enforced", "Enforcements done", lambda: sum(made.enforcer.done.values()))
    gauge("not_enforced", "Enforcements that could not be done", lambda: made.enforcer.failed)
    return registry
