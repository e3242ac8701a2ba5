"""The stream to Central: what is said on it, in which order, and what is not said again. Central is a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from redoubt import tasks
from redoubt.model.cluster import Identification
from redoubt.sensor.cluster.changes import Change
from redoubt.sensor.conversion import objects
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.stream import link as links
from redoubt.sensor.stream.link import Link
from redoubt.sensor.stream.spool import Spool
from redoubt.wire.channel import channel
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.hub import StandIn, listening
from support.wire import Certificates, run


class Hearing:
    """Remembers what Central said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def welcome(self, message: pb.Welcome) -> None:
        self.said.append("welcome")

    async def hear(self, message: pb.ToSensor) -> None:
        self.said.append(message.WhichOneof("message") or "")

    async def synced(self, *, forgotten: bool) -> None:
        self.said.append(f"synced {forgotten}")

    async def away(self) -> None:
        self.said.append("away")


class Given:
    """A link and both its ends."""

    def __init__(self, folder: Path) -> None:
        self.certificates = Certificates(folder)
        self.central = StandIn()
        self.inventory = Inventory()
        self.spool = Spool(folder / "spool", 1 << 24)
        self.hearing = Hearing()
        self.link: Link

    def put(self, name: str, **labels: str) -> None:
        given = {"metadata": {"uid": name, "name": name, "labels": labels}}
        self._take(Change("Namespace", name, objects.namespace(given)))

    def lose(self, name: str) -> None:
        self._take(Change("Namespace", name))

    def _take(self, change: Change) -> None:
        self.inventory.apply(change)
        for key in self.inventory.drain().objects:
            self.link.mark(key)


def _with(
    folder: Path, work: Callable[[Given], Coroutine[Any, Any, None]], central: StandIn | None = None
) -> None:
    async def running() -> None:
        given = Given(folder)
        given.central = central or given.central
        given.spool.open()
        async with listening(given.central, given.certificates) as port:
            ours = given.certificates.material(Service.SENSOR)
            to_central = channel(f"127.0.0.1:{port.port}", ours, [Service.CENTRAL])
            ready = asyncio.Event()
            ready.set()
            given.link = Link(
                to_central,
                given.inventory,
                given.spool,
                given.hearing,
                ready=ready,
                identification=Identification(k8s_version="v1.99"),
                cluster_name="ward",
                first=0.05,
                longest=0.1,
            )
            given.put("first")
            work_of_it = [asyncio.create_task(given.link.run()), asyncio.create_task(given.spool.run())]
            try:
                await work(given)
            finally:
                await tasks.end(*work_of_it)
                to_central.close()
                given.spool.close()

    run(running())


