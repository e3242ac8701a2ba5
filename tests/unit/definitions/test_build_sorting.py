"""Sorting in bounded memory gives what sorting in memory gives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions.sorting import Sorter, merged

pairs = st.lists(
    st.tuples(st.sampled_from([b"a", b"an\0x", b"an\0y", b"am\0x", b"v1"]), st.binary(max_size=4)),
    max_size=40,
)


def joined(key: bytes, values: list[bytes]) -> bytes:
    assert len(values) > 1
    assert values == sorted(set(values))
    return b"+".join(values)


@settings(max_examples=80, deadline=None)
@given(pairs, st.sampled_from([0, 200, 2000, 1 << 20]), st.sampled_from([0, 1 << 20]))
def test_records_come_out_in_order_and_once_whatever_the_budget(
    items: list[tuple[bytes, bytes]], budget: int, keep: int
) -> None:
    with Sorter(lambda key, values: max(values), budget=budget) as sorter:
        for key, value in items:
            sorter.add(key, value)
        part = sorter.finish(keep=keep)
    greatest: dict[bytes, bytes] = {}
    for key, value in items:
        greatest[key] = max(value, greatest.get(key, b""))
    assert list(part.records()) == sorted(greatest.items())
    assert list(part.records()) == sorted(greatest.items())
    assert part.groups == Counter(key.split(b"\0")[0] if b"\0" in key else key[:1] for key in greatest)
    part.close()


def test_records_larger_than_what_is_read_at_once_survive_the_disk(tmp_path: Path) -> None:
    big = bytes(5 << 20)
    with Sorter(joined, budget=0, temporary=tmp_path) as sorter:
        for key in (b"b", b"a"):
            sorter.add(key, big)
        part = sorter.finish()
    assert [(key, len(value)) for key, value in part.records()] == [(b"a", 5 << 20), (b"b", 5 << 20)]
    assert list(tmp_path.iterdir()) == []
    part.close()


def test_equal_values_are_not_merged_and_different_ones_are_in_order() -> None:
    parts = [[(b"k", b"2"), (b"z", b"1")], [(b"k", b"1")], [(b"k", b"2")], [(b"z", b"1")]]
    assert list(merged(parts, joined)) == [(b"k", b"1+2"), (b"z", b"1")]
    assert list(merged([], joined)) == []
