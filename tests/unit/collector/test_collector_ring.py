from __future__ import annotations

import mmap
from collections.abc import Iterator

import pytest

from redoubt.collector.ring import Ring
from support.rings import Written


@pytest.fixture
def written() -> Iterator[Written]:
    made = Written()
    yield made
    made.close()


@pytest.fixture
def ring(written: Written) -> Iterator[Ring]:
    made = Ring(written.descriptor, written.size)
    yield made
    made.close()


def read(ring: Ring) -> list[bytes]:
    return [bytes(each) for each in ring.records()]


def test_records_are_read_once_and_in_their_order(ring: Ring, written: Written) -> None:
    assert read(ring) == []
    written.write(b"one")
    written.write(b"")
    written.write(b"eight by")
    assert ring.waiting == 16 + 8 + 16
    assert read(ring) == [b"one", b"", b"eight by"]
    assert (read(ring), ring.waiting, written.read) == ([], 0, 40)


def test_reading_stops_at_what_is_not_finished(ring: Ring, written: Written) -> None:
    written.write(b"one")
    written.write(b"two", flags=1 << 31)
    written.write(b"three")
    assert read(ring) == [b"one"]
    assert written.read == 16


def test_what_was_taken_back_is_passed_over(ring: Ring, written: Written) -> None:
    written.write(b"one", flags=1 << 30)
    written.write(b"two")
    assert read(ring) == [b"two"]


def test_a_reader_that_stops_half_way_goes_on_there(ring: Ring, written: Written) -> None:
    for each in (b"one", b"two", b"three"):
        written.write(each)
    reading = ring.records()
    assert bytes(next(reading)) == b"one"
    reading.close()
    assert read(ring) == [b"two", b"three"]


def test_the_ring_goes_round(ring: Ring, written: Written) -> None:
    for number in range(1000):
        written.write(b"%024d" % number)  # 32 bytes with its header, so that none reaches over the end
        assert read(ring) == [b"%024d" % number]
    assert written.read == 32_000 > 7 * mmap.PAGESIZE


def test_room_is_given_back_while_reading(ring: Ring, written: Written) -> None:
    for number in range(100):
        written.write(b"%024d" % number)
    reading = ring.records()
    for _ in range(50):
        next(reading)
    assert 1024 <= written.read <= 1600
    reading.close()
