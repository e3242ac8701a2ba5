from __future__ import annotations

import msgspec

from redoubt.collector.outbox import BATCH, Outbox
from redoubt.model.noderecords import Endpoint, Loss, Process, Told


def process(number: int = 0, *arguments: str) -> Process:
    return Process(
        time=number,
        container="a" * 64,
        pid=number,
        parent=1,
        uid=0,
        gid=0,
        name="x",
        path="/x",
        arguments=arguments,
    )


def endpoint() -> Endpoint:
    return Endpoint(time=0, protocol="tcp", address="::", port=80, state="open")


def events(outbox: Outbox, after: int = 0) -> list[Told]:
    found: list[Told] = []
    while (batch := outbox.after(after)) is not None:
        found += msgspec.msgpack.decode(batch.data, type=list[Told])
        after = batch.number
    return found


def test_events_come_out_as_they_went_in_in_numbered_batches() -> None:
    ready: list[int] = []
    outbox = Outbox(1 << 20, lambda: ready.append(1))
    for number in range(BATCH + 1):
        outbox.put(process(number, "x", "y\n\x1b[2J"))
    assert len(ready) == 1
    outbox.seal()
    assert [each.time for each in events(outbox)] == list(range(BATCH + 1))
    assert [batch.number for batch in (outbox.after(0), outbox.after(1)) if batch] == [1, 2]
    assert outbox.after(2) is None


def test_nothing_makes_no_batch() -> None:
    outbox = Outbox(1 << 20)
    outbox.seal()
    assert outbox.after(0) is None


def test_what_is_acknowledged_is_gone_and_the_rest_is_sent_again() -> None:
    outbox = Outbox(1 << 20)
    for number in range(3):
        outbox.put(process(number))
        outbox.seal()
    outbox.acknowledge(2)
    assert [each.time for each in events(outbox)] == [2]
    outbox.acknowledge(3)
    assert outbox.after(0) is None
    assert outbox.bytes == 0


def test_where_there_is_no_room_the_oldest_go_and_are_counted() -> None:
    outbox = Outbox(20_000)
    for number in range(100):
        outbox.put(process(number, "x", "y" * 1000))
        outbox.put(endpoint())
        outbox.seal()
    assert outbox.bytes <= 20_000
    kept = [each for each in events(outbox) if isinstance(each, Process)]
    assert kept[-1].time == 99
    assert outbox.dropped == {"process": 100 - len(kept), "endpoint": 100 - len(kept)}


def test_what_was_dropped_is_told_once_and_told_again_where_that_is_dropped_too() -> None:
    outbox = Outbox(20_000)
    total = 200
    for number in range(total):
        outbox.put(process(number, "x", "y" * 1000))
        outbox.seal()
    outbox.seal()
    said = events(outbox)
    lost = sum(each.lost["process"] for each in said if isinstance(each, Loss))
    kept = sum(isinstance(each, Process) for each in said)
    assert lost + kept == total


def test_what_is_on_its_way_is_not_dropped_and_not_counted_as_lost() -> None:
    outbox = Outbox(20_000)
    arrived: list[Told] = []
    for number in range(200):
        outbox.put(process(number, "x", "y" * 1000))
        outbox.seal()
        if number % 10 == 0 and (batch := outbox.after(outbox._sent)) is not None:
            # Taken at once, and acknowledged only later.
            arrived += msgspec.msgpack.decode(batch.data, type=list[Told])
        if number % 50 == 49:
            outbox.acknowledge(outbox._sent)
    assert outbox.bytes <= 20_000
    arrived += events(outbox, outbox._sent)
    outbox.seal()
    arrived += events(outbox, outbox._sent)
    there = [each.time for each in arrived if isinstance(each, Process)]
    assert there == sorted(set(there))
    lost = sum(each.lost["process"] for each in arrived if isinstance(each, Loss))
    assert len(there) + lost == 200
    assert outbox.dropped == {"process": lost}


def test_a_sensor_that_acknowledges_nothing_takes_no_more_memory() -> None:
    outbox = Outbox(20_000)
    for number in range(100):
        outbox.put(process(number, "x", "y" * 1000))
        outbox.seal()
        outbox.after(number)
    assert outbox.bytes <= 20_000
    assert outbox.dropped["process"] > 50


def test_heavy_events_make_small_batches() -> None:
    outbox = Outbox(32 << 20)
    for number in range(BATCH):
        outbox.put(process(number, "x" * 4000))
    batch = outbox.after(0)
    assert batch is not None
    assert len(batch.data) < 600 << 10
