"""The spool: what was appended arrives, once, in order, whatever is killed or torn; what does not fit is counted."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt import tasks
from redoubt.errors import UsageError
from redoubt.sensor.stream.spool import Spool, count_of
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: 100,000 characters that no compression makes smaller than 50,000 bytes.
NOISE = "".join(hashlib.sha512(str(each).encode()).hexdigest() for each in range(790))[:100_000]


def _message(text: str = "x") -> pb.FromSensor:
    return pb.FromSensor(records=pb.Records(records=text.encode()))


def _with(folder: Path, work: Callable[[Spool], Coroutine[Any, Any, None]], limit: int = 1 << 30) -> Spool:
    async def run() -> Spool:
        spool = Spool(folder, limit)
        spool.open()
        writing = asyncio.create_task(spool.run())
        try:
            await asyncio.wait_for(work(spool), 20)
        finally:
            await tasks.end(writing)
            spool.close()
        return spool

    return asyncio.run(run())


async def _all(spool: Spool, after: int, count: int) -> list[pb.FromSensor]:
    reader, found = spool.reader(after), []
    while len(found) < count:
        found += [pb.FromSensor.FromString(data) for _, data in await reader.next()]
    return found


def test_what_was_appended_is_read_in_order_with_its_numbers(tmp_path: Path) -> None:
    async def work(spool: Spool) -> None:
        numbers = [spool.append("flows", _message(str(each))) for each in range(1000)]
        assert numbers == list(range(1, 1001))
        found = await _all(spool, 0, 1000)
        assert [each.number for each in found] == numbers
        assert [each.records.records for each in found] == [str(each).encode() for each in range(1000)]

    _with(tmp_path, work)


def test_it_is_there_after_a_restart_and_numbers_go_on(tmp_path: Path) -> None:
    async def first(spool: Spool) -> None:
        await spool.durable(spool.append("alerts", _message("one")))

    async def second(spool: Spool) -> None:
        assert spool.append("alerts", _message("two")) == 2
        found = await _all(spool, 0, 2)
        assert [each.records.records for each in found] == [b"one", b"two"]

    before = _with(tmp_path, first)
    after = _with(tmp_path, second)
    assert before.identifier == after.identifier


@pytest.mark.parametrize("cut", [1, 5, 16, 17, 20])
def test_a_record_that_was_torn_off_is_cut_away_and_its_number_given_again(tmp_path: Path, cut: int) -> None:
    async def first(spool: Spool) -> None:
        await spool.durable(max(spool.append("alerts", _message(each)) for each in ("one", "two")))

    async def second(spool: Spool) -> None:
        assert spool.append("alerts", _message("again")) == 2
        found = await _all(spool, 0, 2)
        assert [each.records.records for each in found] == [b"one", b"again"]

    _with(tmp_path, first)
    (path,) = tmp_path.glob("*.spool")
    path.write_bytes(path.read_bytes()[:-cut])
    _with(tmp_path, second)


def test_rubbish_at_the_end_is_cut_away(tmp_path: Path) -> None:
    async def first(spool: Spool) -> None:
        await spool.durable(spool.append("alerts", _message("one")))

    async def second(spool: Spool) -> None:
        assert [each.records.records for each in await _all(spool, 0, 1)] == [b"one"]
        assert spool.append("alerts", _message("two")) == 2

    _with(tmp_path, first)
    (path,) = tmp_path.glob("*.spool")
    path.write_bytes(path.read_bytes() + b"\xff" * 4000)
    _with(tmp_path, second)


def test_acknowledged_segments_go_and_the_numbering_stays(tmp_path: Path) -> None:
    async def work(spool: Spool) -> None:
        last = 0
        for _ in range(40):
            last = spool.append("flows", _message(NOISE))
            await spool.durable(last)
        there = spool.size
        spool.acknowledge(last)
        assert spool.waiting == 0
        assert spool.size < there / 4

    async def again(spool: Spool) -> None:
        assert spool.append("flows", _message()) == 41

    _with(tmp_path, work, limit=1 << 20)
    _with(tmp_path, again, limit=1 << 20)


def test_beyond_the_bound_the_oldest_is_dropped_and_counted(tmp_path: Path) -> None:
    async def work(spool: Spool) -> None:
        for kind in ("flows", "processes"):
            for _ in range(40):
                await spool.durable(spool.append(kind, _message(NOISE)))
        assert spool.size <= 1 << 20
        assert spool.dropped["flows"] == 40
        assert spool.dropped["processes"] > 10
        left = 80 - sum(spool.dropped.values())
        assert spool.waiting == left
        found = await _all(spool, spool.acknowledged, left)
        assert [each.number for each in found] == list(range(81 - left, 81))

    _with(tmp_path, work, limit=1 << 20)


def test_what_is_dropped_is_counted_one_by_one_and_not_what_central_has(tmp_path: Path) -> None:
    def batch(number: int) -> pb.FromSensor:
        return pb.FromSensor(records=pb.Records(records=msgspec.msgpack.encode([NOISE[:200]] * number)))

    async def before(spool: Spool) -> None:
        for number in range(1, 301):
            await spool.durable(spool.append("processes", batch(number)))
        spool.acknowledge(3)

    async def after(spool: Spool) -> None:
        spool.acknowledge(3)
        kept = 0
        while not spool.dropped:
            await spool.durable(spool.append("flows", _message(NOISE)))
        # Numbers are how many there were in each.
        assert spool.dropped["processes"] == sum(range(4, spool.acknowledged + 1))
        for each in await _all(spool, spool.acknowledged, 300 - spool.acknowledged):
            kept += len(msgspec.msgpack.decode(each.records.records)) if each.number <= 300 else 0
        assert kept + spool.dropped["processes"] == sum(range(4, 301))

    _with(tmp_path, before, limit=1 << 20)
    _with(tmp_path, after, limit=1 << 20)


@pytest.mark.parametrize("number", [0, 1, 15, 16, 65_535, 65_536])
def test_how_many_there_are_in_a_message(number: int) -> None:
    records = pb.FromSensor(records=pb.Records(records=msgspec.msgpack.encode([0] * number)))
    assert count_of(records) == number
    assert count_of(pb.FromSensor(alerts=pb.AlertResults(alerts=b"[]"))) == 1
    assert count_of(_message("what is no list")) == 1


def test_a_reader_passes_over_what_was_dropped_meanwhile(tmp_path: Path) -> None:
    async def work(spool: Spool) -> None:
        reader = spool.reader(0)
        await spool.durable(spool.append("flows", _message(NOISE)))
        await reader.next()
        for _ in range(60):
            await spool.durable(spool.append("flows", _message(NOISE)))
        found: list[int] = []
        while not found or found[-1] < 61:
            found += [number for number, _ in await reader.next()]
        assert found == list(range(found[0], 62))
        assert found[0] > 2

    _with(tmp_path, work, limit=1 << 20)


def test_central_that_knows_more_than_there_is_makes_a_new_numbering(tmp_path: Path) -> None:
    async def work(spool: Spool) -> None:
        before = spool.identifier
        assert spool.agree(0)
        assert not spool.agree(7)
        assert spool.identifier != before

    _with(tmp_path, work)


def test_an_end_while_the_disk_is_slow_loses_and_repeats_nothing(tmp_path: Path) -> None:
    async def ended() -> None:
        spool = Spool(tmp_path, 1 << 24)
        spool.open()
        usual, going_on = spool._put, threading.Event()
        entered = asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(segment: Any, data: bytes) -> None:
            loop.call_soon_threadsafe(entered.set)
            assert going_on.wait(20)
            usual(segment, data)

        spool._put = slow  # type: ignore[method-assign]
        writing = asyncio.create_task(spool.run())
        try:
            for each in range(5):
                spool.append("flows", _message(str(each)))
            await asyncio.wait_for(entered.wait(), 20)
            for each in range(5, 10):
                spool.append("flows", _message(str(each)))
            writing.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
        finally:
            going_on.set()
            await tasks.end(writing)
            spool.close()

    async def work(spool: Spool) -> None:
        assert spool.append("flows", _message("after")) == 11
        found = await _all(spool, 0, 11)
        assert [each.number for each in found] == list(range(1, 12))
        assert [each.records.records for each in found[:10]] == [str(each).encode() for each in range(10)]

    asyncio.run(ended())
    _with(tmp_path, work)


def test_two_sensors_do_not_share_a_spool(tmp_path: Path) -> None:
    async def work(_: Spool) -> None:
        with pytest.raises(UsageError, match="another Sensor"):
            Spool(tmp_path, 1 << 20).open()

    _with(tmp_path, work)


def test_a_disk_that_cannot_be_written_is_said_and_what_waits_is_bounded(tmp_path: Path) -> None:
    async def work(spool: Spool) -> None:
        def full(segment: object, data: bytes) -> None:
            raise OSError(28, "No space left on device")

        usual, spool._put = spool._put, full  # type: ignore[method-assign]
        accepted = [spool.append("flows", _message(NOISE * 20)) for _ in range(60)]
        assert accepted.count(0) == spool.dropped["flows"] > 20
        while not spool.problem:
            await asyncio.sleep(0.01)
        assert "No space left" in spool.problem
        spool._put = usual  # type: ignore[method-assign]
        await spool.durable(max(accepted))
        assert len(await _all(spool, 0, max(accepted))) == max(accepted)

    _with(tmp_path, work)