def test_central_says_what_to_decide_by_before_it_is_told_anything(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        await given.central.until("a sync", lambda: given.central.synced)
        await given.central.until("its end", lambda: "synced True" in given.hearing.said)
        assert given.hearing.said == ["welcome", "config", "policies", "baselines", "synced True"]
        (hello,) = given.central.hellos
        assert hello.cluster_name == "ward"
        assert not hello.reconnect
        assert msgspec.json.decode(hello.identification, type=Identification).k8s_version == "v1.99"

    _with(tmp_path, work)


def test_only_what_changes_is_said_and_what_goes_is_removed(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        central = given.central
        await central.until("a sync", lambda: given.link.synced)
        assert central.sent_objects == 1
        given.put("first")
        given.put("second", team="a")
        await central.until("the second", lambda: central.of("namespace", "second"))
        given.put("second", team="b")
        await central.until(
            "its label", lambda: central.of("namespace", "second")[0]["labels"] == {"team": "b"}
        )
        given.lose("first")
        await central.until("the first's end", lambda: not central.of("namespace", "first"))
        assert central.sent_objects == 4

    _with(tmp_path, work)


def test_what_changes_while_central_is_away_is_said_when_it_is_back_and_not_kept(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        central = given.central
        await central.until("a sync", lambda: given.link.synced)
        given.put("second")
        await central.until("the second", lambda: central.of("namespace", "second"))
        given.link.connected = False
        for each in range(100):
            given.put(f"passing-{each}")
            given.lose(f"passing-{each}")
        given.put("second", team="b")
        given.put("third")
        given.lose("first")
        assert not given.link._changed

    async def back(given: Given) -> None:
        given.put("second", team="b")
        given.put("third")
        given.lose("first")
        assert not given.link._changed
        there = {("namespace", "second"), ("namespace", "third")}
        await given.central.until("all that there is", lambda: set(given.central.objects) == there)
        assert given.central.of("namespace", "second")[0]["labels"] == {"team": "b"}

    central = StandIn()
    _with(tmp_path / "a", work, central)
    _with(tmp_path / "b", back, central)


def test_what_central_has_is_not_sent_again_and_named_as_unchanged(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        central = given.central
        await central.until("a sync", lambda: given.link.synced)
        given.put("second")
        await central.until("the second", lambda: central.of("namespace", "second"))
        central.sent_objects = 0
        await central._streams[0].cancel()
        given.lose("first")
        await central.until("another sync", lambda: len(central.synced) == 2)
        assert central.sent_objects == 0
        assert [(each.kind, list(each.ids)) for each in central.synced[1].unchanged] == [
            ("namespace", ["second"])
        ]
        assert not central.of("namespace", "first")
        assert central.hellos[1].reconnect
        assert "away" in given.hearing.said

    _with(tmp_path, work)


def test_what_is_spooled_arrives_after_the_objects_and_once(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        central = given.central
        for each in range(50):
            given.spool.append("flows", pb.FromSensor(records=pb.Records(records=str(each).encode())))
        await central.until("all of it", lambda: len(central.records) == 50)
        assert central.synced
        await central.until("acknowledgements", lambda: given.spool.waiting == 0)
        await central._streams[0].cancel()
        await central.until("another sync", lambda: len(central.synced) == 2)
        given.spool.append("flows", pb.FromSensor(records=pb.Records(records=b"late")))
        await central.until("the late one", lambda: len(central.records) == 51)
        assert central.twice == 0
        assert [each.records for each in central.records] == [
            *(str(each).encode() for each in range(50)),
            b"late",
        ]

    _with(tmp_path, work)


def test_a_central_whose_database_is_newer_than_the_spool_gets_another_numbering(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        await given.central.until("a sync", lambda: given.link.synced)
        first, second = given.central.hellos[0].spool, given.central.hellos[-1].spool
        assert first != second
        given.spool.append("flows", pb.FromSensor(records=pb.Records(records=b"one")))
        await given.central.until("a record", lambda: given.central.records)

    central = StandIn()
    central.numbers = _Knowing()
    _with(tmp_path, work, central)


class _Knowing(dict[str, int]):
    """Numbers of a Central that has had 1,000 messages of the first numbering that it sees."""

    def setdefault(self, key: str, default: int = 0, /) -> int:
        if key not in self:
            self[key] = 1000 if not self else default
        return self[key]


def test_what_is_of_the_moment_is_lost_while_central_is_away(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        given.link.tell(pb.FromSensor(health=pb.ClusterHealth(health=b'"early"')))
        await given.central.until("a sync", lambda: given.link.synced)
        given.link.tell(pb.FromSensor(health=pb.ClusterHealth(health=b'"late"')))
        await given.central.until("health", lambda: given.central.health)
        assert given.central.health == ["late"]

    _with(tmp_path, work)


def test_an_answer_waits_for_central(tmp_path: Path) -> None:
    async def work(given: Given) -> None:
        given.link.tell(pb.FromSensor(answer=pb.Answer(request_id="before")))
        await given.central.until("a sync", lambda: given.central.synced)
        await given.central.until("the answer", lambda: given.central.answers.get("before"))
        # One that is told while the stream is left for another certificate's.
        given.link.again()
        await given.central.until("the end", lambda: given.central.hellos[1:] or given.link._sending.locked())
        given.link.tell(pb.FromSensor(answer=pb.Answer(request_id="meanwhile")))
        await given.central.until("another stream", lambda: given.central.hellos[1:])
        await given.central.until("the answer", lambda: given.central.answers.get("meanwhile"))

    _with(tmp_path, work)


def test_what_is_too_large_for_a_message_is_counted_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_LARGEST", 5000)

    async def work(given: Given) -> None:
        await given.central.until("a sync", lambda: given.link.synced)
        given.spool.append("flows", pb.FromSensor(records=pb.Records(records=b"x" * 6000)))
        given.spool.append("flows", pb.FromSensor(records=pb.Records(records=b"small")))
        await given.central.until("the small one", lambda: given.central.records)
        assert given.link.lost == {"messages too large": 1}
        assert len(given.central.hellos) == 1

    _with(tmp_path, work)


def test_identifiers_that_do_not_fit_into_one_message_are_sent_as_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_UNCHANGED", 25)

    async def work(given: Given) -> None:
        central = given.central
        await central.until("a sync", lambda: given.link.synced)
        for each in range(10):
            given.put(f"name-{each}")
        await central.until("all", lambda: len(central.of("namespace")) == 11)
        await central._streams[0].cancel()
        await central.until("another sync", lambda: len(central.synced) == 2)
        assert len(central.of("namespace")) == 11
        named = sum(len(each.ids) for each in central.synced[1].unchanged)
        assert 0 < named < 11

    _with(tmp_path, work)


class Odd(StandIn):
    """A Central that does something else the first times."""

    def __init__(self, first: pb.ToSensor | GRPCError | None) -> None:
        super().__init__()
        self.first = first
        self.calls = 0

    async def Communicate(self, stream: Any) -> None:
        self.calls += 1
        if self.calls > 2:
            await super().Communicate(stream)
            return
        await stream.recv_message()
        if isinstance(self.first, GRPCError):
            raise self.first
        if self.first is not None:
            await stream.send_message(self.first)

    Communicate.__callers__ = frozenset({Service.SENSOR})  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "first",
    [
        None,
        pb.ToSensor(),
        pb.ToSensor(acknowledged=7),
        pb.ToSensor(welcome=pb.Welcome()),
        GRPCError(Status.ALREADY_EXISTS, "another Sensor is connected"),
        GRPCError(Status.FAILED_PRECONDITION, "deleted"),
    ],
)
def test_a_central_that_says_something_else_is_called_again(tmp_path: Path, first: Any) -> None:
    async def work(given: Given) -> None:
        await given.central.until("a sync", lambda: given.link.synced)
        assert given.link.problem == ""

    _with(tmp_path, work, Odd(first))
