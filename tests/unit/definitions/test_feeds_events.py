"""OSV events become ranges as the schema's evaluation algorithm says, in whatever order they come."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions.feeds.events import Event, ranges_of
from redoubt.definitions.feeds.interface import SpoiltRecord
from redoubt.definitions.feeds.ranges import LAST, affected, tidy, uncovered
from redoubt.model import RangeFlag, Severity
from redoubt.versions import lenient_key
from redoubt.versions.ranges import within
from support.feeds import said

SHORT = {"i": "introduced", "f": "fixed", "l": "last_affected", "t": "limit"}


def events(text: str) -> list[Event]:
    """``"i0 f1.2"`` → introduced 0, fixed 1.2."""
    return [Event(**{SHORT[word[0]]: word[1:]}) for word in text.split()]


def ranges(text: str, scheme: str = "pypi") -> list[str]:
    return [said(item) for item in ranges_of(scheme, events(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("i0", ["[, )"]),
        ("i1.0", ["[1.0, )"]),
        ("i0 f2.0", ["[, 2.0) fixed"]),
        ("i1.0 l2.0", ["[1.0, 2.0]"]),
        ("i2.0 l2.0", ["[2.0, 2.0]"]),
        ("i0 f1.5 i2.0 f2.5", ["[, 1.5) fixed", "[2.0, 2.5) fixed"]),
        ("i0 f10.0 i11 f9.0", ["[, 9.0) fixed", "[11, )"]),  # after a first fix a second one is nothing
        ("i0 i1.0 f2.0", ["[, 2.0) fixed"]),
        ("i1.0 f1.0", []),
        ("i2.0 f1.0", ["[2.0, )"]),  # fixed before it was introduced: introduced again
        ("i0 f2.0 i2.0 f3.0", ["[, 2.0) fixed", "[2.0, 3.0) fixed"]),
        ("i0 l2.0 i2.0 f3.0", ["[, 2.0]", "[2.0, 3.0) fixed"]),
        ("i0 f2.0 l3.0", ["[, 2.0) fixed"]),
        ("i0 t3.0", ["[, 3.0)"]),
        ("i0 t*", ["[, )"]),
        ("i0 t2.0 t3.0 f4.0", ["[, 3.0)"]),
        ("i0 t3.0 f2.0", ["[, 2.0) fixed"]),
        ("i0 t2.0 f2.0", ["[, 2.0) fixed"]),
        ("i0 t2.0 l2.0", ["[, 2.0)"]),
        ("i0 f1.0 i5.0 f6.0 t3.0", ["[, 1.0) fixed"]),
    ],
)
def test_events_in_every_order_give_the_same_ranges(text: str, expected: list[str]) -> None:
    for order in itertools.permutations(text.split()):
        assert ranges(" ".join(order)) == expected


@pytest.mark.parametrize("text", ["", "f1.0", "l1.0", "t*", "f1.0 l2.0", "i0 f", "i0 l", "i0 t"])
def test_events_that_say_nothing_usable_spoil_the_record(text: str) -> None:
    with pytest.raises(SpoiltRecord):
        ranges(text)


def test_one_event_object_may_hold_several_events() -> None:
    both = [Event(introduced="0", fixed="1.0")]
    assert [said(item) for item in ranges_of("pypi", both)] == ["[, 1.0) fixed"]


def test_events_are_sorted_by_the_scheme_and_not_as_text() -> None:
    assert ranges("i1.10.0 f1.2.0 i0", "npm") == ["[, 1.2.0) fixed", "[1.10.0, )"]


def test_versions_outside_the_grammar_are_kept_as_inexact() -> None:
    assert ranges("i0 fnot-a-version!") == ["[, not-a-version!) fixed inexact"]


@pytest.mark.parametrize("text", ["1.0\n", "1\0", "1" * 2000, "1.\u202e0"])
def test_text_that_is_no_version_at_all_spoils_the_record(text: str) -> None:
    with pytest.raises(SpoiltRecord, match="not a version"):
        ranges_of("pypi", [Event(introduced="0"), Event(fixed=text)])


def test_severity_goes_into_each_range() -> None:
    found = ranges_of("pypi", events("i0 f1 i2 f3"), Severity.HIGH)
    assert [item.severity for item in found] == [Severity.HIGH, Severity.HIGH]


numbers = st.integers(min_value=0, max_value=6)
timelines = st.lists(st.tuples(st.sampled_from("ifl"), numbers), min_size=1, max_size=7)


@settings(max_examples=150, deadline=None)
@given(timelines)
def test_ranges_hold_what_the_evaluation_algorithm_holds(timeline: list[tuple[str, int]]) -> None:
    """Against the schema's pseudo-code, taken literally, for timelines without contradictions at one version."""
    if len({number for _, number in timeline}) < len(timeline) or not any(k == "i" for k, _ in timeline):
        return
    found = ranges_of("pypi", [Event(**{SHORT[kind]: f"{number}.0"}) for kind, number in timeline])
    for half in range(16):
        version = half / 2
        vulnerable = False
        for kind, number in sorted(timeline, key=lambda event: event[1]):
            if kind == "i" and version >= number:
                vulnerable = True
            elif (kind == "f" and version >= number) or (kind == "l" and version > number):
                vulnerable = False
        text = str(version)
        held = any(
            within(
                "pypi",
                text,
                lenient_key("pypi", text),
                item.lower_key,
                item.upper_key,
                item.lower,
                item.upper,
                bool(item.flags & RangeFlag.INCLUSIVE),
                bool(item.flags & RangeFlag.INEXACT),
            )
            for item in found
        )
        assert held == vulnerable


def test_listed_versions_that_a_range_holds_are_covered() -> None:
    spans = ranges_of("pypi", events("i1.0 f2.0 i3.0 l3.5"))
    assert uncovered("pypi", ["1.5", "1.0.0", "2.0", "3.5", "0.9", "3.5.1", "0.9"], spans) == [
        "0.9",
        "2.0",
        "3.5.1",
    ]
    assert uncovered("pypi", ["1.0"], ranges_of("pypi", events("i0"))) == []
    assert uncovered("pypi", ["1.0", "weird!"], []) == ["1.0", "weird!"]


def test_tidy_is_sorted_and_without_repetition() -> None:
    one, two = affected("deb", "", "1.0"), affected("deb", "2.0", "3.0", LAST)
    assert tidy([two, one, two]) == (one, two)
