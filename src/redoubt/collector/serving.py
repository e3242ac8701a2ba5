"""A Collector put together out of its settings: the kernel's reader in a thread, the Sensor's stream on the loop."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import structlog

import redoubt
from redoubt import tasks
from redoubt.collector import kernelprobes
from redoubt.collector.collector import Collector
from redoubt.collector.config import Settings
from redoubt.collector.kernelprobes import NoProbe
from redoubt.collector.loader import Settings as ProbeSettings
from redoubt.collector.outbox import Outbox
from redoubt.collector.reporting import Reporting
from redoubt.collector.sources import Method
from redoubt.model.noderecords import CollectorHealth
from redoubt.wire import chunks
from redoubt.wire.channel import Channel, ClientStream, channel
from redoubt.wire.failures import NotFound
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1.secured_grpc import CollectorsStub
from redoubt.wire.proto.redoubt.v1.secured_pb2 import CollectorHello, GetProbeRequest, ProbePart

_log = structlog.get_logger("collector")

_METHODS: dict[str, Method] = {
    "AUTO": "auto",
    "CORE_BPF": "core_bpf",
    "EBPF": "ebpf",
    "PROC_CONNECTOR": "proc_connector",
}
#: Seconds that what is left may take to go out at the end.
_LAST = 3.0
#: Bytes that a probe may have.
_LARGEST = 32 << 20


class Running:
    """A Collector that runs. ``ended`` is done when it watches no longer, with what it failed with, if it did."""

    #: Nothing listens.
    port = 0

    def __init__(self, collector: Collector, ended: asyncio.Future[None]) -> None:
        self.collector = collector
        self.ended = ended


@asynccontextmanager
async def collector(settings: Settings) -> AsyncIterator[Running]:
    """A running Collector. Raises ``RedoubtError`` where it cannot start: the kernel cannot be asked, or files are missing."""
    loop = asyncio.get_running_loop()
    material = Material(Files.within(settings.certificates))
    sensor = channel(settings.sensor, material, [Service.SENSOR])
    code = None
    if settings.collection_method == "EBPF":
        try:
            code = await probe(settings, sensor)
        except BaseException:
            sensor.close()
            raise
    ready = asyncio.Event()
    outbox = Outbox(settings.buffer, lambda: _at(loop, ready.set))
    began: asyncio.Future[None] = loop.create_future()
    watching = Collector(
        outbox.put,
        ProbeSettings(ring=1 << settings.ring),
        _METHODS[settings.collection_method],
        afterglow=settings.afterglow,
        outside=True,
        code=code,
        ready=lambda health: _at(loop, lambda: _begun(began, health)),
    )

    def health() -> bytes:
        watching.health.dropped = outbox.dropped
        return msgspec.json.encode(watching.health)

    hello = CollectorHello(
        hostname=settings.hostname or os.uname().nodename,
        instance=secrets.token_hex(16),
        version=redoubt.__version__,
        kernel=os.uname().release,
    )
    reporting = Reporting(
        sensor, hello, outbox, ready, watching, health, health_interval=settings.health_interval
    )
    ended = _in_thread(watching, began)
    try:
        await began
        telling = asyncio.create_task(reporting.run())
        telling.add_done_callback(lambda done: _untold(watching, done))
        try:
            yield Running(watching, ended)
            watching.stop()
            await asyncio.wait([ended])
            await reporting.finish(_LAST)
            if telling.done():
                telling.result()  # it should have gone on: what it failed with is ours
        finally:
            await tasks.end(telling)
    finally:
        watching.stop()
        await asyncio.wait([ended])
        sensor.close()


async def probe(settings: Settings, sensor: Channel) -> bytes:
    """A probe for this kernel: from the folder, else from Central by way of the Sensor.

    Raises ``NoProbe`` where there is none, ``ForeignProbe`` for one that is not ours, and what the Sensor cannot be asked with.
    """
    kernel = os.uname().release
    found = await asyncio.to_thread(kernelprobes.within, settings.probes, kernel)
    if found is not None:
        return kernelprobes.checked(found, str(settings.probes / kernelprobes.file_name(kernel)))
    request = GetProbeRequest(kernel=kernel, version=kernelprobes.version())
    try:
        with sensor.told():
            await sensor.ready(settings.probe_seconds)
            async with CollectorsStub(sensor).GetProbe.open() as call:
                await call.send_message(request, end=True)
                first = await call.recv_message()
                if first is None:
                    raise NoProbe(f"{sensor.address}: ended without a probe")
                packed = await chunks.join(_rest(first, call), first.size, _LARGEST)
    except NotFound:
        raise kernelprobes.missing(kernel, settings.probes) from None
    if first.sha256 and hashlib.sha256(packed).hexdigest() != first.sha256:
        raise NoProbe(f"{sensor.address}: the probe that came is damaged")
    return kernelprobes.checked(packed, f"{kernelprobes.file_name(kernel)} of Central's support packages")


async def _rest(first: ProbePart, call: ClientStream[GetProbeRequest, ProbePart]) -> AsyncIterator[bytes]:
    yield first.chunk
    async for part in call:
        yield part.chunk


def _in_thread(watching: Collector, began: asyncio.Future[None]) -> asyncio.Future[None]:
    """Have it run; what it fails with before it began is ``began``'s."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def finished(failure: BaseException | None) -> None:
        for future in (began, ended):
            if future.done():
                continue
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(failure)
        if failure is not None:
            ended.exception()  # whoever waits for it is told; nobody has to

    def run() -> None:
        failure: BaseException | None = None
        try:
            watching.run()
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            failure = error
        _at(loop, lambda: finished(failure))

    threading.Thread(target=run, name="kernel", daemon=True).start()
    return ended


def _at(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """Have the loop do it, from the thread; a loop that has ended does nothing more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(what)


def _untold(watching: Collector, telling: asyncio.Task[None]) -> None:
    """Nobody is told any more: then nothing is watched either, and whoever looks after us begins anew."""
    if not telling.cancelled() and (error := telling.exception()) is not None:
        _log.error("telling the Sensor failed", kind=type(error).__name__)
    watching.stop()


def _begun(began: asyncio.Future[None], health: CollectorHealth) -> None:
    if health.degraded:
        _log.warning("degraded", reason=health.degraded, unseen=health.unseen)
    _log.info("watching", method=health.method)
    if not began.done():
        began.set_result(None)
