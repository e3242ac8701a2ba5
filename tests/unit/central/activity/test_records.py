"""Records as rows: each once, whatever a stranger's process is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.central.activity import records
from redoubt.central.activity.blocks import Block, Blocks
from redoubt.central.activity.receiving import _processes, peer_of, read
from redoubt.model.cluster import EndpointRecord, Entity, FlowRecord
from redoubt.model.happening import Ancestor, Process, ProcessSignal

NOW = datetime(2026, 6, 1, tzinfo=UTC)
A = UUID(int=1)
SECOND = 10**9
THEN = int(NOW.timestamp()) * SECOND - 3600 * SECOND


def process(after: int = 0, **signal: Any) -> Process:
    given = {
        "exec_file_path": "/bin/sh",
        "time": NOW - timedelta(hours=1) + timedelta(seconds=after),
        **signal,
    }
    return Process(id="p", deployment_id="d", pod_uid="u", container_name="c", signal=ProcessSignal(**given))


def flow(after: int = 0, closed: int | None = None, **more: Any) -> FlowRecord:
    ends = {
        "source": Entity(type="DEPLOYMENT", id="a"),
        "destination": Entity(type="DEPLOYMENT", id="b"),
        "port": 80,
    }
    return FlowRecord(
        **{**ends, **more},
        seen=THEN + after * SECOND,
        closed=None if closed is None else THEN + closed * SECOND,
    )


def test_the_same_process_is_one_row() -> None:
    (row,) = records.processes(A, [process(5), process(1), process(9)], NOW)
    assert row.times == 3
    assert (row.last_seen - row.first_seen).seconds == 8
    assert (
        len(
            records.processes(
                A, [process(args="a"), process(args="b"), process(exec_file_path="/bin/a")], NOW
            )
        )
        == 3
    )


def test_moments_of_a_clock_that_is_wrong_are_put_right() -> None:
    for hours in (-24 * 9, -1, 1, 48):
        ahead, by = hours * 3600 * SECOND, timedelta(hours=hours)
        (row,) = records.processes(A, [process(time=NOW - timedelta(hours=1) + by)], NOW, ahead)
        assert row.first_seen == NOW - timedelta(hours=1)
        told = flow(closed=60)
        wrong = msgspec.structs.replace(told, seen=told.seen + ahead, closed=(told.closed or 0) + ahead)
        assert records.flows(A, [wrong], NOW, ahead) == records.flows(A, [told], NOW)
    # It was put right meanwhile: what it told before is not from the future.
    (row,) = records.processes(A, [process()], NOW, -10 * 3600 * SECOND)
    assert row.first_seen == NOW
    (row,) = records.processes(A, [process(time=datetime.max.replace(tzinfo=UTC))], NOW, -SECOND * 10**6)
    assert row.first_seen == NOW


def test_where_one_text_ends_is_told_from_where_the_next_begins() -> None:
    assert records.digest(b"", "ab", "c") != records.digest(b"", "a", "bc")
    assert records.digest(b"", "") != records.digest(b"")


def test_hostile_processes_are_kept_shorter_and_apart() -> None:
    long = "x" * 128 * 1024
    rows = records.processes(
        A,
        [
            process(args=long + "1"),
            process(args=long + "2"),
            process(args="a\x00b"),
            process(args="a\ufffdb"),
            process(args="\x1b[2J\n", pid=2**63 - 1, uid=-5),
            process(args="z", lineage_info=(Ancestor(parent_exec_file_path=long),) * 100),
            process(10**6, args="later"),
        ],
        NOW,
    )
    assert len(rows) == 7
    assert all("\x00" not in row.args and len(row.args) <= records.MOST_ARGUMENTS for row in rows)
    assert all(len(row.lineage) < 20_000 and row.uid >= 0 and row.last_seen <= NOW for row in rows)


@pytest.mark.parametrize(
    "path", ["/bin/" + "x" * 190, "\x01" * 200, '"' * 199 + "\x00", "é" * 4000, "x" * 20_000]
)
def test_as_many_ancestors_are_kept_as_there_is_room_for_and_can_be_read_again(path: str) -> None:
    given = tuple(Ancestor(parent_exec_file_path=path + str(at)) for at in range(25))
    (row,) = records.processes(A, [process(lineage_info=given)], NOW)
    kept = msgspec.json.decode(row.lineage, type=list[Ancestor])
    assert kept == list(given[: len(kept)])
    assert len(kept) <= 20
    assert len(kept) == 20 or len(row.lineage) + 6 * len(path) > 16_000


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.integers(1, 5000))
def test_as_much_of_a_path_is_kept_as_an_index_takes(part: str, times: int) -> None:
    path = part * times
    kept = records.path_of(path)
    assert len(kept.encode()) <= records.MOST_PATH
    plain = path.replace("\x00", "\ufffd")
    if len(plain.encode()) <= records.MOST_PATH:
        assert kept == plain
    else:
        assert kept.endswith("…")
        assert plain.startswith(kept[:-1])
        assert len(kept.encode()) > records.MOST_PATH - 4


def test_paths_that_differ_beyond_what_is_kept_are_told_apart() -> None:
    long = "/" + "é" * 2047
    rows = records.processes(A, [process(exec_file_path=long + end) for end in "12"], NOW)
    assert len({row.path for row in rows}) == 1
    assert len(rows) == 2


def test_more_than_a_sensor_would_send_at_once_is_not_even_read() -> None:
    number = 3_900_000
    found = read(b"\xdd" + number.to_bytes(4) + b"\x80" * number, _processes)
    assert found == ([], number)
    few = msgspec.msgpack.encode([process(), None, process(1)])
    several, spoilt = read(few, _processes)
    assert (len(several), spoilt) == (2, 1)
    # A list that says it has more than is there.
    assert read(b"\xdd" + (99_999).to_bytes(4) + b"\x80", _processes) == ([], 1)


def test_what_belongs_to_nobody_is_left_out() -> None:
    assert (
        records.processes(A, [Process(), Process(deployment_id="d"), process(exec_file_path="")], NOW) == []
    )
    assert (
        records.flows(
            A, [FlowRecord(source=Entity(), destination=Entity()), flow(port=70_000), flow(port=-1)], NOW
        )
        == []
    )
    assert records.endpoints(A, [EndpointRecord(), EndpointRecord(deployment_id="d")], NOW) == []


@given(st.permutations([flow(1), flow(3, closed=3), flow(2), flow(0, closed=0)]))
def test_what_was_told_of_a_flow_last_counts(given: list[FlowRecord]) -> None:
    (row,) = records.flows(A, given, NOW)
    assert row.closed == row.last_seen
    assert (row.last_seen - row.first_seen).seconds == 3


def test_what_ended_was_seen_until_then() -> None:
    (row,) = records.flows(A, [flow(5), flow(1, closed=6)], NOW)
    assert row.closed == row.last_seen
    (row,) = records.flows(A, [flow(7), flow(1, closed=6)], NOW)
    assert row.closed is None


def test_moments_that_are_none_are_now() -> None:
    for odd in (0, -1, 2**63, 10**30):
        assert records.moment(odd, NOW) == NOW


def test_the_smallest_block_counts() -> None:
    blocks = Blocks(
        [
            Block("1", "wide", "198.51.0.0/16"),
            Block("2", "near", "198.51.100.0/24"),
            Block("3", "six", "2001:db8::/32"),
        ]
    )
    assert [
        peer_of("INTERNET", each, blocks) for each in ("198.51.100.7", "198.51.1.1", "::ffff:198.51.1.1")
    ] == [
        ("EXTERNAL_SOURCE", "198.51.100.0/24"),
        ("EXTERNAL_SOURCE", "198.51.0.0/16"),
        ("EXTERNAL_SOURCE", "198.51.0.0/16"),
    ]
    assert peer_of("INTERNET", "2001:db8::1", blocks) == ("EXTERNAL_SOURCE", "2001:db8::/32")
    for outside in ("192.0.2.1", "", "no address", "2001:db9::1"):
        assert peer_of("INTERNET", outside, blocks) == ("INTERNET", "")
    assert peer_of("DEPLOYMENT", "d", blocks) == ("DEPLOYMENT", "d")


def test_a_network_is_in_a_block_that_has_all_of_it() -> None:
    blocks = Blocks([Block("1", "wide", "198.51.0.0/16"), Block("2", "near", "198.51.0.0/24")])
    assert [
        peer_of("EXTERNAL_SOURCE", each, blocks)
        for each in ("198.51.0.0/25", "198.51.0.0/24", "198.51.0.0/20")
    ] == [
        ("EXTERNAL_SOURCE", "198.51.0.0/24"),
        ("EXTERNAL_SOURCE", "198.51.0.0/24"),
        ("EXTERNAL_SOURCE", "198.51.0.0/16"),
    ]
    # One that was named when it was told of, and is no more.
    assert peer_of("EXTERNAL_SOURCE", "192.0.2.0/24", blocks) == ("EXTERNAL_SOURCE", "192.0.2.0/24")
    assert blocks.smallest("0.0.0.0/0") is None
