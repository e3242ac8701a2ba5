"""Sets of ports, against sets of numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from redoubt.networkpolicies.ports import (
    ANYTHING,
    NOTHING,
    Ports,
    difference,
    intersection,
    ports,
    together,
    union,
)

_RANGE = st.builds(
    lambda protocol, first, length: ports(protocol, first, first + length),
    st.sampled_from(["TCP", "UDP"]),
    st.integers(0, 12),
    st.integers(0, 5),
)
_PORTS = st.lists(_RANGE, max_size=4).map(together)


def _numbers(these: Ports) -> set[tuple[int, int]]:
    return {(protocol, port) for protocol, first, last in these for port in range(first, last + 1)}


@given(_PORTS, _PORTS)
def test_they_are_what_sets_of_numbers_would_be(one: Ports, other: Ports) -> None:
    assert _numbers(union(one, other)) == _numbers(one) | _numbers(other)
    assert _numbers(intersection(one, other)) == _numbers(one) & _numbers(other)
    assert _numbers(difference(one, other)) == _numbers(one) - _numbers(other)


@given(_PORTS, _PORTS)
def test_one_set_is_written_in_one_way(one: Ports, other: Ports) -> None:
    for found in (union(one, other), intersection(one, other), difference(one, other)):
        assert list(found) == sorted(found)
        for before, after in pairwise(found):
            assert before[0] != after[0] or before[2] + 1 < after[1]


def test_anything_is_more_than_all_ports_of_all_protocols() -> None:
    named = together(ports(each) for each in ("TCP", "UDP", "SCTP"))
    assert named != ANYTHING
    assert union(named, ANYTHING) == together([named, ANYTHING]) == ANYTHING
    assert intersection(named, ANYTHING) == named
    assert difference(named, ANYTHING) == difference(ANYTHING, ANYTHING) == NOTHING
    assert difference(ANYTHING, named) == ANYTHING
    assert difference(named, named) == NOTHING
