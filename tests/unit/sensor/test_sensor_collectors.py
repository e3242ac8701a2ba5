"""What the Sensor makes of Collectors on its port: who may call, what they say first, and what comes after a stream broke."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.errors import UnreadableInput
from redoubt.model.noderecords import CollectorHealth, Process
from redoubt.sensor.runtime.flows import AWAY
from redoubt.sensor.runtime.parts import collectors_health
from redoubt.wire.channel import channel
from redoubt.wire.failures import Refused
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1.secured_grpc import CollectorsStub
from redoubt.wire.proto.redoubt.v1.secured_pb2 import (
    CollectorConfig,
    CollectorHello,
    FromCollector,
    GetProbeRequest,
    ToCollector,
)
from support.runtime import Sensor, Store, sensor
from support.wire import Certificates, run, until

CONTAINER = "c" * 64


class Collector:
    """One stream."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.told: list[ToCollector] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.call:
            self.told.append(message)

    async def send(self, number: int, *arguments: str, time: int = 1) -> None:
        event = Process(
            time=time,
            container=CONTAINER,
            pid=1,
            parent=0,
            uid=0,
            gid=0,
            name="x",
            path="/x",
            arguments=("x", *arguments),
        )
        await self.call.send_message(FromCollector(number=number, events=msgspec.msgpack.encode([event])))

    @property
    def acknowledged(self) -> int:
        return max((each.acknowledged for each in self.told), default=0)

    @property
    def configs(self) -> list[CollectorConfig]:
        return [each.config for each in self.told if each.HasField("config")]


@asynccontextmanager
async def serving(tmp_path: Path, caller: Service = Service.COLLECTOR) -> AsyncIterator[tuple[Sensor, Any]]:
    certificates = Certificates(tmp_path)
    store = Store()
    store.add("web", CONTAINER)
    async with sensor(store, certificates.material(Service.SENSOR)) as made:
        dialled = channel(f"127.0.0.1:{made.port}", certificates.material(caller, "caller"), {Service.SENSOR})
        try:
            yield made, dialled
        finally:
            dialled.close()


@asynccontextmanager
async def connected(
    dialled: Any, instance: str = "first", hostname: str = "node-1"
) -> AsyncIterator[Collector]:
    with dialled.told():
        async with CollectorsStub(dialled).Communicate.open() as call:
            await call.send_message(FromCollector(hello=CollectorHello(hostname=hostname, instance=instance)))
            one = Collector(call)
            try:
                yield one
            finally:
                one._reader.cancel()
                await asyncio.wait([one._reader])
                await call.cancel()


async def greeted(dialled: Any, hello: CollectorHello) -> None:
    """Say hello, and nothing else."""
    with dialled.told():
        async with CollectorsStub(dialled).Communicate.open() as call:
            await call.send_message(FromCollector(hello=hello), end=True)
            await call.recv_message()
            await call.recv_trailing_metadata()


def test_a_batch_is_acknowledged_once_it_was_written_down_and_taken_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (made, dialled):
            async with connected(dialled) as one:
                await until(lambda: bool(one.configs))
                await one.send(1, "a")
                await until(lambda: one.acknowledged == 1)
                made.sent.failing = True
                await one.send(2, "b")
                await asyncio.sleep(0.2)
                assert one.acknowledged == 1
            made.sent.failing = False
            async with connected(dialled) as again:
                # It was told already that the first is kept; the second is sent again.
                await again.send(2, "b")
                await again.send(3, "c")
                await until(lambda: again.acknowledged == 3)
                assert again.configs[0].sensor == one.configs[0].sensor
            assert [e.signal.args for e in made.sent.processes if e.signal] == ["a", "b", "c"]

    run(work())


def test_what_a_node_tells_has_moments_of_the_sensors_clock(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (made, dialled), connected(dialled) as one:
            await until(lambda: bool(one.configs))
            (session,) = made.runtime.sessions
            for number, (hours, ahead) in enumerate(((2, True), (0, False)), 1):
                clock = time.time_ns() + hours * 3600 * 10**9
                await one.call.send_message(FromCollector(health=b"{}", clock=clock))
                await until(lambda ahead=ahead: bool(session.ahead) is ahead)  # type: ignore[misc]
                health = collectors_health(made.runtime.sessions, 1)
                assert health.problems == (("node-1: its clock is 2:00:00 ahead of the Sensor's",) * ahead)
                await one.send(number, str(hours), time=clock)
                await until(lambda number=number: one.acknowledged == number)  # type: ignore[misc]
        now = time.time()
        for each in made.sent.processes:
            assert each.signal is not None
            assert each.signal.time is not None
            assert abs(each.signal.time.timestamp() - now) < 60

    run(work())


def test_a_collector_that_was_away_for_long_has_to_tell_all_that_stands_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (made, dialled):
            said: list[str] = []
            for away in (0.0, AWAY, 0.0):
                for session in made.runtime.sessions:
                    session.ended -= away
                async with connected(dialled) as one:
                    await until(lambda one=one: bool(one.configs))  # type: ignore[misc]
                    said.append(one.configs[0].sensor)
                await until(lambda: all(each.tell is None for each in made.runtime.sessions))
            assert said[0] != said[1]
            assert said[1] == said[2]

    run(work())


def test_what_is_configured_is_told_at_once_and_when_it_changes(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (made, dialled), connected(dialled) as one:
            await until(lambda: len(one.configs) == 1)
            assert one.configs[0].sensor
            made.config = CollectorConfig(external_ips=True, networks=["203.0.113.0/24"])
            made.collectors.changed()
            await until(lambda: len(one.configs) == 2)
            assert list(one.configs[1].networks) == ["203.0.113.0/24"]

    run(work())


@pytest.mark.parametrize(("hostname", "instance"), [("", "x"), ("x", ""), ("x" * 300, "x"), ("x", "y" * 300)])
def test_a_stream_begins_with_who_it_is_of(tmp_path: Path, hostname: str, instance: str) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (made, dialled):
            with pytest.raises(UnreadableInput):
                await greeted(dialled, CollectorHello(hostname=hostname, instance=instance))
            assert made.runtime.sessions == []

    run(work())


@pytest.mark.parametrize("rubbish", [b"", b"{", b"\xff" * 1000, b"\x91" * 5000, b"[]"])
def test_what_cannot_be_read_is_counted_or_refused_and_hurts_nobody(tmp_path: Path, rubbish: bytes) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (made, dialled):
            async with connected(dialled) as one:
                await one.call.send_message(FromCollector(number=1, events=rubbish))
                await one.send(2, "after")
                await until(lambda: one.acknowledged == 2)
                await one.call.send_message(FromCollector(health=rubbish))
            async with connected(dialled, hostname="node-2") as other:
                await other.send(1, "other")
                await until(lambda: other.acknowledged == 1)
            assert [e.signal.args for e in made.sent.processes if e.signal] == ["after", "other"]

    run(work())


def test_others_are_not_served(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path, Service.ADMISSION_CONTROL) as (_, dialled):
            with pytest.raises(Refused), dialled.told():
                await CollectorsStub(dialled).GetProbe(GetProbeRequest(kernel="5", version="1"))

    run(work())


def test_how_collectors_are_is_put_together() -> None:
    class One:
        def __init__(self, node: str, *, there: bool = True, **health: Any) -> None:
            self.node, self.version, self.ahead = node, "1", 0
            self.tell = (lambda: None) if there else None
            self.health = CollectorHealth(**health)

    good = One("a", method="core_bpf")
    assert collectors_health([], 3).status == "UNAVAILABLE"  # type: ignore[arg-type]
    whole = collectors_health([good], 1)  # type: ignore[list-item]
    assert (whole.status, whole.method, whole.ready, whole.desired) == ("HEALTHY", "core_bpf", 1, 1)
    noticed = collectors_health([One("a", method="core_bpf", missed={"on_exec": 1}, limited=2)], 1)  # type: ignore[list-item]
    assert (noticed.status, len(noticed.problems)) == ("HEALTHY", 2)
    worse = One("b", method="proc_connector", degraded="without BPF", lost=[{"exec": 2}], dropped={"flow": 3})
    told = collectors_health([good, worse, One("c", there=False)], 4)  # type: ignore[list-item]
    assert (told.status, told.method, told.ready, told.desired) == (
        "DEGRADED",
        "core_bpf, proc_connector",
        2,
        4,
    )
    assert told.problems == (
        "b: without BPF",
        "2 records found no room in the ring of a node",
        "3 events found no room while they waited for the Sensor",
        "2 of 4 nodes have no Collector that is connected",
    )
